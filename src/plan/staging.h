// The planner's working state: what may still be staged, and why the rest may not.
#ifndef HEADRACE_PLAN_STAGING_H_
#define HEADRACE_PLAN_STAGING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "plan/dependency_sets.h"
#include "plan/graph_index.h"
#include "plan/plan.h"

namespace headrace::plan {

enum class Role : std::uint8_t {
  kMain,          // stays in the main graph
  kConstantLike,  // stays in the main graph; a stage may hold a copy
  kHandle,        // stays in the main graph; a stage may take it as an argument
  kCandidate,     // staged, unless a later step blocks it
  kDead,          // function graphs: nothing with an effect uses it; neither staged nor a consumer
};

// Why a node was blocked. `other` is the node to blame besides itself, or -1.
// code == kNone: for no reason of its own; an input is blocked.
struct Block {
  ReasonCode code = ReasonCode::kNone;
  int other = -1;
};

struct NodeState {
  Role role = Role::kMain;
  Block block;
  int deps = DependencySets::kEmpty;  // candidates: the sources that it depends on
  bool random_only = false;           // is or was a candidate that depends on random ops only
  int device = 0;                     // common device of it and of what it needs in a stage
  int waiters = 0;                    // candidates without outputs: staged nodes that wait for it
  int group = -1;                     // candidates, once grouped: the stage
};

// What is staged shrinks from "everything that its own inputs allow" (classify.cc) until what is
// left can run ahead as a whole. Blocking is monotone: each rule blocks at least as much when more
// is blocked already, so the result does not depend on the order in which rules are applied. (The
// one exception, devices, is applied in topological order.)
// Thread safety: none; one planner run owns it.
class Staging {
 public:
  // Classifies every node (classify.cc) and settles the result.
  Staging(const GraphIndex& index, const PlanOptions& options);

  const GraphIndex& index() const { return index_; }
  const PlanOptions& options() const { return options_; }
  const Node& node(int n) const { return index_.node(n); }
  const NodeState& state(int n) const { return states_[n]; }
  NodeState& state(int n) { return states_[n]; }

  bool candidate(int n) const { return states_[n].role == Role::kCandidate; }
  // Belongs to the main graph for good and consumes what it takes from a stage.
  bool consumer_in_main(int n) const {
    return states_[n].role == Role::kMain || states_[n].role == Role::kHandle;
  }
  // A candidate that depends on random ops only.
  bool draw_only(int n) const { return candidate(n) && states_[n].random_only; }
  // May be fetched although nothing consumes it.
  bool leaf(int n) const {
    return options_.fetches_unknown && !node(n).outputs.empty() && !index_.consumed(n);
  }
  bool kept_source(int n) const { return node(n).keep && node(n).trait == Trait::kSource; }

  // In session graphs exact; in function graphs every source is element 0, so that only emptiness
  // means something (there, connectivity decides).
  DependencySets& sets() { return sets_; }
  const DependencySets& sets() const { return sets_; }
  // Sources by rank; a source's position here is its element in sets() in session graphs.
  const std::vector<int>& sources() const { return sources_; }
  int source_number(int n) const { return source_number_[n]; }

  const std::string& device_name(int device) const { return devices_[device]; }
  // Merges device `from` into `into`; false if both are named and differ.
  static bool MergeDevice(int from, int& into) {
    if (from == 0 || from == into) return true;
    if (into != 0) return false;
    into = from;
    return true;
  }

  // Blocks `n`, and then what needs it, the random ops whose values are no longer used in one stage
  // only, and the nodes without outputs that no staged node waits for any more. No effect if `n` is
  // no candidate. Linear in the edges of the nodes that it blocks.
  void BlockNode(int n, ReasonCode code, int other = -1);
  // Counts calls of BlockNode() that had an effect.
  int blocked() const { return blocked_; }

 private:
  friend class Classifier;
  // Applies the rules about random ops and nodes without outputs for the first time.
  void Settle();

  const GraphIndex& index_;
  const PlanOptions& options_;
  std::vector<NodeState> states_;
  std::vector<int> sources_;
  std::vector<int> source_number_;
  DependencySets sets_;
  std::vector<std::string> devices_;
  std::vector<int> worklist_;
  int blocked_ = 0;
};

// Gives every candidate its stage (NodeState::group, numbered from 0 in the order of first sources)
// and blocks those that fit into none. Returns the number of stages.
int GroupStages(Staging& staging);

}  // namespace headrace::plan

#endif  // HEADRACE_PLAN_STAGING_H_
