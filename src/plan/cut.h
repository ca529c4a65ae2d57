// The cost-based choice among the legal cuts.
#ifndef HEADRACE_PLAN_CUT_H_
#define HEADRACE_PLAN_CUT_H_

#include <vector>

#include "plan/staging.h"

namespace headrace::plan {

// Which outputs of staged nodes the main graph uses whatever the cut: those that a node of the main
// graph consumes, that may be fetched because nothing consumes them, or that keep() names.
class MainUses {
 public:
  explicit MainUses(const Staging& staging);
  bool operator()(int node, int output) const { return used_[start_[node] + output]; }
  // Position of a tensor in a vector of size(), for tables of other users.
  int Position(int node, int output) const { return start_[node] + output; }
  int size() const { return static_cast<int>(used_.size()); }

 private:
  std::vector<int> start_;
  std::vector<bool> used_;
};

// For every node: whether the main graph computes it (again) from what crosses. Only cheap pure
// nodes are chosen, and all that they need is in the main graph or crosses.
//
// Exact: minimises the cost of the nodes so computed plus the cost of the tensors that cross, and
// among the optima computes fewest nodes in the main graph. Requires grouped stages.
//
// Method: a minimum cut, in which the source's side is the main graph. A node on it costs its own
// cost; a tensor that is used on it and produced on the other side costs its crossing.
std::vector<bool> ChooseRecomputed(const Staging& staging, const MainUses& main_uses);

}  // namespace headrace::plan

#endif  // HEADRACE_PLAN_CUT_H_
