// Plans a graph, rewrites a copy of it, checks the copy: everything but publishing it.
#ifndef HEADRACE_TENSORFLOW_STAGE_GRAPH_H_
#define HEADRACE_TENSORFLOW_STAGE_GRAPH_H_

#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "tensorflow/apply.h"
#include "tensorflow/graph_plan.h"

namespace headrace {

struct StagedGraph {
  GraphPlan planned;    // its graph is the rewritten one if anything is staged
  AppliedPlan applied;  // empty if nothing is staged
};

// Errors: INVALID_ARGUMENT as PlanGraph; others mean that the graph must run unstaged.
absl::StatusOr<StagedGraph> StageGraph(const tensorflow::Graph& graph,
                                       const tensorflow::FunctionLibraryDefinition& library,
                                       const StagingRequest& request,
                                       const std::set<std::string>& targets,
                                       bool is_function_graph);

// "2 of 40 nodes staged, 3 tensors cross (plan 0123456789abcdef)".
std::string Summarize(const StagedGraph& staged);

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_STAGE_GRAPH_H_
