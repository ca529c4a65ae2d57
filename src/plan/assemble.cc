#include "plan/assemble.h"

#include <algorithm>
#include <set>
#include <utility>

namespace headrace::plan {
namespace {

class Assembler {
 public:
  Assembler(const Staging& staging, const MainUses& main_uses, const Sides& sides)
      : s_(staging), index_(staging.index()), main_uses_(main_uses), sides_(sides) {}

  Stage Build(const std::vector<int>& members, const std::vector<int>& dead) {
    int device = 0;
    for (int n : members) {
      if (sides_.in_main[n]) stage_.recomputed.push_back(n);
      if (s_.node(n).mark >= 0 && (stage_.mark < 0 || s_.node(n).mark < stage_.mark)) {
        stage_.mark = s_.node(n).mark;
      }
      if (!sides_.in_stage[n]) continue;
      Staging::MergeDevice(s_.state(n).device, device);
      ListFor(s_.node(n).trait).push_back(n);
      in_stage_.push_back(n);
      if (!sides_.in_main[n]) stage_.removed.push_back(n);
    }
    stage_.name = s_.node(stage_.sources.front()).name;
    stage_.device = s_.device_name(device);
    stage_.removed.insert(stage_.removed.end(), dead.begin(), dead.end());
    SortByRank(stage_.removed);
    AddConstantsAndArgs();
    AddOutputs();
    return std::move(stage_);
  }

 private:
  std::vector<int>& ListFor(Trait trait) {
    if (trait == Trait::kSource) return stage_.sources;
    return trait == Trait::kDraw ? stage_.draws : stage_.body;
  }

  void SortByRank(std::vector<int>& nodes) const {
    std::sort(nodes.begin(), nodes.end(),
              [&](int a, int b) { return index_.rank(a) < index_.rank(b); });
  }

  void AddConstantsAndArgs() {
    std::set<int> constants;
    std::vector<int> worklist = in_stage_;
    const auto visit = [&](int input) {
      if (s_.state(input).role != Role::kConstantLike) return;
      if (constants.insert(input).second) worklist.push_back(input);
    };
    for (std::size_t i = 0; i < worklist.size(); ++i) {
      for (const Endpoint& in : s_.node(worklist[i]).inputs) visit(in.node);
      for (int in : index_.controls(worklist[i])) visit(in);
    }
    stage_.constants.assign(constants.begin(), constants.end());
    SortByRank(stage_.constants);

    SortByRank(worklist);
    std::set<std::pair<int, int>> seen;
    for (int n : worklist) {
      for (const Endpoint& in : s_.node(n).inputs) {
        if (s_.state(in.node).role != Role::kHandle) continue;
        if (seen.emplace(in.node, in.output).second) stage_.args.push_back(in);
      }
    }
  }

  bool Crosses(int n, int output) const {
    if (sides_.in_main[n]) return false;
    if (main_uses_(n, output)) return true;
    for (const Use& use : index_.uses(n)) {
      if (use.output == output && sides_.in_main[use.node]) return true;
    }
    return false;
  }

  void AddOutputs() {
    // Nodes from which another crossing tensor is computed, in the stage.
    std::set<int> above_crossing;
    for (auto it = in_stage_.rbegin(); it != in_stage_.rend(); ++it) {
      const int outputs = static_cast<int>(s_.node(*it).outputs.size());
      std::vector<Crossing> crossing;
      for (int o = 0; o < outputs; ++o) {
        if (Crosses(*it, o)) crossing.push_back({{*it, o}, false});
      }
      const bool above = above_crossing.count(*it) != 0;
      const bool whole = static_cast<int>(crossing.size()) == outputs;
      for (Crossing& c : crossing) {
        c.keeps_name = whole && !above;
        stage_.outputs.push_back(c);
      }
      if (crossing.empty() && !above) continue;
      for (const Endpoint& in : s_.node(*it).inputs) above_crossing.insert(in.node);
    }
    std::sort(stage_.outputs.begin(), stage_.outputs.end(),
              [&](const Crossing& a, const Crossing& b) {
                if (a.from.node != b.from.node) {
                  return s_.node(a.from.node).name < s_.node(b.from.node).name;
                }
                return a.from.output < b.from.output;
              });
  }

  const Staging& s_;
  const GraphIndex& index_;
  const MainUses& main_uses_;
  const Sides& sides_;
  Stage stage_;
  std::vector<int> in_stage_;
};

}  // namespace

Sides ChooseSides(const Staging& staging, const MainUses& main_uses) {
  const GraphIndex& index = staging.index();
  Sides sides;
  sides.in_stage.assign(index.size(), 0);
  sides.dead_in.assign(index.size(), -1);
  if (staging.options().cut == Cut::kAuto) {
    sides.in_main = ChooseRecomputed(staging, main_uses);
  } else {
    sides.in_main.assign(index.size(), 0);
  }
  const std::vector<int>& order = index.order();
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    const int n = *it;
    if (!staging.candidate(n)) continue;
    if (!sides.in_main[n]) sides.in_stage[n] = 1;
    if (!sides.in_stage[n]) continue;
    for (const Endpoint& in : staging.node(n).inputs) sides.in_stage[in.node] = 1;
    for (int in : index.controls(n)) sides.in_stage[in] = 1;
  }
  for (int n : order) {
    if (!staging.candidate(n)) sides.in_stage[n] = 0;
    if (staging.state(n).role != Role::kDead) continue;
    const auto leaves_with = [&](int input) {
      if (staging.candidate(input) && !sides.in_main[input]) return staging.state(input).group;
      return sides.dead_in[input];
    };
    for (const Endpoint& in : staging.node(n).inputs) {
      if (sides.dead_in[n] < 0) sides.dead_in[n] = leaves_with(in.node);
    }
    for (int in : index.controls(n)) {
      if (sides.dead_in[n] < 0) sides.dead_in[n] = leaves_with(in);
    }
  }
  return sides;
}

Stage AssembleStage(const Staging& staging, const MainUses& main_uses, const Sides& sides,
                    const std::vector<int>& members, const std::vector<int>& dead) {
  return Assembler(staging, main_uses, sides).Build(members, dead);
}

}  // namespace headrace::plan
