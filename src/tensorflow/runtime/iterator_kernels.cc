// Kernels of the iterator ops for a process in which some iterators are read ahead.
//
// They stand in for the stock kernels by a higher priority, because elements that were read ahead
// belong to the iterator: whoever asks it next, staged or not, from a session, a function or eager
// code, gets the oldest of them. Where nothing was read ahead they are the stock kernels.
#include <memory>
#include <vector>

#include "stage/source.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/kernels/data/iterator_ops.h"
#include "tensorflow/core/kernels/data/optional_ops_util.h"
#include "tensorflow/runtime/convert.h"
#include "tensorflow/runtime/optional_element.h"
#include "tensorflow/runtime/source_registry.h"

namespace headrace {
namespace {

using stage::Source;
using ::tensorflow::OpKernelConstruction;
using ::tensorflow::OpKernelContext;

// Ends the wait when the step is cancelled.
class StepCancellation {
 public:
  explicit StepCancellation(OpKernelContext* ctx) : manager_(ctx->cancellation_manager()) {
    if (manager_ == nullptr) return;
    token_ = manager_->get_cancellation_token();
    if (!manager_->RegisterCallback(token_, [this] { cancel_.Cancel(); })) cancel_.Cancel();
  }
  ~StepCancellation() {
    if (manager_ != nullptr) manager_->DeregisterCallback(token_);
  }
  stage::Cancellation* get() { return &cancel_; }

 private:
  tensorflow::CancellationManager* const manager_;
  tensorflow::CancellationToken token_ = 0;
  stage::Cancellation cancel_;
};

// Takes the next element that was read ahead; calls `read` if there is none. *element stays null
// then.
template <typename Read>
absl::Status TakeOrRead(OpKernelContext* ctx, const Read& read, stage::ElementPtr* element) {
  const auto source = SourceRegistry::Get().Find(ctx, tensorflow::HandleFromInput(ctx, 0));
  if (source == nullptr) return read();
  StepCancellation cancel(ctx);
  switch (source->TakeDirect(cancel.get(), element)) {
    case Source::Direct::kElement: return absl::OkStatus();
    case Source::Direct::kReadNow: {
      const absl::Status status = read();
      source->EndDirect();
      return status;
    }
    case Source::Direct::kFailed:
      if (cancel.get()->cancelled()) return absl::CancelledError("the step was cancelled");
      return read();  // closed: nothing reads ahead any more
  }
  return absl::InternalError("unreachable");
}

class GetNextOp : public tensorflow::data::IteratorGetNextOp {
 public:
  using IteratorGetNextOp::IteratorGetNextOp;

 protected:
  absl::Status DoCompute(OpKernelContext* ctx) override {
    stage::ElementPtr element;
    TF_RETURN_IF_ERROR(TakeOrRead(
        ctx, [&] { return IteratorGetNextOp::DoCompute(ctx); }, &element));
    if (element == nullptr) return absl::OkStatus();
    if (!element->read.status.ok()) return ToAbsl(element->read.status);
    const Tensors& components = TensorsOf(element->read.value);
    for (std::size_t i = 0; i < components.size(); ++i) ctx->set_output(i, components[i]);
    return absl::OkStatus();
  }
};

class GetNextAsOptionalOp : public tensorflow::data::IteratorGetNextAsOptionalOp {
 public:
  using IteratorGetNextAsOptionalOp::IteratorGetNextAsOptionalOp;

 protected:
  absl::Status DoCompute(OpKernelContext* ctx) override {
    stage::ElementPtr element;
    TF_RETURN_IF_ERROR(TakeOrRead(
        ctx, [&] { return IteratorGetNextAsOptionalOp::DoCompute(ctx); }, &element));
    if (element == nullptr) return absl::OkStatus();
    const stage::ReadResult optional = AsOptional(element->read);
    if (!optional.status.ok()) return ToAbsl(optional.status);
    ctx->set_output(0, TensorsOf(optional.value)[0]);
    return absl::OkStatus();
  }
};

class MakeIteratorOp : public tensorflow::data::MakeIteratorOp {
 public:
  using tensorflow::data::MakeIteratorOp::MakeIteratorOp;

 protected:
  absl::Status DoCompute(OpKernelContext* ctx) override {
    const auto source = SourceRegistry::Get().Find(ctx, tensorflow::HandleFromInput(ctx, 1));
    if (source == nullptr) return tensorflow::data::MakeIteratorOp::DoCompute(ctx);
    // A staged graph has reset the source already (ResetSource); one that knows nothing of the
    // stage has not, and resetting twice does nothing.
    StepCancellation cancel(ctx);
    TF_RETURN_IF_ERROR(ToAbsl(source->Reset(cancel.get())));
    const absl::Status status = tensorflow::data::MakeIteratorOp::DoCompute(ctx);
    source->Resume();
    return status;
  }
};

class ResetSourceOp : public tensorflow::OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* ctx) override {
    const auto source = SourceRegistry::Get().Find(ctx, tensorflow::HandleFromInput(ctx, 0));
    if (source == nullptr) return;
    StepCancellation cancel(ctx);
    OP_REQUIRES_OK(ctx, ToAbsl(source->Reset(cancel.get())));
    // The initializer resets once more while it works; should it never run, the next step reads on.
    source->Resume();
  }
};

// The stock kernel under another name: what a source's own reads run. Synchronous, since the thread
// that reads has nothing else to do.
class IteratorPullOp : public tensorflow::data::IteratorGetNextOp {
 public:
  using IteratorGetNextOp::IteratorGetNextOp;
  tensorflow::AsyncOpKernel* AsAsync() override { return nullptr; }
};

using ::tensorflow::DEVICE_CPU;

// The stock kernels have priority 2 on the CPU and 1 on GPUs.
REGISTER_KERNEL_BUILDER(Name("IteratorGetNext").Device(DEVICE_CPU).Priority(3), GetNextOp);
REGISTER_KERNEL_BUILDER(Name("IteratorGetNextSync").Device(DEVICE_CPU).Priority(3), GetNextOp);
REGISTER_KERNEL_BUILDER(Name("IteratorGetNextAsOptional").Device(DEVICE_CPU).Priority(3),
                        GetNextAsOptionalOp);
REGISTER_KERNEL_BUILDER(Name("MakeIterator").Device(DEVICE_CPU).Priority(3), MakeIteratorOp);
REGISTER_KERNEL_BUILDER(Name("Headrace>ResetSource").Device(DEVICE_CPU), ResetSourceOp);
REGISTER_KERNEL_BUILDER(Name("Headrace>IteratorPull").Device(DEVICE_CPU), IteratorPullOp);

}  // namespace
}  // namespace headrace
