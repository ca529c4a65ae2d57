#include "plan/max_flow.h"

#include <algorithm>

namespace headrace::plan {

int MaxFlow::AddNode() {
  first_.push_back(-1);
  return static_cast<int>(first_.size()) - 1;
}

void MaxFlow::AddEdge(int from, int to, std::int64_t capacity) {
  edges_.push_back({to, first_[from], capacity});
  first_[from] = static_cast<int>(edges_.size()) - 1;
  edges_.push_back({from, first_[to], 0});
  first_[to] = static_cast<int>(edges_.size()) - 1;
}

// Breadth-first levels over edges with residual capacity; stops when the sink is reached, because
// only shortest paths are augmented.
bool MaxFlow::FindLevels(int source, int sink) {
  level_.assign(first_.size(), -1);
  level_[source] = 0;
  queue_.assign(1, source);
  for (std::size_t i = 0; i < queue_.size(); ++i) {
    const int n = queue_[i];
    if (level_[sink] >= 0 && level_[n] >= level_[sink]) return true;
    for (int e = first_[n]; e >= 0; e = edges_[e].next) {
      if (edges_[e].residual == 0 || level_[edges_[e].to] >= 0) continue;
      level_[edges_[e].to] = level_[n] + 1;
      queue_.push_back(edges_[e].to);
    }
  }
  return level_[sink] >= 0;
}

// One blocking flow along the levels.
std::int64_t MaxFlow::Augment(int source, int sink) {
  current_ = first_;
  path_.clear();
  std::int64_t total = 0;
  for (int n = source;;) {
    if (n == sink) {
      std::int64_t pushed = kInfinite;
      for (int e : path_) pushed = std::min(pushed, edges_[e].residual);
      total += pushed;
      std::size_t saturated = path_.size();
      for (std::size_t i = path_.size(); i-- > 0;) {
        edges_[path_[i]].residual -= pushed;
        edges_[path_[i] ^ 1].residual += pushed;
        if (edges_[path_[i]].residual == 0) saturated = i;
      }
      n = edges_[path_[saturated] ^ 1].to;
      path_.resize(saturated);
      continue;
    }
    int& e = current_[n];
    while (e >= 0 && (edges_[e].residual == 0 || level_[edges_[e].to] != level_[n] + 1)) {
      e = edges_[e].next;
    }
    if (e >= 0) {
      path_.push_back(e);
      n = edges_[e].to;
    } else if (path_.empty()) {
      return total;
    } else {
      level_[n] = -1;
      n = edges_[path_.back() ^ 1].to;
      path_.pop_back();
    }
  }
}

std::int64_t MaxFlow::Solve(int source, int sink) {
  std::int64_t total = 0;
  while (FindLevels(source, sink)) total += Augment(source, sink);
  return total;
}

}  // namespace headrace::plan
