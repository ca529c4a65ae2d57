// Runs the part of a stage's body that one step needs, when the whole body failed.
#ifndef HEADRACE_TENSORFLOW_RUNTIME_PARTIAL_BODY_H_
#define HEADRACE_TENSORFLOW_RUNTIME_PARTIAL_BODY_H_

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "tensorflow/core/framework/attr_value.pb.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/runtime/function_runtime.h"

namespace headrace {

// Without staging an op fails only the steps that need its result: a fetch that does not depend on
// it never runs it. The body runs all ops of the stage, so after a failure the results that this
// step needs are computed alone, from the same element.
//
// Thread safety: Run() may be called by several threads at a time.
class PartialBody {
 public:
  PartialBody(std::shared_ptr<FunctionRuntime> runtime, tensorflow::NameAttrList body)
      : runtime_(std::move(runtime)), body_(std::move(body)) {}

  // Computes the outputs of the body that `needed` lists. *results has an entry for every output of
  // the body; those not needed stay uninitialized.
  absl::Status Run(absl::Span<const tensorflow::Tensor> args, const std::set<int>& needed,
                   Tensors* results);

 private:
  absl::Status FunctionFor(const std::set<int>& needed, const StageFunction** function);

  const std::shared_ptr<FunctionRuntime> runtime_;
  const tensorflow::NameAttrList body_;
  std::mutex mu_;
  std::map<std::set<int>, std::unique_ptr<StageFunction>> functions_;  // guarded by mu_
};

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_RUNTIME_PARTIAL_BODY_H_
