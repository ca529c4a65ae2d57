#include <algorithm>

#include "plan/check_context.h"

namespace headrace::plan {
namespace {

// Ranges must hold before anything else may look at the plan.
std::vector<std::string> CheckRanges(const Graph& graph, const StagePlan& plan) {
  std::vector<std::string> broken;
  const int n = static_cast<int>(graph.nodes.size());
  const auto node_ok = [&](int i) { return i >= 0 && i < n; };
  const auto tensor_ok = [&](const Endpoint& e) {
    return node_ok(e.node) && e.output >= 0 &&
           e.output < static_cast<int>(graph.nodes[e.node].outputs.size());
  };
  for (const Stage& stage : plan.stages) {
    bool ok = true;
    for (const std::vector<int>* list : {&stage.sources, &stage.draws, &stage.body,
                                         &stage.constants, &stage.recomputed, &stage.removed}) {
      ok &= std::all_of(list->begin(), list->end(), node_ok);
    }
    ok &= std::all_of(stage.args.begin(), stage.args.end(), tensor_ok);
    for (const Crossing& crossing : stage.outputs) ok &= tensor_ok(crossing.from);
    if (!ok) broken.push_back("stage '" + stage.name + "' names a node or output out of range");
  }
  if (plan.reasons.size() != graph.nodes.size()) {
    broken.push_back("there are " + std::to_string(plan.reasons.size()) + " reasons for " +
                     std::to_string(n) + " nodes");
  }
  return broken;
}

}  // namespace

CheckContext::CheckContext(const Graph& g, const PlanOptions& o, const StagePlan& p)
    : graph(g),
      options(o),
      plan(p),
      index(g),
      stage_of(g.nodes.size(), -1),
      removed(g.nodes.size(), 0),
      recomputed(g.nodes.size(), 0),
      dead(g.nodes.size(), 0),
      crosses(g.nodes.size()) {
  for (std::size_t i = 0; i < g.nodes.size(); ++i) crosses[i].assign(g.nodes[i].outputs.size(), 0);
  for (std::size_t s = 0; s < p.stages.size(); ++s) {
    const Stage& stage = p.stages[s];
    for (const std::vector<int>* list : {&stage.sources, &stage.draws, &stage.body}) {
      for (int n : *list) stage_of[n] = static_cast<int>(s);
    }
    for (int n : stage.removed) removed[n] = 1;
    for (int n : stage.recomputed) recomputed[n] = 1;
    for (const Crossing& c : stage.outputs) crosses[c.from.node][c.from.output] = 1;
  }
  if (o.fetches_unknown) return;
  const std::vector<int>& order = index.order();
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    const Node& n = g.nodes[*it];
    const bool pure = n.trait == Trait::kPure || n.trait == Trait::kConstant;
    if (!pure || n.outputs.empty() || n.keep || n.target || index.cyclic(*it)) continue;
    bool used = false;
    for (const Use& use : index.uses(*it)) used |= !dead[use.node];
    dead[*it] = !used;
  }
}

std::vector<std::string> CheckPlan(const Graph& graph, const PlanOptions& options,
                                   const StagePlan& plan) {
  std::vector<std::string> broken = CheckRanges(graph, plan);
  if (!broken.empty()) return broken;
  CheckContext context(graph, options, plan);
  CheckStructure(context);
  if (!context.broken.empty()) return context.broken;
  CheckEdges(context);
  CheckRules(context);
  CheckReasons(context);
  return context.broken;
}

}  // namespace headrace::plan
