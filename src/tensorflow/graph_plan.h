// One graph, planned: the only entry to the planner, used by the pass and by explain().
#ifndef HEADRACE_TENSORFLOW_GRAPH_PLAN_H_
#define HEADRACE_TENSORFLOW_GRAPH_PLAN_H_

#include <memory>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "plan/plan.h"
#include "tensorflow/graph_view.h"
#include "tensorflow/staging_request.h"

namespace tensorflow {
class FunctionLibraryDefinition;
class Graph;
}  // namespace tensorflow

namespace headrace {

// Ownership: owns a copy of the graph, calls inlined; view and plan point into it.
struct GraphPlan {
  std::unique_ptr<tensorflow::Graph> graph;
  StagingRequest request;  // marks included
  GraphView view;
  plan::PlanOptions options;
  plan::StagePlan plan;
  // MakeIterator nodes before which what was read ahead must be dropped, sorted by name.
  std::vector<tensorflow::Node*> resets;
};

// Does not change `graph`. Errors: INVALID_ARGUMENT if the options of a mark are bad (the user's
// mistake); others mean that the graph could not be planned and must run unstaged.
absl::StatusOr<GraphPlan> PlanGraph(const tensorflow::Graph& graph,
                                    const tensorflow::FunctionLibraryDefinition& library,
                                    const StagingRequest& request, bool is_function_graph);

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_GRAPH_PLAN_H_
