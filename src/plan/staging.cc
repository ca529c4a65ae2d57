#include "plan/staging.h"

#include "plan/classify.h"

namespace headrace::plan {
namespace {

int CountSources(const Graph& graph, const PlanOptions& options) {
  if (!options.fetches_unknown) return 1;
  int count = 0;
  for (const Node& node : graph.nodes) count += node.trait == Trait::kSource;
  return count;
}

}  // namespace

Staging::Staging(const GraphIndex& index, const PlanOptions& options)
    : index_(index),
      options_(options),
      states_(index.size()),
      source_number_(index.size(), -1),
      sets_(CountSources(index.graph(), options)),
      devices_{""} {
  for (int n : index.order()) {
    if (node(n).trait != Trait::kSource) continue;
    source_number_[n] = static_cast<int>(sources_.size());
    sources_.push_back(n);
  }
  Classifier(*this).Run();
  Settle();
}

void Staging::Settle() {
  const std::vector<int>& order = index_.order();
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    const int n = *it;
    if (!candidate(n)) continue;
    int staged_uses = 0, main_use = -1;
    for (const Use& use : index_.uses(n)) {
      if (candidate(use.node)) ++staged_uses;
      if (consumer_in_main(use.node) && main_use < 0) main_use = use.node;
    }
    states_[n].waiters = staged_uses;
    if (node(n).outputs.empty() && staged_uses == 0) {
      BlockNode(n, ReasonCode::kUnused);
    } else if (draw_only(n) && (main_use >= 0 || staged_uses == 0 || leaf(n))) {
      BlockNode(n, ReasonCode::kDrawOutside, main_use);
    }
  }
}

void Staging::BlockNode(int n, ReasonCode code, int other) {
  const auto block = [this](int m, Block why) {
    if (!candidate(m)) return;
    states_[m].role = Role::kMain;
    states_[m].block = why;
    worklist_.push_back(m);
  };
  if (!candidate(n)) return;
  ++blocked_;
  block(n, {code, other});
  for (std::size_t next = 0; next < worklist_.size(); ++next) {
    const int m = worklist_[next];
    for (const Use& use : index_.uses(m)) block(use.node, {});
    const Block why = states_[m].block;
    const int culprit = why.code == ReasonCode::kDrawOutside ? why.other : m;
    const auto release = [&](int input) {
      if (!candidate(input)) return;
      if (draw_only(input)) {
        block(input, {ReasonCode::kDrawOutside, culprit});
      } else if (node(input).outputs.empty() && --states_[input].waiters == 0) {
        block(input, {ReasonCode::kUnused, -1});
      }
    };
    for (const Endpoint& in : node(m).inputs) release(in.node);
    for (int in : index_.controls(m)) release(in);
  }
  worklist_.clear();
}

}  // namespace headrace::plan
