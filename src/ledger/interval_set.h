// Sets of whole numbers as half-open ranges.
#ifndef HEADRACE_LEDGER_INTERVAL_SET_H_
#define HEADRACE_LEDGER_INTERVAL_SET_H_

#include <cstdint>
#include <map>
#include <vector>

namespace headrace::ledger {

struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  std::int64_t size() const { return end - begin; }
  bool empty() const { return begin >= end; }
  bool Contains(Range other) const { return begin <= other.begin && other.end <= end; }
  bool operator==(const Range& other) const { return begin == other.begin && end == other.end; }

  template <class A>
  void Fields(A& a) {
    a(begin, end);
  }
};

Range Intersect(Range a, Range b);

// Sorted, disjoint, none empty. For the few ranges of one lease.
using Ranges = std::vector<Range>;

std::int64_t Size(const Ranges& ranges);
bool Covers(const Ranges& ranges, Range range);
// The parts of `ranges` inside `within`.
Ranges Intersect(const Ranges& ranges, Range within);
void Subtract(Ranges* ranges, Range range);
void Subtract(Ranges* ranges, const Ranges& others);

// A set that grows to millions of members in any order of arrival: neighbours merge, so memory
// follows the number of gaps (about 64 bytes each), not the number of members.
// Thread safety: none. Cost: logarithmic in the number of intervals, plus those removed.
class IntervalSet {
 public:
  using Map = std::map<std::int64_t, std::int64_t>;  // begin -> end

  void Add(Range range);
  void Remove(Range range);
  void Add(const Ranges& ranges);
  void Remove(const IntervalSet& other);

  bool Covers(Range range) const;
  bool Overlaps(Range range) const;
  // The members inside `within`, and what is missing there.
  Ranges Slice(Range within) const;
  Ranges Gaps(Range within) const;
  std::int64_t SizeWithin(Range within) const;
  Ranges All() const;

  std::int64_t size() const { return size_; }
  bool empty() const { return map_.empty(); }
  const Map& map() const { return map_; }

  // Serialized as its ranges, of numbers from 0 on, so that no size overflows; ranges that are out
  // of order or touch are refused by the decoder.
  template <class A>
  void Fields(A& a) {
    if constexpr (A::kReading) {
      Ranges ranges;
      a(ranges);
      *this = IntervalSet();
      for (const Range& range : ranges) {
        if (range.begin < 0 || range.empty() ||
            (!map_.empty() && map_.rbegin()->second >= range.begin)) {
          a.Fail("ranges are not in order");
          return;
        }
        map_.emplace_hint(map_.end(), range.begin, range.end);
        size_ += range.size();
      }
    } else {
      a(All());
    }
  }

 private:
  // The first interval that ends behind `position`.
  Map::const_iterator FirstBehind(std::int64_t position) const;

  Map map_;
  std::int64_t size_ = 0;
};

}  // namespace headrace::ledger

#endif  // HEADRACE_LEDGER_INTERVAL_SET_H_
