#include "plan/classify.h"

#include <unordered_map>

namespace headrace::plan {

void Classifier::Run() {
  if (!s_.options_.fetches_unknown) FindDead();
  FindSecondReads();
  FindTainted();
  FindNeededByMarks();
  std::unordered_map<std::string, int> devices{{"", 0}};
  for (int n : index_.order()) {
    const auto [it, fresh] =
        devices.emplace(index_.node(n).device, static_cast<int>(s_.devices_.size()));
    if (fresh) s_.devices_.push_back(it->first);
    s_.states_[n].device = it->second;
  }
  for (int n : index_.order()) Classify(n);
}

// TensorFlow prunes such nodes from a function; counting them as consumers would keep tensors
// crossing for nobody.
void Classifier::FindDead() {
  const std::vector<int>& order = index_.order();
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    const Node& node = index_.node(*it);
    const bool pure = node.trait == Trait::kPure || node.trait == Trait::kConstant;
    if (!pure || node.outputs.empty() || node.keep || node.target || index_.cyclic(*it)) continue;
    bool used = false;
    for (const Use& use : index_.uses(*it)) used |= s_.states_[use.node].role != Role::kDead;
    if (!used) s_.states_[*it].role = Role::kDead;
  }
}

void Classifier::FindSecondReads() {
  second_read_.assign(index_.size(), -1);
  std::unordered_map<std::string, int> reader;
  for (int n : s_.sources_) {
    if (index_.node(n).resource.empty()) continue;
    const auto [it, first] = reader.emplace(index_.node(n).resource, n);
    if (first) continue;
    second_read_[n] = it->second;
    if (second_read_[it->second] < 0) second_read_[it->second] = n;
  }
}

void Classifier::FindTainted() {
  tainted_by_.assign(index_.size(), -1);
  std::vector<int> worklist;
  for (int n : index_.order()) {
    if (index_.node(n).trait != Trait::kSource && !index_.node(n).target) continue;
    tainted_by_[n] = n;
    worklist.push_back(n);
  }
  for (std::size_t i = 0; i < worklist.size(); ++i) {
    for (const Use& use : index_.uses(worklist[i])) {
      if (tainted_by_[use.node] >= 0) continue;
      tainted_by_[use.node] = tainted_by_[worklist[i]];
      worklist.push_back(use.node);
    }
  }
}

void Classifier::FindNeededByMarks() {
  needed_by_mark_.assign(index_.size(), 0);
  std::vector<int> worklist;
  for (int n : index_.order()) {
    if (index_.node(n).mark < 0) continue;
    any_mark_ = true;
    needed_by_mark_[n] = 1;
    worklist.push_back(n);
  }
  const auto visit = [&](int n) {
    if (needed_by_mark_[n]) return;
    needed_by_mark_[n] = 1;
    worklist.push_back(n);
  };
  for (std::size_t i = 0; i < worklist.size(); ++i) {
    for (const Endpoint& in : index_.node(worklist[i]).inputs) visit(in.node);
    for (int in : index_.node(worklist[i]).control_inputs) visit(in);
  }
}

Block Classifier::OwnBlock(int n) const {
  const Node& node = index_.node(n);
  if (index_.cyclic(n)) return {ReasonCode::kControlFlow, -1};
  if (node.target) return {ReasonCode::kTarget, -1};
  if (node.trait == Trait::kBarrier) {
    const bool named = node.barrier_code != ReasonCode::kNone;
    return {named ? node.barrier_code : ReasonCode::kStateful, -1};
  }
  if (node.trait == Trait::kQueueWrite) return {ReasonCode::kQueueWrite, -1};
  if (node.excluded) return {ReasonCode::kExcluded, -1};
  if (node.keep && node.trait != Trait::kSource) return {ReasonCode::kKept, -1};
  if (second_read_[n] >= 0) return {ReasonCode::kSecondRead, second_read_[n]};
  if (HasUnusableRef(n)) return {ReasonCode::kRefType, -1};
  return {};
}

// A reference can neither cross nor be consumed by a staged node, so whoever consumes it keeps its
// producer in the main graph.
bool Classifier::HasUnusableRef(int n) const {
  const Node& node = index_.node(n);
  bool any = false;
  for (const OutputInfo& output : node.outputs) any |= !output.can_cross;
  if (!any) return false;
  if (s_.leaf(n) || s_.kept_source(n)) return true;
  for (const Use& use : index_.uses(n)) {
    if (use.output == Use::kControl || s_.states_[use.node].role == Role::kDead) continue;
    if (!node.outputs[use.output].can_cross) return true;
  }
  return false;
}

void Classifier::ClassifyHandle(int n) {
  NodeState& state = s_.states_[n];
  state.role = Role::kMain;
  if (index_.cyclic(n)) return SetBlock(n, ReasonCode::kControlFlow);
  if (tainted_by_[n] >= 0) return SetBlock(n, ReasonCode::kMainInput, tainted_by_[n]);
  for (int in : index_.controls(n)) {
    const Role role = s_.states_[in].role;
    if (role == Role::kConstantLike || role == Role::kHandle) continue;
    return SetBlock(n, ReasonCode::kMainInput, in);
  }
  state.role = Role::kHandle;
}

void Classifier::Classify(int n) {
  const Node& node = index_.node(n);
  NodeState& state = s_.states_[n];
  if (state.role == Role::kDead) return;
  if (node.trait == Trait::kHandle && !node.target) return ClassifyHandle(n);
  state.block = OwnBlock(n);
  if (state.block.code != ReasonCode::kNone) return;
  const InputKind kind = ScanInputs(n);
  if (kind == InputKind::kBlocked) return;
  const bool needs_source = node.trait == Trait::kSource || node.trait == Trait::kDraw;
  if (kind == InputKind::kConstant && !needs_source) {
    state.role = Role::kConstantLike;
    return;
  }
  if (any_mark_ || !s_.options_.grow) {
    const bool past = !s_.options_.grow && !needed_by_mark_[n];
    if (past && any_mark_ && node.trait == Trait::kSource) {
      return SetBlock(n, ReasonCode::kUnmarkedSource);
    }
    if (past) return SetBlock(n, ReasonCode::kPastMark);
  }
  state.role = Role::kCandidate;
  if (node.trait == Trait::kSource) {
    const int element = s_.options_.fetches_unknown ? s_.source_number_[n] : 0;
    state.deps = s_.sets_.Union(state.deps, s_.sets_.Singleton(element));
  }
  state.random_only = state.deps == DependencySets::kEmpty;
}

Classifier::InputKind Classifier::ScanInputs(int n) {
  const Node& node = index_.node(n);
  InputKind kind = InputKind::kConstant;
  for (const Endpoint& in : node.inputs) {
    const NodeState& from = s_.states_[in.node];
    const bool staged = from.role == Role::kCandidate;
    const bool blocked = from.role == Role::kMain || from.role == Role::kDead;
    if (node.trait == Trait::kSource && (staged || blocked)) {
      SetBlock(n, ReasonCode::kSourceInput, in.node);
      return InputKind::kBlocked;
    }
    if (node.trait == Trait::kDraw && staged) {
      SetBlock(n, ReasonCode::kBlockedInput, in.node);
      return InputKind::kBlocked;
    }
    if (from.role == Role::kHandle && !index_.node(in.node).outputs[in.output].can_cross) {
      SetBlock(n, ReasonCode::kRefType, in.node);
      return InputKind::kBlocked;
    }
    if (!MergeInput(n, in.node, kind)) return InputKind::kBlocked;
  }
  for (int in : index_.controls(n)) {
    // Sources and random ops run while the ticket is read, before the body. (A source that waited
    // for a body node would also have to stay unread when that node fails.)
    const bool in_body = s_.candidate(in) && index_.node(in).trait != Trait::kSource;
    if ((node.trait == Trait::kSource && in_body) ||
        (node.trait == Trait::kDraw && s_.candidate(in))) {
      SetBlock(n, ReasonCode::kBlockedControl, in);
      return InputKind::kBlocked;
    }
    if (!MergeInput(n, in, kind)) return InputKind::kBlocked;
  }
  return kind;
}

// Adds what an input contributes to a node's dependencies and device; false blocks the node.
bool Classifier::MergeInput(int n, int input, InputKind& kind) {
  NodeState& state = s_.states_[n];
  const NodeState& from = s_.states_[input];
  if (from.role == Role::kMain || from.role == Role::kDead) return false;
  if (from.role == Role::kHandle) return true;
  if (from.role == Role::kCandidate) {
    kind = InputKind::kStaged;
    if (s_.kept_source(input)) {
      SetBlock(n, ReasonCode::kKept, input);
      return false;
    }
    state.deps = s_.sets_.Union(state.deps, from.deps);
  }
  if (!Staging::MergeDevice(from.device, state.device)) {
    SetBlock(n, ReasonCode::kDevice, input);
    return false;
  }
  return true;
}

}  // namespace headrace::plan
