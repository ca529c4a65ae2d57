// Headrace>Count adds one to a counter of this process whenever a step gets there.
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "feed/counters.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace headrace {
namespace {

using ::tensorflow::OpKernel;
using ::tensorflow::OpKernelConstruction;
using ::tensorflow::OpKernelContext;

class CountOp : public OpKernel {
 public:
  explicit CountOp(OpKernelConstruction* ctx) : OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("counter", &counter_));
  }

  bool IsExpensive() override { return false; }

  void Compute(OpKernelContext* ctx) override {
    const std::shared_ptr<feed::Counter> counter = feed::Counters::Get().Find(counter_);
    OP_REQUIRES(ctx, counter != nullptr,
                absl::FailedPreconditionError(
                    absl::StrCat("no counter '", counter_, "' is open in this process")));
    counter->fetch_add(1);
    ctx->set_output(0, ctx->input(0));
  }

 private:
  std::string counter_;  // constant after construction
};

REGISTER_KERNEL_BUILDER(Name("Headrace>Count").Device(tensorflow::DEVICE_CPU), CountOp);

}  // namespace
}  // namespace headrace
