// Minimum cut between two nodes of a directed network (Dinic's algorithm).
#ifndef HEADRACE_PLAN_MAX_FLOW_H_
#define HEADRACE_PLAN_MAX_FLOW_H_

#include <cstdint>
#include <vector>

namespace headrace::plan {

// Units: capacities are whole numbers, at least 0; the sum of the finite ones must stay below
// kInfinite.
// Thread safety: none.
// Recursion: none, so that long chains need no stack.
class MaxFlow {
 public:
  static constexpr std::int64_t kInfinite = INT64_MAX / 2;

  // Returns the new node's number, counted from 0.
  int AddNode();
  void AddEdge(int from, int to, std::int64_t capacity);

  // Requires: no path of infinite capacity from `source` to `sink`. Returns the cut's capacity.
  std::int64_t Solve(int source, int sink);
  // After Solve(): on the source's side of the minimum cut whose source side is smallest.
  bool OnSourceSide(int node) const { return level_[node] >= 0; }

 private:
  struct Edge {
    int to;
    int next;  // next edge out of the same node, or -1
    std::int64_t residual;
  };

  bool FindLevels(int source, int sink);
  std::int64_t Augment(int source, int sink);

  std::vector<Edge> edges_;  // edge e and its reverse e ^ 1
  std::vector<int> first_, level_, current_, queue_, path_;
};

}  // namespace headrace::plan

#endif  // HEADRACE_PLAN_MAX_FLOW_H_
