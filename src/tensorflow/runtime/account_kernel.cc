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
    std::string event;
    OP_REQUIRES_OK(ctx, ctx->GetAttr("event", &event));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("by", &by_));
    tell_ = TellerOf(event);
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
      OP_REQUIRES_OK(ctx, ToAbsl(tell_(account.get(), identities(i), by_)));
    }
    ctx->set_output(0, ctx->input(0));
  }

 private:
  using Tell = Status (*)(Account* account, std::int64_t identity, const std::string& by);

  static Tell TellerOf(const std::string& event) {
    if (event == "read") return [](auto* a, auto id, const auto&) { return a->Read(id); };
    if (event == "split") return [](auto* a, auto id, const auto&) { return a->Split(id); };
    if (event == "part") return [](auto* a, auto id, const auto&) { return a->Part(id); };
    if (event == "parts_end")
      return [](auto* a, auto id, const auto& by) { return a->PartsEnd(id, by); };
    return [](auto* a, auto id, const auto& by) { return a->Drop(id, by); };
  }

  std::string account_, by_;  // constant after construction, as is tell_
  Tell tell_ = nullptr;
};

REGISTER_KERNEL_BUILDER(Name("Headrace>AccountRecord").Device(tensorflow::DEVICE_CPU),
                        AccountRecordOp);

}  // namespace
}  // namespace headrace
