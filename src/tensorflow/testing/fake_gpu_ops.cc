// The ops that stand for a training part on the fake GPU.
#include <cstring>
#include <mutex>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tensorflow/core/common_runtime/dma_helper.h"
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/testing/fake_gpu.h"

namespace headrace {
namespace {

using ::tensorflow::DMAHelper;
using ::tensorflow::OpKernel;
using ::tensorflow::OpKernelConstruction;
using ::tensorflow::OpKernelContext;
using ::tensorflow::Tensor;

REGISTER_OP("Headrace>FakeTrain")
    .Input("xs: T")
    .Output("y: float")
    .Attr("T: list({float, int64, int32}) >= 1")
    .SetIsStateful()
    .SetShapeFn(tensorflow::shape_inference::ScalarShape)
    .Doc(
        "A state that is halved, then gets the sum of (i + 1) * x[i] of every x. On a GPU it fails "
        "unless every x is in device memory. Stateful, so it is never staged.");

REGISTER_OP("Headrace>FakeDouble")
    .Input("x: float")
    .Output("y: float")
    .SetShapeFn(tensorflow::shape_inference::UnchangedShape)
    .Doc("2 * x. Notes its device. Pure.");

template <typename T>
double Weighted(const Tensor& x) {
  double sum = 0;
  for (Eigen::Index i = 0; i < x.NumElements(); ++i) {
    sum += static_cast<double>(i + 1) * static_cast<double>(x.flat<T>()(i));
  }
  return sum;
}

double WeightedSum(const Tensor& x) {
  switch (x.dtype()) {
    case tensorflow::DT_FLOAT: return Weighted<float>(x);
    case tensorflow::DT_INT64: return Weighted<std::int64_t>(x);
    default: return Weighted<std::int32_t>(x);
  }
}

class FakeTrainOp : public OpKernel {
 public:
  FakeTrainOp(OpKernelConstruction* ctx, bool on_gpu) : OpKernel(ctx), on_gpu_(on_gpu) {}

  void Compute(OpKernelContext* ctx) override {
    std::vector<Tensor> inputs;
    for (int i = 0; i < ctx->num_inputs(); ++i) {
      Tensor host = ctx->input(i);
      const void* address = host.TotalBytes() == 0 ? nullptr : DMAHelper::base(&host);
      OP_REQUIRES(ctx, address == nullptr || fake_gpu::Contains(address) == on_gpu_,
                  absl::InternalError(absl::StrCat("input ", i, " of '", name(), "' is in ",
                                                   on_gpu_ ? "host" : "device", " memory")));
      if (on_gpu_ && address != nullptr) {
        host = Tensor(host.dtype(), host.shape());
        fake_gpu::Recode(address, DMAHelper::base(&host), host.TotalBytes());
      }
      inputs.push_back(std::move(host));
    }
    Tensor* y = nullptr;
    OP_REQUIRES_OK(ctx, ctx->allocate_output(0, {}, &y));
    std::lock_guard<std::mutex> lock(mu_);
    state_ *= 0.5;
    for (const Tensor& x : inputs) state_ += WeightedSum(x);
    const auto value = static_cast<float>(state_);
    if (on_gpu_) {
      fake_gpu::Recode(&value, DMAHelper::base(y), sizeof(value));
    } else {
      y->scalar<float>()() = value;
    }
  }

 private:
  const bool on_gpu_;
  std::mutex mu_;
  double state_ = 0;  // guarded by mu_
};

class FakeTrainOnCpuOp : public FakeTrainOp {
 public:
  explicit FakeTrainOnCpuOp(OpKernelConstruction* ctx) : FakeTrainOp(ctx, false) {}
};
class FakeTrainOnGpuOp : public FakeTrainOp {
 public:
  explicit FakeTrainOnGpuOp(OpKernelConstruction* ctx) : FakeTrainOp(ctx, true) {}
};

class FakeDoubleOp : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* ctx) override {
    fake_gpu::NoteRun(ctx->device()->name());
    Tensor x = ctx->input(0);
    Tensor* y = nullptr;
    OP_REQUIRES_OK(ctx, ctx->allocate_output(0, x.shape(), &y));
    const bool encoded = ctx->device()->device_type() == tensorflow::DEVICE_GPU;
    for (Eigen::Index i = 0; i < x.NumElements(); ++i) {
      float value = 0;
      Move(encoded, x.flat<float>().data() + i, &value);
      value *= 2;
      Move(encoded, &value, y->flat<float>().data() + i);
    }
  }

 private:
  static void Move(bool encoded, const float* from, float* to) {
    if (encoded) {
      fake_gpu::Recode(from, to, sizeof(float));
    } else {
      *to = *from;
    }
  }
};

REGISTER_KERNEL_BUILDER(Name("Headrace>FakeDouble").Device(tensorflow::DEVICE_CPU), FakeDoubleOp);
REGISTER_KERNEL_BUILDER(Name("Headrace>FakeDouble").Device(tensorflow::DEVICE_GPU), FakeDoubleOp);
REGISTER_KERNEL_BUILDER(Name("Headrace>FakeTrain").Device(tensorflow::DEVICE_CPU),
                        FakeTrainOnCpuOp);
REGISTER_KERNEL_BUILDER(Name("Headrace>FakeTrain").Device(tensorflow::DEVICE_GPU),
                        FakeTrainOnGpuOp);

}  // namespace
}  // namespace headrace
