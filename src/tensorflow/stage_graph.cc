#include "tensorflow/stage_graph.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "tensorflow/check_rewrite.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/graph/graph.h"

namespace headrace {
namespace {

absl::Status Internal(const std::string& what, const absl::Status& status) {
  return absl::InternalError(absl::StrCat(what, ": ", status.message()));
}

}  // namespace

absl::StatusOr<StagedGraph> StageGraph(const tensorflow::Graph& graph,
                                       const tensorflow::FunctionLibraryDefinition& library,
                                       const StagingRequest& request,
                                       const std::set<std::string>& targets,
                                       bool is_function_graph) {
  TF_ASSIGN_OR_RETURN(GraphPlan planned, PlanGraph(graph, library, request, is_function_graph));
  StagedGraph staged;
  staged.planned = std::move(planned);
  if (staged.planned.plan.stages.empty()) return staged;
  // Whatever goes wrong from here on is not the user's mistake.
  absl::StatusOr<AppliedPlan> applied = ApplyPlan(library, targets, &staged.planned);
  if (!applied.ok()) return Internal("the rewrite failed", applied.status());
  staged.applied = *std::move(applied);
  const absl::Status sound = CheckRewrite(*staged.planned.graph, library, staged.applied);
  if (!sound.ok()) return Internal("the rewritten graph is not sound", sound);
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
