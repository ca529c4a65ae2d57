#include "tensorflow/runtime/function_runtime.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "tensorflow/core/common_runtime/process_function_library_runtime.h"
#include "tensorflow/core/framework/cancellation.h"
#include "tensorflow/core/framework/device.h"
#include "tensorflow/core/framework/resource_mgr.h"
#include "tensorflow/runtime/late_passes.h"

namespace headrace {

using ::tensorflow::FunctionLibraryRuntime;

namespace {

// `whole` under a name of its own, with `device` requested for nodes that request none.
tensorflow::FunctionDef Placed(const tensorflow::FunctionDef& whole, const std::string& device) {
  tensorflow::FunctionDef placed = whole;
  placed.mutable_signature()->set_name(absl::StrCat(whole.signature().name(), "_placed"));
  std::set<std::string> handles;
  for (const auto& arg : whole.signature().input_arg()) {
    if (arg.type() == tensorflow::DT_RESOURCE || arg.type() == tensorflow::DT_VARIANT) {
      handles.insert(arg.name());
    }
  }
  for (tensorflow::NodeDef& node : *placed.mutable_node_def()) {
    const bool takes_handle =
        std::any_of(node.input().begin(), node.input().end(),
                    [&](const std::string& input) { return handles.count(input) > 0; });
    if (node.device().empty() && !takes_handle) node.set_device(device);
  }
  return placed;
}

}  // namespace

FunctionRuntime::FunctionRuntime() = default;
FunctionRuntime::~FunctionRuntime() = default;

absl::Status FunctionRuntime::Create(FunctionLibraryRuntime* step_runtime,
                                     std::shared_ptr<FunctionRuntime>* runtime) {
  if (step_runtime == nullptr)
    return absl::InternalError("the step has no function library runtime");
  std::shared_ptr<FunctionRuntime> made(new FunctionRuntime);
  TF_RETURN_IF_ERROR(step_runtime->Clone(&made->library_, &made->process_runtime_, &made->flr_));
  // A function's own step has a library of its own over the runtime's, which alone is cloned.
  const tensorflow::FunctionLibraryDefinition& of_step =
      *step_runtime->GetFunctionLibraryDefinition();
  for (const std::string& name : of_step.ListFunctionNames()) {
    if (made->library_->Contains(name)) continue;
    TF_RETURN_IF_ERROR(made->library_->CopyFunctionDefFrom(name, of_step));
  }
  *runtime = std::move(made);
  return absl::OkStatus();
}

absl::Status StageFunction::Create(std::shared_ptr<FunctionRuntime> runtime,
                                   const tensorflow::NameAttrList& function,
                                   std::unique_ptr<StageFunction>* result) {
  TF_ASSIGN_OR_RETURN(
      const std::string name,
      RunLatePasses(function.name(), runtime->flr()->device()->name(), runtime->library()));
  FunctionLibraryRuntime::Handle handle;
  TF_RETURN_IF_ERROR(
      runtime->flr()->Instantiate(name, tensorflow::AttrSlice(&function.attr()), {}, &handle));
  result->reset(new StageFunction(std::move(runtime), handle));
  return absl::OkStatus();
}

absl::Status StageFunction::CreateOn(const std::string& device,
                                     std::shared_ptr<FunctionRuntime> runtime,
                                     const tensorflow::NameAttrList& function,
                                     std::unique_ptr<StageFunction>* result) {
  const tensorflow::FunctionDef* whole = runtime->library()->Find(function.name());
  if (whole == nullptr) return absl::InternalError(absl::StrCat("no function ", function.name()));
  const tensorflow::FunctionDef placed = Placed(*whole, device);
  TF_RETURN_IF_ERROR(runtime->library()->AddFunctionDef(placed));

  const std::string& host = runtime->flr()->device()->name();
  FunctionLibraryRuntime::InstantiateOptions options;
  options.target = host;
  options.is_multi_device_function = true;
  options.input_devices.assign(placed.signature().input_arg_size(), host);
  options.output_devices.assign(placed.signature().output_arg_size(), host);
  options.allow_soft_placement = true;
  options.config_proto.set_allow_soft_placement(true);
  FunctionLibraryRuntime::Handle handle;
  TF_RETURN_IF_ERROR(runtime->flr()->Instantiate(
      placed.signature().name(), tensorflow::AttrSlice(&function.attr()), options, &handle));
  result->reset(new StageFunction(std::move(runtime), handle));
  return absl::OkStatus();
}

absl::Status StageFunction::Run(absl::Span<const tensorflow::Tensor> args, const OpThreads& threads,
                                stage::Cancellation* cancel, Tensors* results) const {
  // Never the step's CancellationManager: a cancelled read can end an iterator for good.
  tensorflow::CancellationManager cancellation;
  FunctionLibraryRuntime::Options options;
  tensorflow::ScopedStepContainer container(options.step_id, [this](const std::string& name) {
    runtime_->flr()->device()->resource_manager()->Cleanup(name).IgnoreError();
  });
  std::function<void(std::function<void()>)> runner = threads.runner;
  options.run_all_kernels_inline = runner == nullptr;
  if (runner == nullptr) runner = [](const std::function<void()>& task) { task(); };
  options.runner = &runner;
  options.user_intra_op_threadpool = threads.intra_op;
  options.cancellation_manager = &cancellation;
  options.step_container = &container;
  options.create_rendezvous = true;

  const bool listening =
      cancel != nullptr && cancel->Listen([&cancellation] { cancellation.StartCancel(); });
  if (cancel != nullptr && !listening) return absl::CancelledError("cancelled before it started");
  absl::Status status;
  absl::Notification done;
  runtime_->flr()->Run(options, handle_, args, results, [&](const absl::Status& s) {
    status = s;
    done.Notify();
  });
  done.WaitForNotification();
  if (listening) cancel->StopListening();
  return status;
}

}  // namespace headrace
