// Rewrites the planned copy of a graph: staged nodes leave, calls take their place.
#ifndef HEADRACE_TENSORFLOW_APPLY_H_
#define HEADRACE_TENSORFLOW_APPLY_H_

#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/graph_plan.h"

namespace headrace {

struct AppliedPlan {
  std::vector<tensorflow::FunctionDef> functions;  // of all stages, to be added when publishing
  std::vector<std::string> calls;                  // names of the StagedCall nodes, by stage
  std::set<std::string> removed;                   // names that are gone, or now name an Identity
};

// Changes `planned->graph`; what points into it (view, resets) is stale afterwards. `targets`:
// names that must stay valid although their nodes leave (control results of the function whose body
// the graph is). Errors are INTERNAL and leave the copy unusable.
absl::StatusOr<AppliedPlan> ApplyPlan(const tensorflow::FunctionLibraryDefinition& library,
                                      const std::set<std::string>& targets, GraphPlan* planned);

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_APPLY_H_
