// Orders and reverse edges of a Graph, in a form that does not depend on the order of its nodes.
#ifndef HEADRACE_PLAN_GRAPH_INDEX_H_
#define HEADRACE_PLAN_GRAPH_INDEX_H_

#include <vector>

#include "plan/graph.h"

namespace headrace::plan {

// One use of a node by another: `node` consumes output `output`, or waits for it (kControl).
struct Use {
  static constexpr int kControl = -1;
  int node = -1;
  int output = kControl;
};

template <typename T>
class Range {
 public:
  Range(const T* begin, const T* end) : begin_(begin), end_(end) {}
  const T* begin() const { return begin_; }
  const T* end() const { return end_; }
  bool empty() const { return begin_ == end_; }

 private:
  const T* begin_;
  const T* end_;
};

// Topological order and reverse edges of a graph.
// Ownership: keeps a reference to the graph, which must outlive it.
// Thread safety: immutable after construction.
// Ordering: every order below follows from names and edges alone, so two graphs that differ only in
// the order of their nodes get the same one. Edges into kBarrier nodes do not take part in it
// (loops pass through barriers only), so a barrier may come before its inputs.
class GraphIndex {
 public:
  explicit GraphIndex(const Graph& graph);

  const Graph& graph() const { return graph_; }
  const Node& node(int n) const { return graph_.nodes[n]; }
  int size() const { return static_cast<int>(graph_.nodes.size()); }

  // Nodes in topological order, ties by name. Nodes of a cycle without a barrier, and what depends
  // on them, come last.
  const std::vector<int>& order() const { return order_; }
  int rank(int n) const { return rank_[n]; }
  // On or behind a cycle that passes through no barrier (not a graph that TensorFlow could run).
  bool cyclic(int n) const { return rank_[n] >= acyclic_; }

  // Who uses `n`, by rank.
  Range<Use> uses(int n) const { return {&uses_[use_start_[n]], &uses_[use_start_[n + 1]]}; }
  // Control inputs of `n`, by rank.
  Range<int> controls(int n) const {
    return {&controls_[control_start_[n]], &controls_[control_start_[n + 1]]};
  }
  // Some output of `n` is a data input of another node.
  bool consumed(int n) const { return consumed_[n]; }

 private:
  void Sort();
  void CollectEdges();

  const Graph& graph_;
  int acyclic_ = 0;
  std::vector<int> order_, rank_;
  std::vector<int> use_start_, control_start_;
  std::vector<Use> uses_;
  std::vector<int> controls_;
  std::vector<bool> consumed_;
};

}  // namespace headrace::plan

#endif  // HEADRACE_PLAN_GRAPH_INDEX_H_
