// Ops for tests and benchmarks, in a library of their own that is not shipped.
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <ctime>

#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace headrace {
namespace {

using ::tensorflow::OpKernel;
using ::tensorflow::OpKernelConstruction;
using ::tensorflow::OpKernelContext;

REGISTER_OP("Headrace>BenchSpin")
    .Input("x: T")
    .Output("y: T")
    .Attr("T: type")
    .Attr("micros: int >= 0")
    .SetShapeFn(tensorflow::shape_inference::UnchangedShape)
    .Doc("Returns x after computing for `micros` microseconds on the calling thread. Pure.");

REGISTER_OP("Headrace>BenchWait")
    .Input("x: T")
    .Output("y: T")
    .Attr("T: type")
    .Attr("micros: int >= 0")
    .SetShapeFn(tensorflow::shape_inference::UnchangedShape)
    .Doc(
        "Returns x after `micros` microseconds without using a core: stands for an accelerator. "
        "Pure.");

REGISTER_OP("Headrace>ThreadId")
    .Input("x: T")
    .Output("id: int64")
    .Attr("T: type")
    .SetIsStateful()
    .SetShapeFn(tensorflow::shape_inference::ScalarShape)
    .Doc("The kernel's id of the thread that runs this op. Stateful, so it is never staged.");

REGISTER_OP("Headrace>CrashOn")
    .Input("x: int64")
    .Output("y: int64")
    .Attr("value: int")
    .SetShapeFn(tensorflow::shape_inference::UnchangedShape)
    .Doc("Returns x; the process dies if an element of x is `value`. Pure.");

class MicrosOp : public OpKernel {
 public:
  explicit MicrosOp(OpKernelConstruction* ctx) : OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("micros", &micros_));
  }

 protected:
  std::chrono::steady_clock::time_point Deadline() const {
    return std::chrono::steady_clock::now() + std::chrono::microseconds(micros_);
  }

 private:
  std::int64_t micros_ = 0;
};

class SpinOp : public MicrosOp {
 public:
  using MicrosOp::MicrosOp;
  void Compute(OpKernelContext* ctx) override {
    const auto deadline = Deadline();
    while (std::chrono::steady_clock::now() < deadline) {
    }
    ctx->set_output(0, ctx->input(0));
  }
};

class WaitOp : public MicrosOp {
 public:
  using MicrosOp::MicrosOp;
  void Compute(OpKernelContext* ctx) override {
    const auto ns =
        std::chrono::duration_cast<std::chrono::nanoseconds>(Deadline().time_since_epoch());
    const timespec until{static_cast<time_t>(ns.count() / 1000000000), ns.count() % 1000000000};
    while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
    }
    ctx->set_output(0, ctx->input(0));
  }
};

class ThreadIdOp : public OpKernel {
 public:
  using OpKernel::OpKernel;
  void Compute(OpKernelContext* ctx) override {
    tensorflow::Tensor* id = nullptr;
    OP_REQUIRES_OK(ctx, ctx->allocate_output(0, tensorflow::TensorShape({}), &id));
    id->scalar<std::int64_t>()() = ::syscall(SYS_gettid);
  }
};

class CrashOnOp : public OpKernel {
 public:
  explicit CrashOnOp(OpKernelConstruction* ctx) : OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("value", &value_));
  }
  void Compute(OpKernelContext* ctx) override {
    const auto elements = ctx->input(0).flat<std::int64_t>();
    for (Eigen::Index i = 0; i < elements.size(); ++i) {
      if (elements(i) == value_) std::abort();
    }
    ctx->set_output(0, ctx->input(0));
  }

 private:
  std::int64_t value_ = 0;
};

using ::tensorflow::DEVICE_CPU;
REGISTER_KERNEL_BUILDER(Name("Headrace>CrashOn").Device(DEVICE_CPU), CrashOnOp);
REGISTER_KERNEL_BUILDER(Name("Headrace>BenchSpin").Device(DEVICE_CPU), SpinOp);
REGISTER_KERNEL_BUILDER(Name("Headrace>BenchWait").Device(DEVICE_CPU), WaitOp);
REGISTER_KERNEL_BUILDER(Name("Headrace>ThreadId").Device(DEVICE_CPU), ThreadIdOp);

}  // namespace
}  // namespace headrace
