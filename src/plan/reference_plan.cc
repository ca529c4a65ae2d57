#include "plan/reference_plan.h"

#include <algorithm>

namespace headrace::plan {
namespace {

constexpr NodeSet Bit(int n) {
  return NodeSet{1} << n;
}
bool Has(NodeSet set, int n) {
  return (set >> n) & 1;
}

// What does not depend on which nodes are staged.
class Facts {
 public:
  Facts(const Graph& graph, const PlanOptions& options)
      : graph_(graph), options_(options), size_(static_cast<int>(graph.nodes.size())) {
    FindTainted();
    FindDead();
    // Each pass settles at least one node more.
    for (int pass = 0; pass < size_; ++pass) {
      for (int n = 0; n < size_; ++n) Settle(n);
    }
  }

  const Graph& graph() const { return graph_; }
  const PlanOptions& options() const { return options_; }
  int size() const { return size_; }
  const Node& node(int n) const { return graph_.nodes[n]; }
  NodeSet constants() const { return constants_; }
  NodeSet handles() const { return handles_; }
  NodeSet dead() const { return dead_; }

  bool Consumed(int n) const {
    for (const Node& user : graph_.nodes) {
      for (const Endpoint& in : user.inputs) {
        if (in.node == n) return true;
      }
    }
    return false;
  }
  bool Leaf(int n) const {
    return options_.fetches_unknown && !node(n).outputs.empty() && !Consumed(n);
  }
  bool KeptSource(int n) const { return node(n).keep && node(n).trait == Trait::kSource; }

  // May the node be staged at all, were all of its candidate inputs staged?
  bool Possible(int n) const {
    const Node& node = this->node(n);
    if (Has(constants_ | dead_, n) || node.target || node.excluded) return false;
    if (node.keep && node.trait != Trait::kSource) return false;
    if (node.trait == Trait::kHandle || node.trait == Trait::kQueueWrite ||
        node.trait == Trait::kBarrier) {
      return false;
    }
    for (int m = 0; m < size_; ++m) {
      const bool same = node.trait == Trait::kSource && this->node(m).trait == Trait::kSource &&
                        !node.resource.empty() && node.resource == this->node(m).resource;
      if (m != n && same) return false;
    }
    return options_.grow || Has(above_marks_, n);
  }

 private:
  template <typename Visit>
  void Spread(NodeSet& set, Visit&& from_inputs) const {
    for (int pass = 0; pass < size_; ++pass) {
      for (int n = 0; n < size_; ++n) {
        for (const Endpoint& in : node(n).inputs) from_inputs(set, n, in.node);
        for (int in : node(n).control_inputs) from_inputs(set, n, in);
      }
    }
  }

  void FindTainted() {
    for (int n = 0; n < size_; ++n) {
      if (node(n).trait == Trait::kSource || node(n).target) tainted_ |= Bit(n);
      if (node(n).mark >= 0) above_marks_ |= Bit(n);
    }
    Spread(tainted_, [](NodeSet& set, int n, int in) {
      if (Has(set, in)) set |= Bit(n);
    });
    Spread(above_marks_, [](NodeSet& set, int n, int in) {
      if (Has(set, n)) set |= Bit(in);
    });
  }

  void FindDead() {
    if (options_.fetches_unknown) return;
    for (int n = 0; n < size_; ++n) {
      const bool pure = node(n).trait == Trait::kPure || node(n).trait == Trait::kConstant;
      if (pure && !node(n).outputs.empty() && !node(n).keep && !node(n).target) dead_ |= Bit(n);
    }
    Spread(dead_, [](NodeSet& set, int n, int in) {
      if (!Has(set, n)) set &= ~Bit(in);
    });
  }

  // Copyable to both sides, or an argument.
  void Settle(int n) {
    const Node& node = this->node(n);
    if (Has(dead_, n) || node.target) return;
    bool controls = true, data = true;
    for (int in : node.control_inputs) controls &= Has(constants_ | handles_, in);
    for (const Endpoint& in : node.inputs) {
      data &= Has(constants_ | handles_, in.node);
      if (Has(handles_, in.node)) data &= this->node(in.node).outputs[in.output].can_cross;
    }
    if (node.trait == Trait::kHandle) {
      if (controls && !Has(tainted_, n)) handles_ |= Bit(n);
      return;
    }
    const bool inert = node.trait == Trait::kConstant || node.trait == Trait::kPure ||
                       node.trait == Trait::kAssert;
    if (!inert || node.keep || node.excluded || !controls || !data) return;
    // A reference that is used, or may be fetched, ties its producer to the main graph.
    for (std::size_t o = 0; o < node.outputs.size(); ++o) {
      if (node.outputs[o].can_cross) continue;
      if (Leaf(n)) return;
      for (int user = 0; user < size_; ++user) {
        for (const Endpoint& in : this->node(user).inputs) {
          const bool reference = in.node == n && in.output == static_cast<int>(o);
          if (reference && !Has(dead_, user)) return;
        }
      }
    }
    constants_ |= Bit(n);
  }

  const Graph& graph_;
  const PlanOptions& options_;
  const int size_;
  NodeSet tainted_ = 0, above_marks_ = 0, dead_ = 0, constants_ = 0, handles_ = 0;
};

// Is a set of nodes legal?
class Legality {
 public:
  Legality(const Facts& facts, NodeSet set) : f_(facts), set_(set) {}

  bool Check() {
    for (int n = 0; n < f_.size(); ++n) {
      if (Has(set_, n) && !InputsLegal(n)) return false;
    }
    FindParts();
    FindDependencies();
    for (NodeSet part : parts_) {
      if (!PartLegal(part)) return false;
    }
    for (int n = 0; n < f_.size(); ++n) {
      if (Has(set_, n) && f_.node(n).outputs.empty() && !WaitedFor(n)) return false;
    }
    return true;
  }

  const std::vector<NodeSet>& parts() const { return parts_; }
  const std::vector<NodeSet>& dependencies() const { return deps_; }

  // Has a mark where the graph has any, and yields tensors, for something other than a queue. A
  // part that is not wanted is not staged at all; a smaller one is not tried in its place.
  bool Wanted(NodeSet part) const {
    bool crosses = false, beyond_queue = false, marked = false, any_mark = false;
    for (int n = 0; n < f_.size(); ++n) {
      any_mark |= f_.node(n).mark >= 0;
      if (!Has(part, n)) continue;
      marked |= f_.node(n).mark >= 0;
      const Uses uses = UsesOutside(n);
      crosses |= uses.tensor;
      beyond_queue |= uses.beyond_queue;
    }
    return (marked || !any_mark) && crosses && beyond_queue;
  }

 private:
  struct Uses {
    bool any = false, tensor = false, reference = false, beyond_queue = false;
  };
  bool InputsLegal(int n) const {
    const Node& node = f_.node(n);
    for (const Endpoint& in : node.inputs) {
      const bool staged = Has(set_, in.node);
      const bool handle = Has(f_.handles(), in.node);
      if (!staged && !handle && !Has(f_.constants(), in.node)) return false;
      if ((staged || handle) && !f_.node(in.node).outputs[in.output].can_cross) return false;
      if (staged && f_.KeptSource(in.node)) return false;
      const bool read = node.trait == Trait::kSource || node.trait == Trait::kDraw;
      if (read && staged) return false;
    }
    for (int in : node.control_inputs) {
      const bool staged = Has(set_, in);
      if (!staged && !Has(f_.constants() | f_.handles(), in)) return false;
      if (staged && f_.KeptSource(in)) return false;
      if (staged && node.trait == Trait::kDraw) return false;
      if (staged && node.trait == Trait::kSource && f_.node(in).trait != Trait::kSource) {
        return false;
      }
    }
    return true;
  }

  bool Connected(int a, int b) const {
    const Node& node = f_.node(b);
    for (const Endpoint& in : node.inputs) {
      if (in.node == a) return true;
    }
    return std::count(node.control_inputs.begin(), node.control_inputs.end(), a) != 0;
  }

  void FindParts() {
    NodeSet left = set_;
    while (left != 0) {
      NodeSet part = left & -left;
      for (bool grown = true; grown;) {
        grown = false;
        for (int a = 0; a < f_.size(); ++a) {
          for (int b = 0; b < f_.size(); ++b) {
            if (!Has(set_, a) || !Has(set_, b) || Has(part, a) == Has(part, b)) continue;
            if (!Connected(a, b)) continue;
            part |= Bit(a) | Bit(b);
            grown = true;
          }
        }
      }
      parts_.push_back(part);
      left &= ~part;
    }
  }

  void FindDependencies() {
    deps_.assign(f_.size(), 0);
    for (int pass = 0; pass < f_.size(); ++pass) {
      for (int n = 0; n < f_.size(); ++n) {
        if (!Has(set_, n)) continue;
        if (f_.node(n).trait == Trait::kSource) deps_[n] |= Bit(n);
        for (const Endpoint& in : f_.node(n).inputs) deps_[n] |= deps_[in.node];
        for (int in : f_.node(n).control_inputs) deps_[n] |= deps_[in];
      }
    }
  }

  Uses UsesOutside(int n) const {
    Uses uses;
    if (f_.Leaf(n) || f_.KeptSource(n)) uses = {true, true, AnyReference(n), true};
    for (int user = 0; user < f_.size(); ++user) {
      if (Has(set_ | f_.dead(), user) || !Connected(n, user)) continue;
      uses.any = true;
      uses.beyond_queue |= f_.node(user).trait != Trait::kQueueWrite;
      for (const Endpoint& in : f_.node(user).inputs) {
        if (in.node != n) continue;
        uses.tensor = true;
        uses.reference |= !f_.node(n).outputs[in.output].can_cross;
      }
    }
    return uses;
  }

  bool PartLegal(NodeSet part) const {
    NodeSet sources = 0;
    for (int n = 0; n < f_.size(); ++n) {
      if (Has(part, n) && f_.node(n).trait == Trait::kSource) sources |= Bit(n);
    }
    if (sources == 0) return false;
    for (int n = 0; n < f_.size(); ++n) {
      if (!Has(part, n)) continue;
      const Uses uses = UsesOutside(n);
      if (uses.reference) return false;
      if (!uses.any) continue;
      if (deps_[n] == 0 || (f_.options().fetches_unknown && deps_[n] != sources)) return false;
    }
    return true;
  }

  bool AnyReference(int n) const {
    for (const OutputInfo& output : f_.node(n).outputs) {
      if (!output.can_cross) return true;
    }
    return false;
  }

  // By a staged node with outputs, directly or through nodes without.
  bool WaitedFor(int n) const {
    for (int user = 0; user < f_.size(); ++user) {
      if (!Has(set_, user) || !Connected(n, user)) continue;
      if (!f_.node(user).outputs.empty() || WaitedFor(user)) return true;
    }
    return false;
  }

  const Facts& f_;
  const NodeSet set_;
  std::vector<NodeSet> parts_;
  std::vector<NodeSet> deps_;
};

// The cost of a cut, or -1 if it is not legal.
double CutCost(const Facts& facts, const Legality& legality, const std::vector<NodeSet>& stages,
               NodeSet staged, NodeSet recomputed) {
  double cost = 0;
  for (int n = 0; n < facts.size(); ++n) {
    if (Has(recomputed, n)) cost += facts.node(n).cost;
    if (!Has(staged & ~recomputed, n)) continue;
    NodeSet sources = 0;
    for (NodeSet stage : stages) {
      if (!Has(stage, n)) continue;
      for (int m = 0; m < facts.size(); ++m) {
        if (Has(stage, m) && facts.node(m).trait == Trait::kSource) sources |= Bit(m);
      }
    }
    for (std::size_t o = 0; o < facts.node(n).outputs.size(); ++o) {
      const OutputInfo& output = facts.node(n).outputs[o];
      bool crosses = facts.Leaf(n) || facts.KeptSource(n);
      for (int user = 0; user < facts.size(); ++user) {
        if (Has(staged & ~recomputed, user) || Has(facts.dead(), user)) continue;
        for (const Endpoint& in : facts.node(user).inputs) {
          crosses |= in.node == n && in.output == static_cast<int>(o);
        }
      }
      if (!crosses) continue;
      const NodeSet deps = legality.dependencies()[n];
      if (!output.can_cross || deps == 0) return -1;
      if (facts.options().fetches_unknown && deps != sources) return -1;
      const CostModel& model = facts.options().cost;
      cost += model.per_crossing_tensor;
      if (output.bytes > 0) {
        cost += model.per_crossing_kilobyte * static_cast<double>(output.bytes) / 1024;
      }
    }
  }
  return cost;
}

}  // namespace

ReferencePlan PlanByEnumeration(const Graph& graph, const PlanOptions& options) {
  const Facts facts(graph, options);
  std::vector<int> possible;
  for (int n = 0; n < facts.size(); ++n) {
    if (facts.Possible(n)) possible.push_back(n);
  }
  ReferencePlan plan;
  NodeSet all = 0;
  for (NodeSet choice = 0; choice < Bit(static_cast<int>(possible.size())); ++choice) {
    NodeSet set = 0;
    for (std::size_t i = 0; i < possible.size(); ++i) {
      if (Has(choice, static_cast<int>(i))) set |= Bit(possible[i]);
    }
    if (!Legality(facts, set).Check()) continue;
    all |= set;
    if (__builtin_popcount(set) > __builtin_popcount(plan.staged)) plan.staged = set;
  }
  plan.unique = all == plan.staged;
  Legality legality(facts, plan.staged);
  legality.Check();
  plan.staged = 0;
  for (NodeSet part : legality.parts()) {
    if (!legality.Wanted(part)) continue;
    plan.stages.push_back(part);
    plan.staged |= part;
  }
  return plan;
}

ReferenceCut CutByEnumeration(const Graph& graph, const PlanOptions& options,
                              const std::vector<NodeSet>& stages) {
  const Facts facts(graph, options);
  NodeSet staged = 0;
  for (NodeSet stage : stages) staged |= stage;
  Legality legality(facts, staged);
  legality.Check();
  std::vector<int> cheap;
  for (int n = 0; n < facts.size(); ++n) {
    const Node& node = facts.node(n);
    bool free = Has(staged, n) && node.cheap && node.trait == Trait::kPure;
    for (int in : node.control_inputs) free &= !Has(staged, in);
    if (free) cheap.push_back(n);
  }
  ReferenceCut best{-1, 0};
  for (NodeSet choice = 0; choice < Bit(static_cast<int>(cheap.size())); ++choice) {
    NodeSet recomputed = 0;
    for (std::size_t i = 0; i < cheap.size(); ++i) {
      if (Has(choice, static_cast<int>(i))) recomputed |= Bit(cheap[i]);
    }
    const double cost = CutCost(facts, legality, stages, staged, recomputed);
    const int count = __builtin_popcount(recomputed);
    if (cost < 0) continue;
    if (best.cost < 0 || cost < best.cost || (cost == best.cost && count < best.recomputed)) {
      best = {cost, count};
    }
  }
  return best;
}

}  // namespace headrace::plan
