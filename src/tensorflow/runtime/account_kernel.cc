// Headrace>AccountRecord tells an account what a dataset's function did with records.
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "feed/account.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/runtime/convert.h"

namespace headrace {
namespace {

using feed::Account;
using ::tensorflow::OpKernel;
using ::tensorflow::OpKernelConstruction;
using ::tensorflow::OpKernelContext;

class AccountRecordOp : public OpKernel {
 public:
  explicit AccountRecordOp(OpKernelConstruction* ctx) : OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ctx->GetAttr("account", &account_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("event", &event_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("by", &by_));
  }

  bool IsExpensive() override { return false; }

  void Compute(OpKernelContext* ctx) override {
    const std::shared_ptr<Account> account = feed::Accounts::Get().Find(account_);
    OP_REQUIRES(ctx, account != nullptr,
                absl::FailedPreconditionError(absl::StrCat(
                    "no account '", account_, "' is open in this process: a dataset made with ",
                    "headrace's tracking runs only where its records are accounted for")));
    const auto identities = ctx->input(0).flat<std::int64_t>();
    for (Eigen::Index i = 0; i < identities.size(); ++i) {
      if (identities(i) < 0) continue;  // padding
      OP_REQUIRES_OK(ctx, ToAbsl(Tell(*account, identities(i))));
    }
    ctx->set_output(0, ctx->input(0));
  }

 private:
  Status Tell(Account& account, std::int64_t identity) const {
    if (event_ == "read") return account.Read(identity);
    if (event_ == "split") return account.Split(identity);
    if (event_ == "part") return account.Part(identity);
    if (event_ == "parts_end") return account.PartsEnd(identity, by_);
    return account.Drop(identity, by_);
  }

  std::string account_, event_, by_;  // constant after construction
};

REGISTER_KERNEL_BUILDER(Name("Headrace>AccountRecord").Device(tensorflow::DEVICE_CPU),
                        AccountRecordOp);

}  // namespace
}  // namespace headrace
