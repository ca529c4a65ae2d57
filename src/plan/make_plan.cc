#include "plan/assemble.h"
#include "plan/hash.h"
#include "plan/plan.h"
#include "plan/reasons.h"
#include "plan/staging.h"

namespace headrace::plan {

StagePlan MakePlan(const Graph& graph, const PlanOptions& options) {
  const GraphIndex index(graph);
  Staging staging(index, options);
  int stages = GroupStages(staging);
  stages = DropStages(staging, stages, MainUses(staging));

  const MainUses main_uses(staging);
  const Sides sides = ChooseSides(staging, main_uses);
  std::vector<std::vector<int>> members(stages), dead(stages);
  for (int n : index.order()) {
    if (staging.candidate(n)) members[staging.state(n).group].push_back(n);
    if (sides.dead_in[n] >= 0) dead[sides.dead_in[n]].push_back(n);
  }
  StagePlan plan;
  for (int i = 0; i < stages; ++i) {
    plan.stages.push_back(AssembleStage(staging, main_uses, sides, members[i], dead[i]));
  }
  plan.reasons = GiveReasons(staging, sides, plan.stages);
  plan.hash = PlanHash(graph, options, plan.stages);
  return plan;
}

}  // namespace headrace::plan
