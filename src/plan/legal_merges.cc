#include "plan/legal_merges.h"

#include <cstdint>

namespace headrace::plan {
namespace {

class Grower {
 public:
  Grower(const DependencySets& sets, const SetUses& uses)
      : sets_(sets),
        uses_(uses),
        mask_(sets.words(), 0),
        group_(uses.own.size(), -1),
        settled_(uses.own.size(), 0),
        watchers_(uses.own.size()) {
    for (int s = 1; s < sets.size(); ++s) watchers_[sets.FirstOutside(s, mask_)].push_back(s);
  }

  std::vector<int> Run() {
    int groups = 0;
    for (std::size_t i = 0; i < uses_.own.size(); ++i) {
      if (settled_[i] || uses_.own[i] == DependencySets::kEmpty) continue;
      const std::size_t legal = Grow(static_cast<int>(i));
      for (std::size_t m = 0; m < legal; ++m) {
        group_[members_[m]] = groups;
        settled_[members_[m]] = 1;
      }
      groups += legal > 0;
      settled_[i] = 1;
      for (int m : members_) mask_[m / 64] = 0;
    }
    return group_;
  }

 private:
  // Grows the set of source `i` and returns how many of members_ form the largest legal set.
  std::size_t Grow(int i) {
    members_.clear();
    inside_.clear();
    next_inside_ = 0;
    possible_ = true;
    Add(i);
    std::size_t legal = 0;
    while (possible_) {
      // Sets within the mask: all but the one that equals it (met last) feed nothing outside.
      int whole = -1;
      while (possible_ && next_inside_ < inside_.size()) {
        const int s = inside_[next_inside_++];
        if (sets_.Size(s) == members_.size()) {
          whole = s;
          continue;
        }
        Force(s);
        if (whole >= 0 && sets_.Size(whole) < members_.size()) {
          Force(whole);
          whole = -1;
        }
      }
      if (!possible_) break;
      legal = members_.size();
      if (whole < 0) break;
      Force(whole);
      if (members_.size() == legal) break;
    }
    return legal;
  }

  // A value of set `s` must not leave the stage: everything that it feeds belongs to the stage.
  void Force(int s) {
    if (uses_.crosses[s]) possible_ = false;
    for (int t : uses_.feeds[s]) {
      for (int source; possible_ && (source = sets_.FirstOutside(t, mask_)) >= 0;) Add(source);
    }
  }

  void Add(int source) {
    std::vector<int> worklist{source};
    while (!worklist.empty() && possible_) {
      const int m = worklist.back();
      worklist.pop_back();
      if ((mask_[m / 64] >> (m % 64)) & 1) continue;
      // The largest set of a settled source is known and does not contain this one. (Growing on
      // would come to the same end, later.)
      if (settled_[m]) possible_ = false;
      mask_[m / 64] |= std::uint64_t{1} << (m % 64);
      members_.push_back(m);
      for (int other : sets_.Elements(uses_.own[m])) worklist.push_back(other);
      Wake(m);
    }
  }

  // Each set is watched by one of its sources that is not in the mask, so that adding a source
  // touches only sets that might now lie within.
  void Wake(int m) {
    std::vector<int> watched;
    watched.swap(watchers_[m]);
    for (int s : watched) {
      const int outside = sets_.FirstOutside(s, mask_);
      if (outside < 0) inside_.push_back(s);
      watchers_[outside < 0 ? m : outside].push_back(s);
    }
  }

  const DependencySets& sets_;
  const SetUses& uses_;
  std::vector<std::uint64_t> mask_;
  std::vector<int> group_;
  std::vector<bool> settled_;
  std::vector<std::vector<int>> watchers_;
  std::vector<int> members_;  // of the mask, in the order of adding
  std::vector<int> inside_;   // sets within the mask
  std::size_t next_inside_ = 0;
  bool possible_ = true;
};

}  // namespace

std::vector<int> LargestLegalMerges(const DependencySets& sets, const SetUses& uses) {
  return Grower(sets, uses).Run();
}

}  // namespace headrace::plan
