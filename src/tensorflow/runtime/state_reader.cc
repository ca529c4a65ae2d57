#include "tensorflow/runtime/state_reader.h"

#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "tensorflow/core/framework/resource_mgr.h"
#include "tensorflow/core/framework/resource_var.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/runtime/convert.h"

namespace headrace {
namespace {

using ::tensorflow::DataType;
using ::tensorflow::OpKernelContext;
using ::tensorflow::ResourceHandle;
using ::tensorflow::ResourceMgr;
using ::tensorflow::Tensor;
using ::tensorflow::Var;
using VarPtr = tensorflow::core::RefCountPtr<Var>;

// Numbers only, or bytes would not tell.
bool Equal(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
  return a.SharesBufferWith(b) || a.tensor_data() == b.tensor_data();
}

// A variable that nobody else knows of, for a function that takes a handle. By name, since ops that
// assign look for no other.
class OwnVariable {
 public:
  static absl::StatusOr<std::unique_ptr<OwnVariable>> Create(OpKernelContext* ctx, DataType type) {
    static std::atomic<std::int64_t> made{0};
    const std::string name = absl::StrCat("state ", ++made);
    VarPtr var(new Var(type));
    var->Ref();  // the manager's
    TF_RETURN_IF_ERROR(ctx->resource_manager()->Create(kContainer, name, var.get()));
    return absl::WrapUnique(
        new OwnVariable(ctx->resource_manager(), std::move(var),
                        tensorflow::MakeResourceHandle<Var>(ctx, kContainer, name)));
  }
  // A manager that was cleared has forgotten it.
  ~OwnVariable() {
    manager_->Delete<Var>(kContainer, handle_.scalar<ResourceHandle>()().name()).IgnoreError();
  }

  Var& operator*() const { return *var_; }
  const Tensor& handle() const { return handle_; }

 private:
  static constexpr char kContainer[] = "headrace";

  OwnVariable(ResourceMgr* manager, VarPtr var, const ResourceHandle& handle)
      : manager_(manager), var_(std::move(var)) {
    handle_.scalar<ResourceHandle>()() = handle;
  }

  ResourceMgr* const manager_;
  const VarPtr var_;
  Tensor handle_{tensorflow::DT_RESOURCE, {}};
};

class VariableStateReader : public stage::StateReader {
 public:
  VariableStateReader(VarPtr variable, std::unique_ptr<OwnVariable> own,
                      std::unique_ptr<StageFunction> function)
      : variable_(std::move(variable)), own_(std::move(own)), function_(std::move(function)) {}

  stage::ReadResult Read(stage::Cancellation* cancel) override {
    std::optional<Tensor> before;
    int rewinds = 0;
    {
      std::lock_guard<std::mutex> lock(mu_);
      before = std::exchange(next_, std::nullopt);
      rewinds = rewinds_;
    }
    if (!before) before = Get(*variable_);
    if (!before) {
      return ToReadResult(
          absl::FailedPreconditionError("a variable that the step reads was not initialized"), {});
    }
    Set(**own_, *before);
    Tensors element;
    const absl::Status status = function_->Run({own_->handle()}, OpThreads(), cancel, &element);
    if (!status.ok()) return ToReadResult(status, {});
    element.pop_back();  // a token, which says that all of it ran
    const Tensor after = *Get(**own_);
    {
      std::lock_guard<std::mutex> lock(mu_);
      if (rewinds == rewinds_) next_ = after;
    }
    element.push_back(*std::move(before));
    element.push_back(after);
    return ToReadResult(status, std::move(element));
  }

  bool Holds(const stage::Payload& element) override {
    const std::optional<Tensor> now = Get(*variable_);
    const Tensors& made = TensorsOf(element);
    return now && Equal(*now, made[made.size() - 2]);
  }

  void Commit(const stage::Payload& element) override {
    Set(*variable_, TensorsOf(element).back());
  }

  void Rewind() override {
    std::lock_guard<std::mutex> lock(mu_);
    next_.reset();
    ++rewinds_;
  }

 private:
  // The tensor is shared, not copied: ops that write a variable in place look whether it is.
  static std::optional<Tensor> Get(Var& variable) {
    const tensorflow::tf_shared_lock lock(*variable.mu());
    if (!variable.is_initialized) return std::nullopt;
    return *variable.tensor();
  }
  static void Set(Var& variable, const Tensor& value) {
    const tensorflow::mutex_lock lock(*variable.mu());
    *variable.tensor() = value;
    variable.is_initialized = true;
  }

  const VarPtr variable_;
  const std::unique_ptr<OwnVariable> own_;
  const std::unique_ptr<StageFunction> function_;
  std::mutex mu_;
  std::optional<Tensor> next_;  // guarded by mu_: what the next run begins with
  int rewinds_ = 0;             // guarded by mu_
};

}  // namespace

absl::StatusOr<std::unique_ptr<stage::StateReader>> MakeStateReader(
    tensorflow::OpKernelContext* ctx, const ResourceHandle& handle,
    std::unique_ptr<StageFunction> function) {
  VarPtr variable;
  TF_RETURN_IF_ERROR(tensorflow::LookupResource(ctx, handle, &variable));
  TF_ASSIGN_OR_RETURN(std::unique_ptr<OwnVariable> own,
                      OwnVariable::Create(ctx, variable->tensor()->dtype()));
  return std::make_unique<VariableStateReader>(std::move(variable), std::move(own),
                                               std::move(function));
}

}  // namespace headrace
