// Interned sets of sources.
#ifndef HEADRACE_PLAN_DEPENDENCY_SETS_H_
#define HEADRACE_PLAN_DEPENDENCY_SETS_H_

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

namespace headrace::plan {

// Sets of small integers [0, universe), each distinct set stored once and named by an id, so that
// equality is equality of ids. Id 0 is the empty set.
// Thread safety: none; one planner run owns it.
// Cost: universe / 64 words for each distinct set; Union() of a pair seen before is one look-up.
class DependencySets {
 public:
  static constexpr int kEmpty = 0;

  explicit DependencySets(int universe);

  int Singleton(int element);
  int Union(int a, int b);
  bool Contains(int set, int element) const {
    return (Words(set)[element / 64] >> (element % 64)) & 1;
  }
  // The least element of `set` that is not in `mask` (a bit vector of words()), or -1.
  int FirstOutside(int set, const std::vector<std::uint64_t>& mask) const;
  std::vector<int> Elements(int set) const;
  // How many elements `set` has.
  std::size_t Size(int set) const { return sizes_[set]; }
  // How many sets there are.
  int size() const { return static_cast<int>(sizes_.size()); }
  int words() const { return words_; }
  int universe() const { return universe_; }

 private:
  const std::uint64_t* Words(int set) const { return &bits_[std::size_t{1} * set * words_]; }
  int Intern(const std::vector<std::uint64_t>& words);

  int universe_;
  int words_;
  std::vector<std::uint64_t> bits_;
  std::vector<std::size_t> sizes_;
  std::unordered_multimap<std::uint64_t, int> by_hash_;
  std::unordered_map<std::uint64_t, int> unions_;
};

}  // namespace headrace::plan

#endif  // HEADRACE_PLAN_DEPENDENCY_SETS_H_
