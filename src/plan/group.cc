// Which staged nodes form one stage.
#include <algorithm>
#include <numeric>

#include "plan/legal_merges.h"
#include "plan/staging.h"

namespace headrace::plan {
namespace {

// Function graphs: every run executes every source, so what is connected is one stage. Nodes that
// would connect parts on different devices are blocked.
class Components {
 public:
  explicit Components(Staging& staging) : s_(staging), parent_(s_.index().size()) {
    std::iota(parent_.begin(), parent_.end(), 0);
    named_by_.assign(parent_.size(), -1);
  }

  void Assign() {
    for (int n : s_.index().order()) {
      if (s_.candidate(n)) Connect(n);
    }
    for (int n : s_.index().order()) {
      if (s_.candidate(n)) s_.state(n).group = Find(n);
    }
  }

 private:
  int Find(int n) {
    while (parent_[n] != n) n = parent_[n] = parent_[parent_[n]];
    return n;
  }

  void Connect(int n) {
    parts_.clear();
    for (const Endpoint& in : s_.node(n).inputs) AddPart(in.node);
    for (int in : s_.index().controls(n)) AddPart(in);
    int device = s_.state(n).device;
    int named_by = device != 0 ? n : -1;
    for (int part : parts_) {
      const int by = named_by_[part];
      if (by < 0) continue;
      if (!Staging::MergeDevice(s_.state(by).device, device)) {
        return s_.BlockNode(n, ReasonCode::kDevice, by);
      }
      named_by = by;
    }
    for (int part : parts_) parent_[part] = n;
    named_by_[n] = named_by;
  }

  void AddPart(int input) {
    if (!s_.candidate(input)) return;
    const int part = Find(input);
    if (std::find(parts_.begin(), parts_.end(), part) == parts_.end()) parts_.push_back(part);
  }

  Staging& s_;
  std::vector<int> parent_;
  std::vector<int> named_by_;  // of a root: the node that named the device of its part, or -1
  std::vector<int> parts_;
};

// Session graphs: sources share a stage only where no fetch could consume one without the other.
class Merges {
 public:
  explicit Merges(Staging& staging) : s_(staging), index_(staging.index()) {}

  void Assign() {
    group_of_source_ = LargestLegalMerges(s_.sets(), CollectUses());
    group_of_set_.assign(s_.sets().size(), kUnknown);
    for (int n : index_.order()) {
      if (!s_.candidate(n) || s_.draw_only(n)) continue;
      const int group = GroupOfSet(s_.state(n).deps);
      if (group < 0) {
        s_.BlockNode(n, ReasonCode::kMeeting);
      } else {
        s_.state(n).group = group;
      }
    }
    AssignDraws();
    CheckDevices();
  }

 private:
  static constexpr int kUnknown = -2;

  SetUses CollectUses() const {
    SetUses uses;
    uses.crosses.assign(s_.sets().size(), 0);
    uses.feeds.resize(s_.sets().size());
    uses.own.assign(s_.sources().size(), DependencySets::kEmpty);
    for (int n : index_.order()) {
      if (!s_.candidate(n)) continue;
      const int set = s_.state(n).deps;
      if (s_.source_number(n) >= 0) uses.own[s_.source_number(n)] = set;
      if (s_.leaf(n) || s_.kept_source(n)) uses.crosses[set] = 1;
      for (const Use& use : index_.uses(n)) {
        if (!s_.candidate(use.node)) {
          uses.crosses[set] = 1;
        } else if (const int other = s_.state(use.node).deps; other != set) {
          std::vector<int>& feeds = uses.feeds[set];
          if (feeds.empty() || feeds.back() != other) feeds.push_back(other);
        }
      }
    }
    for (std::vector<int>& feeds : uses.feeds) {
      std::sort(feeds.begin(), feeds.end());
      feeds.erase(std::unique(feeds.begin(), feeds.end()), feeds.end());
    }
    return uses;
  }

  int GroupOfSet(int set) {
    int& group = group_of_set_[set];
    if (group == kUnknown) {
      const std::vector<int> elements = s_.sets().Elements(set);
      group = group_of_source_[elements.front()];
      for (int source : elements) {
        if (group_of_source_[source] != group) group = -1;
      }
    }
    return group;
  }

  // A random op runs once per ticket of one stage.
  void AssignDraws() {
    const std::vector<int>& order = index_.order();
    for (auto it = order.rbegin(); it != order.rend(); ++it) {
      if (!s_.draw_only(*it)) continue;
      int group = -1;
      for (const Use& use : index_.uses(*it)) {
        if (!s_.candidate(use.node)) continue;
        const int other = s_.state(use.node).group;
        if (group < 0) group = other;
        if (other == group) continue;
        s_.BlockNode(*it, ReasonCode::kDrawOutside, use.node);
        break;
      }
      s_.state(*it).group = group;
    }
  }

  // The first node in topological order that names a device decides for its stage; its sources
  // agree with each other, for some node depends on all of them.
  void CheckDevices() {
    std::vector<int> named_by(s_.sources().size(), -1);
    for (int source : s_.sources()) {
      if (s_.candidate(source)) Name(source, named_by);
    }
    for (int n : index_.order()) {
      if (!s_.candidate(n) || s_.draw_only(n)) continue;
      Name(n, named_by);
      const int by = named_by[s_.state(n).group];
      int device = s_.state(n).device;
      if (by >= 0 && !Staging::MergeDevice(s_.state(by).device, device)) {
        s_.BlockNode(n, ReasonCode::kDevice, by);
      }
    }
  }

  void Name(int n, std::vector<int>& named_by) const {
    int& by = named_by[s_.state(n).group];
    if (by < 0 && s_.state(n).device != 0) by = n;
  }

  Staging& s_;
  const GraphIndex& index_;
  std::vector<int> group_of_source_;
  std::vector<int> group_of_set_;
};

// Numbers the stages in the order of their first sources.
int Renumber(Staging& staging) {
  std::vector<int> number(staging.index().size(), -1);
  int count = 0;
  for (int source : staging.sources()) {
    if (!staging.candidate(source)) continue;
    int& group = number[staging.state(source).group];
    if (group < 0) group = count++;
  }
  for (int n : staging.index().order()) {
    if (staging.candidate(n)) staging.state(n).group = number[staging.state(n).group];
  }
  return count;
}

}  // namespace

int GroupStages(Staging& staging) {
  // Each repetition blocks at least one node more. One repetition confirms; further ones are needed
  // only where a random op, an assert or a device ties stages together.
  for (int before = -1; before != staging.blocked();) {
    before = staging.blocked();
    if (staging.options().fetches_unknown) {
      Merges(staging).Assign();
    } else {
      Components(staging).Assign();
    }
  }
  return Renumber(staging);
}

}  // namespace headrace::plan
