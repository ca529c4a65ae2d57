// Runs the stage functions of one call node, apart from the step that started it.
#ifndef HEADRACE_TENSORFLOW_RUNTIME_FUNCTION_RUNTIME_H_
#define HEADRACE_TENSORFLOW_RUNTIME_FUNCTION_RUNTIME_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "stage/cancellation.h"
#include "tensorflow/core/framework/attr_value.pb.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/platform/threadpool_interface.h"
#include "tensorflow/runtime/convert.h"

namespace headrace {

// A clone of the step's function library runtime: the step's own dies with its callable, while
// stages and sources go on.
//
// Ownership: shared by the stage and the sources that it made. Must be gone before the devices are,
// which holds because kernels and the resource manager's contents are.
// Thread safety: constant after Create().
class FunctionRuntime {
 public:
  static absl::Status Create(tensorflow::FunctionLibraryRuntime* step_runtime,
                             std::shared_ptr<FunctionRuntime>* runtime);
  ~FunctionRuntime();

  tensorflow::FunctionLibraryRuntime* flr() const { return flr_; }
  tensorflow::FunctionLibraryDefinition* library() const { return library_.get(); }

 private:
  FunctionRuntime();

  std::unique_ptr<tensorflow::FunctionLibraryDefinition> library_;
  std::unique_ptr<tensorflow::ProcessFunctionLibraryRuntime> process_runtime_;
  tensorflow::FunctionLibraryRuntime* flr_ = nullptr;  // owned by process_runtime_
};

// Where a function's ops run.
struct OpThreads {
  std::function<void(std::function<void()>)> runner;            // none: the caller's thread
  tensorflow::thread::ThreadPoolInterface* intra_op = nullptr;  // null: the device's
};

// One instantiated function.
// Thread safety: Run() may be called by several threads at a time.
class StageFunction {
 public:
  static absl::Status Create(std::shared_ptr<FunctionRuntime> runtime,
                             const tensorflow::NameAttrList& function,
                             std::unique_ptr<StageFunction>* result);

  // With the ops that can run there on `device`, one of the session's, and the others on the host,
  // where arguments and results are. An op that takes a handle stays with what that names.
  static absl::Status CreateOn(const std::string& device, std::shared_ptr<FunctionRuntime> runtime,
                               const tensorflow::NameAttrList& function,
                               std::unique_ptr<StageFunction>* result);

  // Runs the function and waits for it. `cancel` may be null.
  absl::Status Run(absl::Span<const tensorflow::Tensor> args, const OpThreads& threads,
                   stage::Cancellation* cancel, Tensors* results) const;

 private:
  StageFunction(std::shared_ptr<FunctionRuntime> runtime,
                tensorflow::FunctionLibraryRuntime::Handle handle)
      : runtime_(std::move(runtime)), handle_(handle) {}

  const std::shared_ptr<FunctionRuntime> runtime_;
  const tensorflow::FunctionLibraryRuntime::Handle handle_;
};

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_RUNTIME_FUNCTION_RUNTIME_H_
