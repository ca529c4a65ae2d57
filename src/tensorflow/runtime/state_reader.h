// Makes private state ahead of the steps: a variable that nobody but the stage's function uses.
#ifndef HEADRACE_TENSORFLOW_RUNTIME_STATE_READER_H_
#define HEADRACE_TENSORFLOW_RUNTIME_STATE_READER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "stage/source.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/resource_handle.h"
#include "tensorflow/runtime/function_runtime.h"

namespace headrace {

// A reader whose elements are the function's results, the last one of which is a token, but for
// that; then the variable's value before and after. Each run of the function gets a variable of its
// own that holds what the run before it left; the first one, and the first after a rewind, what the
// program's variable holds. `handle`: of the program's variable, on this kernel's device, which the
// reader keeps alive.
absl::StatusOr<std::unique_ptr<stage::StateReader>> MakeStateReader(
    tensorflow::OpKernelContext* ctx, const tensorflow::ResourceHandle& handle,
    std::unique_ptr<StageFunction> function);

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_RUNTIME_STATE_READER_H_
