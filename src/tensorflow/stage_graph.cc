#include "tensorflow/stage_graph.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "tensorflow/check_rewrite.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/graph/graph.h"

namespace headrace {

absl::StatusOr<StagedGraph> StageGraph(const tensorflow::Graph& graph,
                                       const tensorflow::FunctionLibraryDefinition& library,
                                       const StagingRequest& request,
                                       const std::set<std::string>& targets,
                                       bool is_function_graph) {
  TF_ASSIGN_OR_RETURN(GraphPlan planned, PlanGraph(graph, library, request, is_function_graph));
  StagedGraph staged;
  staged.planned = std::move(planned);
  if (staged.planned.plan.stages.empty()) return staged;
  TF_ASSIGN_OR_RETURN(staged.applied, ApplyPlan(library, targets, &staged.planned));
  TF_RETURN_IF_ERROR(CheckRewrite(*staged.planned.graph, library, staged.applied));
  return staged;
}

std::string Summarize(const StagedGraph& staged) {
  const plan::StagePlan& plan = staged.planned.plan;
  std::size_t removed = 0;
  std::size_t crossing = 0;
  for (const plan::Stage& stage : plan.stages) {
    removed += stage.removed.size();
    crossing += stage.outputs.size();
  }
  return absl::StrCat(removed, " of ", staged.planned.view.graph.nodes.size(), " nodes staged, ",
                      crossing, crossing == 1 ? " tensor crosses" : " tensors cross", " (plan ",
                      plan.hash, ")");
}

}  // namespace headrace
