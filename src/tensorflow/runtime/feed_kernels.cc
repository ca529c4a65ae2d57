// Headrace>FeedMore and Headrace>FeedDeliver: a program's task dataset talks to its agent.
#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "feed/account.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/runtime/convert.h"
#include "tensorflow/runtime/process_feed.h"

namespace headrace {
namespace {

using ::tensorflow::OpKernel;
using ::tensorflow::OpKernelConstruction;
using ::tensorflow::OpKernelContext;
using ::tensorflow::Tensor;

class FeedMoreOp : public OpKernel {
 public:
  explicit FeedMoreOp(OpKernelConstruction* ctx) : OpKernel(ctx) {}

  void Compute(OpKernelContext* ctx) override {
    bool more = true;
    if (ctx->input(0).scalar<std::int64_t>()() > 0) {
      OP_REQUIRES_OK(ctx, ToAbsl(ProcessFeed::Get().IteratorEnded(&more)));
    }
    Tensor* result = nullptr;
    OP_REQUIRES_OK(ctx, ctx->allocate_output(0, {}, &result));
    result->scalar<bool>()() = more;
  }
};

class FeedDeliverOp : public OpKernel {
 public:
  explicit FeedDeliverOp(OpKernelConstruction* ctx) : OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("account", &account_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("note", &note_));
  }

  void Compute(OpKernelContext* ctx) override {
    const auto account = feed::Accounts::Get().Find(account_);
    OP_REQUIRES(ctx, account != nullptr,
                absl::FailedPreconditionError(
                    absl::StrCat("no account '", account_, "' is open in this process")));
    const auto identities = ctx->input(0).flat<std::int64_t>();
    const auto count = static_cast<std::size_t>(identities.size());
    OP_REQUIRES_OK(ctx, ToAbsl(account->Deliver(identities.data(), count)));
    if (note_) ProcessFeed::Get().Note({identities.data(), identities.data() + count});
    ProcessFeed::Get().HandedOut(
        std::count_if(identities.data(), identities.data() + count, [](std::int64_t identity) {
          return identity >= 0;  // no padding
        }));
    ctx->set_output(0, ctx->input(0));
  }

 private:
  std::string account_;  // constant after construction, as is note_
  bool note_ = false;
};

REGISTER_KERNEL_BUILDER(Name("Headrace>FeedMore").Device(tensorflow::DEVICE_CPU), FeedMoreOp);
REGISTER_KERNEL_BUILDER(Name("Headrace>FeedDeliver").Device(tensorflow::DEVICE_CPU), FeedDeliverOp);

}  // namespace
}  // namespace headrace
