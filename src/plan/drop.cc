// Stages that could run ahead but are not wanted.
#include "plan/assemble.h"

namespace headrace::plan {
namespace {

struct StageUse {
  bool marked = false;
  bool crosses = false;       // some tensor crosses
  bool beyond_queue = false;  // something other than a queue write uses what crosses
};

std::vector<StageUse> CollectUse(const Staging& staging, int stages, const MainUses& main_uses) {
  std::vector<StageUse> uses(stages);
  for (int n : staging.index().order()) {
    if (!staging.candidate(n)) continue;
    StageUse& stage = uses[staging.state(n).group];
    const Node& node = staging.node(n);
    stage.marked |= node.mark >= 0;
    for (std::size_t o = 0; o < node.outputs.size(); ++o) {
      stage.crosses |= main_uses(n, static_cast<int>(o));
    }
    stage.beyond_queue |= staging.leaf(n) || staging.kept_source(n);
    for (const Use& use : staging.index().uses(n)) {
      if (!staging.consumer_in_main(use.node)) continue;
      stage.beyond_queue |= staging.node(use.node).trait != Trait::kQueueWrite;
    }
  }
  return uses;
}

}  // namespace

int DropStages(Staging& staging, int stages, const MainUses& main_uses) {
  bool any_mark = false;
  for (const Node& node : staging.index().graph().nodes) any_mark |= node.mark >= 0;
  const std::vector<StageUse> uses = CollectUse(staging, stages, main_uses);
  std::vector<ReasonCode> drop(stages, ReasonCode::kNone);
  std::vector<int> number(stages, -1);
  int left = 0;
  for (int i = 0; i < stages; ++i) {
    if (any_mark && !uses[i].marked) {
      drop[i] = ReasonCode::kUnmarkedSource;
    } else if (!uses[i].crosses) {
      drop[i] = ReasonCode::kUnused;
    } else if (!uses[i].beyond_queue) {
      drop[i] = ReasonCode::kOnlyFeedsQueue;
    } else {
      number[i] = left++;
    }
  }
  for (int n : staging.index().order()) {
    if (!staging.candidate(n)) continue;
    NodeState& state = staging.state(n);
    const ReasonCode code = drop[state.group];
    state.group = number[state.group];
    if (code == ReasonCode::kNone) continue;
    state.role = Role::kMain;
    const Trait trait = staging.node(n).trait;
    if (trait == Trait::kSource || trait == Trait::kDraw) state.block = {code, -1};
  }
  return left;
}

}  // namespace headrace::plan
