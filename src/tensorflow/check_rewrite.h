// The last look at a rewritten graph before it is published.
#ifndef HEADRACE_TENSORFLOW_CHECK_REWRITE_H_
#define HEADRACE_TENSORFLOW_CHECK_REWRITE_H_

#include "absl/status/status.h"
#include "tensorflow/apply.h"

namespace tensorflow {
class FunctionLibraryDefinition;
class Graph;
}  // namespace tensorflow

namespace headrace {

// Every input of every node is there, once and of the right type; names are unique; nothing removed
// is left; there is no cycle but those of loops; every stage function can be instantiated with
// `library`.
absl::Status CheckRewrite(const tensorflow::Graph& graph,
                          const tensorflow::FunctionLibraryDefinition& library,
                          const AppliedPlan& applied);

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_CHECK_REWRITE_H_
