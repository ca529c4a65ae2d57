// Runs TensorFlow's passes over partitioned graphs on a stage's function.
#ifndef HEADRACE_TENSORFLOW_RUNTIME_LATE_PASSES_H_
#define HEADRACE_TENSORFLOW_RUNTIME_LATE_PASSES_H_

#include <string>

#include "absl/status/statusor.h"
#include "tensorflow/core/framework/function.h"

namespace headrace {

// Adds to `library` what `name` becomes under the passes that TensorFlow runs on each partition of
// a session's graph, and returns the new function's name. Functions that are instantiated on one
// device do not get these passes, but the nodes of a stage would have had them in the main graph:
// oneDNN's kernels are chosen there, and other kernels give other bits.
//
// `device`: full name of the device that the function runs on. Errors: of the passes.
absl::StatusOr<std::string> RunLatePasses(const std::string& name, const std::string& device,
                                          tensorflow::FunctionLibraryDefinition* library);

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_RUNTIME_LATE_PASSES_H_
