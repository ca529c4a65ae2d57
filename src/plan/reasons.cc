#include "plan/reasons.h"

#include <string>

namespace headrace::plan {
namespace {

std::string Quoted(const std::string& name) {
  return "'" + name + "'";
}

class ReasonGiver {
 public:
  ReasonGiver(const Staging& staging, const Sides& sides, const std::vector<Stage>& stages)
      : s_(staging), index_(staging.index()), sides_(sides), stages_(stages) {}

  std::vector<Reason> Run() {
    FindDrawsNearSources();
    root_.assign(index_.size(), -1);
    std::vector<Reason> reasons(index_.size());
    for (int n : index_.order()) reasons[n] = Give(n);
    return reasons;
  }

 private:
  // Random ops, and what they alone feed, of which some use depends on a source: these would be
  // staged but for their other uses. The rest, such as initial values, has nothing to do with
  // staging.
  void FindDrawsNearSources() {
    near_source_.assign(index_.size(), 0);
    const std::vector<int>& order = index_.order();
    for (auto it = order.rbegin(); it != order.rend(); ++it) {
      if (!s_.state(*it).random_only) continue;
      for (const Use& use : index_.uses(*it)) {
        const NodeState& user = s_.state(use.node);
        const bool depends = user.deps != DependencySets::kEmpty;
        if (user.random_only ? near_source_[use.node] : depends) near_source_[*it] = true;
      }
    }
    for (int n : order) {
      if (!s_.state(n).random_only) continue;
      bool near = near_source_[n];
      for (const Endpoint& in : s_.node(n).inputs) near = near || near_source_[in.node];
      for (int in : index_.controls(n)) near = near || near_source_[in];
      near_source_[n] = near;
    }
  }

  ReasonCode OwnCode(int n) const {
    const NodeState& state = s_.state(n);
    if (state.role == Role::kDead) return ReasonCode::kUnused;
    if (state.role == Role::kConstantLike || state.role == Role::kHandle) {
      return ReasonCode::kMainInput;
    }
    if (state.block.code == ReasonCode::kDrawOutside && !near_source_[n]) {
      return ReasonCode::kNoSource;
    }
    return state.block.code;
  }

  Reason Give(int n) {
    const std::string& name = s_.node(n).name;
    const NodeState& state = s_.state(n);
    if (s_.candidate(n)) {
      if (!sides_.in_main[n]) {
        return {ReasonCode::kNone, -1,
                Quoted(name) + " runs ahead in stage " + Quoted(stages_[state.group].name)};
      }
      std::string text = Quoted(name) + " is cheap: the main graph computes it from what crosses";
      if (sides_.in_stage[n]) text += ", and the stage needs it too";
      return {ReasonCode::kCheapToRecompute, -1, text};
    }
    const ReasonCode code = OwnCode(n);
    if (code == ReasonCode::kNone || (code == ReasonCode::kKept && state.block.other >= 0)) {
      return Inherit(n);
    }
    root_[n] = n;
    const int other = code == ReasonCode::kNoSource ? -1 : state.block.other;
    const bool by_input = code == ReasonCode::kSourceInput || code == ReasonCode::kMainInput ||
                          s_.node(n).trait == Trait::kDraw;
    const int ancestor = by_input && other >= 0 && root_[other] >= 0 ? root_[other] : other;
    const bool input = state.role == Role::kConstantLike || state.role == Role::kHandle;
    return {code, ancestor, Quoted(name) + (input ? " " : " is not staged: it ") + Clause(n)};
  }

  bool Blocks(int input) const {
    const Role role = s_.state(input).role;
    return role == Role::kMain || role == Role::kDead || s_.kept_source(input);
  }

  // The first input, in order, that is not staged; controls after data.
  Reason Inherit(int n) {
    ReasonCode code = ReasonCode::kBlockedInput;
    int blocker = -1;
    for (const Endpoint& in : s_.node(n).inputs) {
      if (blocker < 0 && Blocks(in.node)) blocker = in.node;
    }
    if (blocker < 0) {
      code = ReasonCode::kBlockedControl;
      for (int in : index_.controls(n)) {
        if (blocker < 0 && Blocks(in)) blocker = in;
      }
    }
    if (s_.kept_source(blocker) && s_.candidate(blocker)) {
      code = ReasonCode::kKept;
      root_[blocker] = blocker;
    }
    const int root = root_[blocker];
    root_[n] = root;
    std::string text = Quoted(s_.node(n).name) + " is not staged: ";
    if (code == ReasonCode::kBlockedControl) {
      text += "it waits for " + Quoted(s_.node(blocker).name) + ", which ";
      if (root != blocker) text += "depends on " + Quoted(s_.node(root).name) + ", which ";
    } else if (root == blocker) {
      text += "its input " + Quoted(s_.node(root).name) + " ";
    } else {
      text += "it depends on " + Quoted(s_.node(root).name) + ", which ";
    }
    return {code, root, text + Clause(root)};
  }

  // What is said of a node that blocks, to follow "it", "which" or its name. `nested`: within
  // another node's clause, where it says no more than that its own input varies.
  std::string Clause(int n, bool nested = false) const {
    const Node& node = s_.node(n);
    const int other = s_.state(n).block.other;
    const std::string other_name = other >= 0 ? Quoted(s_.node(other).name) : "";
    // A barrier may carry any code; marked targets and nodes of a cycle are blocked before that.
    const ReasonCode code = OwnCode(n);
    if (node.trait == Trait::kBarrier && !node.target && !index_.cyclic(n)) {
      return node.barrier_text.empty() ? DoesNotRunAhead(node) : node.barrier_text;
    }
    switch (code) {
      case ReasonCode::kTarget: return "is a marked target";
      case ReasonCode::kExcluded: return "is excluded by name";
      case ReasonCode::kNone:  // a kept source, itself staged
      case ReasonCode::kKept:
        return "is kept: it must remain feedable and fetchable under its own name";
      case ReasonCode::kSecondRead: return "reads the same resource as " + other_name;
      case ReasonCode::kRefType:
        if (other >= 0) return "takes a reference from " + other_name;
        return "has a reference output, which can neither cross nor be used in a stage";
      case ReasonCode::kSourceInput:
        return "reads with the input " + other_name + ", " + WhichVaries(other, nested);
      case ReasonCode::kBlockedInput:
        return "is a random op with the input " + other_name + ", " + WhichVaries(other, nested);
      case ReasonCode::kBlockedControl:
        if (node.trait == Trait::kSource) {
          return "reads only after " + other_name + ", which is computed from an element";
        }
        return "is a random op that waits for " + other_name + ", " + WhichVaries(other, nested);
      case ReasonCode::kUnmarkedSource: return "feeds no tf.staged mark";
      case ReasonCode::kPastMark:
        return "is not above a tf.staged mark, and growing past marks is off";
      case ReasonCode::kDevice:
        return "would bring devices " + Quoted(s_.device_name(s_.state(n).device)) + " and " +
               Quoted(s_.device_name(s_.state(other).device)) + " (of " + other_name +
               ") into one stage";
      case ReasonCode::kMeeting:
        return "combines " + Sources(n) + ", of which a fetch may need one without the other";
      case ReasonCode::kDrawOutside:
        if (other < 0) return "is random and may be fetched where no element is consumed";
        return "is random and also used by " + other_name + ", outside the stage";
      case ReasonCode::kNoSource: return "is random and depends on no source";
      case ReasonCode::kOnlyFeedsQueue:
        return "feeds nothing but a queue, which is read ahead already";
      case ReasonCode::kUnused: return UnusedClause(n);
      case ReasonCode::kMainInput: return MainInputClause(n, nested);
      default:
        if (node.trait == Trait::kQueueWrite) return "writes into a queue";
        if (index_.cyclic(n)) return "is part of a cycle";
        return DoesNotRunAhead(node);
    }
  }

  static std::string DoesNotRunAhead(const Node& node) {
    return "is a " + node.op + ", which does not run ahead";
  }

  std::string UnusedClause(int n) const {
    if (s_.state(n).role == Role::kDead) return "is used by nothing that has an effect";
    if (s_.node(n).outputs.empty()) return "yields no tensor, and no staged node waits for it";
    return "yields nothing that is used";
  }

  std::string MainInputClause(int n, bool nested) const {
    const NodeState& state = s_.state(n);
    if (state.role == Role::kHandle) return "is a handle: the main graph passes it to the stage";
    if (state.role == Role::kConstantLike) {
      return "is constant: a stage that needs it holds a copy";
    }
    const int other = state.block.other;
    if (other < 0) return "is part of a cycle";
    return "is a handle that depends on " + Quoted(s_.node(other).name) + ", " +
           WhichVaries(other, nested);
  }

  // Of a node that is neither constant nor a handle: why not.
  std::string WhichVaries(int n, bool nested) const {
    const int root = root_[n];
    if (root < 0 || nested) return "which is not constant";
    if (root == n) return "which " + Clause(n, true);
    return "which depends on " + Quoted(s_.node(root).name) + ", which " + Clause(root, true);
  }

  std::string Sources(int n) const {
    constexpr std::size_t kNamed = 4;
    const std::vector<int> sources = s_.sets().Elements(s_.state(n).deps);
    std::string text = "sources ";
    for (std::size_t i = 0; i < sources.size() && i < kNamed; ++i) {
      if (i > 0) text += i + 1 == sources.size() ? " and " : ", ";
      text += Quoted(s_.node(s_.sources()[sources[i]]).name);
    }
    if (sources.size() > kNamed) {
      text += " and " + std::to_string(sources.size() - kNamed) + " more";
    }
    return text;
  }

  const Staging& s_;
  const GraphIndex& index_;
  const Sides& sides_;
  const std::vector<Stage>& stages_;
  std::vector<int> root_;  // of a node that is not staged: the node to blame
  std::vector<bool> near_source_;
};

}  // namespace

std::vector<Reason> GiveReasons(const Staging& staging, const Sides& sides,
                                const std::vector<Stage>& stages) {
  return ReasonGiver(staging, sides, stages).Run();
}

}  // namespace headrace::plan
