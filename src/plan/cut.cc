#include "plan/cut.h"

#include <algorithm>
#include <cmath>

#include "plan/max_flow.h"

namespace headrace::plan {
namespace {

// Costs as whole numbers, so that the optimum does not depend on rounding along the way. Anything
// above the cap (a second) is as good as any other.
std::int64_t Fixed(double cost) {
  constexpr double kCap = 1e6;
  constexpr double kUnits = 1e6;
  if (!(cost > 0)) return 0;
  return std::llround(std::min(cost, kCap) * kUnits);
}

class CutNetwork {
 public:
  CutNetwork(const Staging& staging, const MainUses& main_uses)
      : s_(staging),
        index_(staging.index()),
        main_uses_(main_uses),
        node_id_(index_.size(), -1),
        tensor_id_(main_uses.size(), -1),
        main_(flow_.AddNode()),
        stage_(flow_.AddNode()) {
    FindWholeSets();
  }

  std::vector<bool> Solve() {
    for (int n : index_.order()) {
      if (!Eligible(n)) continue;
      const int outputs = static_cast<int>(s_.node(n).outputs.size());
      for (int o = 0; o < outputs; ++o) {
        if (main_uses_(n, o)) flow_.AddEdge(main_, Visit(n), CrossingCost(n, o));
      }
    }
    for (std::size_t i = 0; i < visited_.size(); ++i) AddNode(visited_[i]);
    flow_.Solve(main_, stage_);
    std::vector<bool> in_main(index_.size(), 0);
    for (int n : visited_) in_main[n] = flow_.OnSourceSide(node_id_[n]);
    return in_main;
  }

 private:
  // The set of all sources of each stage (session graphs).
  void FindWholeSets() {
    if (!s_.options().fetches_unknown) return;
    for (int source : s_.sources()) {
      if (!s_.candidate(source)) continue;
      const std::size_t group = s_.state(source).group;
      if (group >= sources_in_group_.size()) sources_in_group_.resize(group + 1, 0);
      ++sources_in_group_[group];
    }
  }

  bool Eligible(int n) const {
    const Node& node = s_.node(n);
    if (!s_.candidate(n) || !node.cheap || node.trait != Trait::kPure) return false;
    for (int in : index_.controls(n)) {
      if (s_.candidate(in)) return false;
    }
    return true;
  }

  // A tensor that crosses is taken together with one element of every source of the stage; where
  // fetches are not known it must depend on all of them.
  bool MayCross(int n, int output) const {
    if (s_.draw_only(n) || !s_.node(n).outputs[output].can_cross) return false;
    if (!s_.options().fetches_unknown) return true;
    return s_.sets().Size(s_.state(n).deps) == sources_in_group_[s_.state(n).group];
  }

  std::int64_t CrossingCost(int n, int output) const {
    const CostModel& cost = s_.options().cost;
    const std::int64_t bytes = s_.node(n).outputs[output].bytes;
    const double kilobytes = bytes > 0 ? static_cast<double>(bytes) / 1024.0 : 0.0;
    return Fixed(cost.per_crossing_tensor + cost.per_crossing_kilobyte * kilobytes);
  }

  int Visit(int n) {
    if (node_id_[n] < 0) {
      node_id_[n] = flow_.AddNode();
      visited_.push_back(n);
    }
    return node_id_[n];
  }

  void AddNode(int n) {
    flow_.AddEdge(node_id_[n], stage_, Fixed(s_.node(n).cost));
    for (const Endpoint& in : s_.node(n).inputs) {
      // What crosses whatever the cut costs nothing more.
      if (!s_.candidate(in.node)) continue;
      const bool eligible = Eligible(in.node);
      if (!main_uses_(in.node, in.output)) {
        flow_.AddEdge(node_id_[n], Tensor(in, eligible), MaxFlow::kInfinite);
      }
    }
  }

  int Tensor(const Endpoint& tensor, bool eligible) {
    int& id = tensor_id_[main_uses_.Position(tensor.node, tensor.output)];
    if (id >= 0) return id;
    id = flow_.AddNode();
    const bool may_cross = MayCross(tensor.node, tensor.output);
    flow_.AddEdge(id, eligible ? Visit(tensor.node) : stage_,
                  may_cross ? CrossingCost(tensor.node, tensor.output) : MaxFlow::kInfinite);
    return id;
  }

  const Staging& s_;
  const GraphIndex& index_;
  const MainUses& main_uses_;
  std::vector<std::size_t> sources_in_group_;
  std::vector<int> node_id_;
  std::vector<int> tensor_id_;
  std::vector<int> visited_;  // eligible nodes from which the main graph uses something
  MaxFlow flow_;
  int main_;
  int stage_;
};

}  // namespace

MainUses::MainUses(const Staging& staging) {
  const GraphIndex& index = staging.index();
  start_.resize(index.size());
  int count = 0;
  for (int n = 0; n < index.size(); ++n) {
    start_[n] = count;
    count += static_cast<int>(staging.node(n).outputs.size());
  }
  used_.assign(count, 0);
  for (int n = 0; n < index.size(); ++n) {
    if (!staging.candidate(n)) continue;
    const auto first = used_.begin() + start_[n];
    if (staging.leaf(n) || staging.kept_source(n)) {
      std::fill(first, first + static_cast<int>(staging.node(n).outputs.size()), 1);
    }
    for (const Use& use : index.uses(n)) {
      if (use.output != Use::kControl && staging.consumer_in_main(use.node)) first[use.output] = 1;
    }
  }
}

std::vector<bool> ChooseRecomputed(const Staging& staging, const MainUses& main_uses) {
  return CutNetwork(staging, main_uses).Solve();
}

}  // namespace headrace::plan
