#include "plan/graph_index.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <queue>

namespace headrace::plan {

GraphIndex::GraphIndex(const Graph& graph) : graph_(graph) {
  Sort();
  CollectEdges();
}

void GraphIndex::Sort() {
  const int n = size();
  std::vector<int> by_name(n);
  std::iota(by_name.begin(), by_name.end(), 0);
  std::sort(by_name.begin(), by_name.end(),
            [&](int a, int b) { return node(a).name < node(b).name; });
  std::vector<int> name_rank(n);
  for (int i = 0; i < n; ++i) name_rank[by_name[i]] = i;

  std::vector<int> waiting(n, 0), start(n + 1, 0);
  const auto for_each_ordering_edge = [&](auto&& visit) {
    for (int to = 0; to < n; ++to) {
      if (node(to).trait == Trait::kBarrier) continue;
      for (const Endpoint& in : node(to).inputs) visit(in.node, to);
      for (int from : node(to).control_inputs) visit(from, to);
    }
  };
  for_each_ordering_edge([&](int from, int to) { ++start[from + 1], ++waiting[to]; });
  std::partial_sum(start.begin(), start.end(), start.begin());
  std::vector<int> next(start[n]), fill(start.begin(), start.end() - 1);
  for_each_ordering_edge([&](int from, int to) { next[fill[from]++] = to; });

  std::priority_queue<int, std::vector<int>, std::greater<int>> ready;
  for (int i = 0; i < n; ++i) {
    if (waiting[i] == 0) ready.push(name_rank[i]);
  }
  order_.reserve(n);
  while (!ready.empty()) {
    const int i = by_name[ready.top()];
    ready.pop();
    order_.push_back(i);
    for (int e = start[i]; e < start[i + 1]; ++e) {
      if (--waiting[next[e]] == 0) ready.push(name_rank[next[e]]);
    }
  }
  acyclic_ = static_cast<int>(order_.size());
  for (int i : by_name) {
    if (waiting[i] > 0) order_.push_back(i);
  }
  rank_.resize(n);
  for (int r = 0; r < n; ++r) rank_[order_[r]] = r;
}

void GraphIndex::CollectEdges() {
  const int n = size();
  use_start_.assign(n + 1, 0);
  control_start_.assign(n + 1, 0);
  consumed_.assign(n, 0);
  for (int i = 0; i < n; ++i) {
    for (const Endpoint& in : node(i).inputs) ++use_start_[in.node + 1], consumed_[in.node] = 1;
    for (int from : node(i).control_inputs) ++use_start_[from + 1];
    control_start_[i + 1] = static_cast<int>(node(i).control_inputs.size());
  }
  std::partial_sum(use_start_.begin(), use_start_.end(), use_start_.begin());
  std::partial_sum(control_start_.begin(), control_start_.end(), control_start_.begin());
  // One element more than is used, so that the address of the end exists.
  uses_.resize(use_start_[n] + 1);
  controls_.resize(control_start_[n] + 1);
  std::vector<int> fill(use_start_.begin(), use_start_.end() - 1);
  for (int i : order_) {
    for (const Endpoint& in : node(i).inputs) uses_[fill[in.node]++] = {i, in.output};
    for (int from : node(i).control_inputs) uses_[fill[from]++] = {i, Use::kControl};
    auto* first = &controls_[control_start_[i]];
    auto* last = std::copy(node(i).control_inputs.begin(), node(i).control_inputs.end(), first);
    std::sort(first, last, [&](int a, int b) { return rank_[a] < rank_[b]; });
  }
}

}  // namespace headrace::plan
