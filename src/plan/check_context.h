// What the checks of a plan share. They use the graph and the plan only, none of the planner's
// working state, so that a planner's mistake does not hide itself.
#ifndef HEADRACE_PLAN_CHECK_CONTEXT_H_
#define HEADRACE_PLAN_CHECK_CONTEXT_H_

#include <string>
#include <vector>

#include "plan/graph_index.h"
#include "plan/plan.h"

namespace headrace::plan {

struct CheckContext {
  CheckContext(const Graph& graph, const PlanOptions& options, const StagePlan& plan);

  const Node& node(int n) const { return graph.nodes[n]; }
  std::string Name(int n) const { return "'" + graph.nodes[n].name + "'"; }
  bool InStage(int n, int stage) const { return stage_of[n] == stage; }
  // The main graph holds the node after the rewrite.
  bool InMain(int n) const { return !removed[n]; }
  // Function graphs: pure, and used by nothing that has an effect.
  bool Dead(int n) const { return dead[n]; }
  void Broken(std::string sentence) { broken.push_back(std::move(sentence)); }

  const Graph& graph;
  const PlanOptions& options;
  const StagePlan& plan;
  const GraphIndex index;
  std::vector<int> stage_of;  // in sources, draws or body of that stage, else -1
  std::vector<bool> removed, recomputed, dead;
  std::vector<std::vector<bool>> crosses;  // by node and output
  std::vector<std::string> broken;
};

// Sizes, ranges, duplicates, orders, which trait stands in which list, what is removed. The other
// checks require that nothing is broken here.
void CheckStructure(CheckContext& context);
// Inputs of staged, copied and recomputed nodes; crossing tensors; no way back into a stage.
void CheckEdges(CheckContext& context);
// One read per resource, fetches, random ops, marks, kept names, devices, references.
void CheckRules(CheckContext& context);
// Reasons and hash fit the stages.
void CheckReasons(CheckContext& context);

}  // namespace headrace::plan

#endif  // HEADRACE_PLAN_CHECK_CONTEXT_H_
