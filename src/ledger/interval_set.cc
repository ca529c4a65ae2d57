#include "ledger/interval_set.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace headrace::ledger {

Range Intersect(Range a, Range b) {
  return {std::max(a.begin, b.begin), std::min(a.end, b.end)};
}

std::int64_t Size(const Ranges& ranges) {
  std::int64_t size = 0;
  for (const Range& range : ranges) size += range.size();
  return size;
}

namespace {

// The first range that ends behind `position`.
template <class R>
auto FirstBehind(R& ranges, std::int64_t position) {
  return std::partition_point(ranges.begin(), ranges.end(),
                              [&](const Range& range) { return range.end <= position; });
}

}  // namespace

bool Covers(const Ranges& ranges, Range range) {
  if (range.empty()) return true;
  const auto it = FirstBehind(ranges, range.begin);
  return it != ranges.end() && it->Contains(range);
}

Ranges Intersect(const Ranges& ranges, Range within) {
  Ranges result;
  if (within.empty()) return result;
  for (auto it = FirstBehind(ranges, within.begin); it != ranges.end() && it->begin < within.end;
       ++it) {
    result.push_back(Intersect(*it, within));
  }
  return result;
}

void Subtract(Ranges* ranges, Range range) {
  if (range.empty()) return;
  auto first = FirstBehind(*ranges, range.begin);
  auto last = first;
  Range left, right;
  for (; last != ranges->end() && last->begin < range.end; ++last) {
    if (last->begin < range.begin) left = {last->begin, range.begin};
    if (last->end > range.end) right = {range.end, last->end};
  }
  if (first == last) return;
  auto at = ranges->erase(first, last);
  if (!right.empty()) at = ranges->insert(at, right);
  if (!left.empty()) ranges->insert(at, left);
}

void Subtract(Ranges* ranges, const Ranges& others) {
  for (const Range& range : others) Subtract(ranges, range);
}

IntervalSet::Map::const_iterator IntervalSet::FirstBehind(std::int64_t position) const {
  auto it = map_.upper_bound(position);
  if (it != map_.begin() && std::prev(it)->second > position) --it;
  return it;
}

void IntervalSet::Add(Range range) {
  if (range.empty()) return;
  auto it = map_.upper_bound(range.begin);
  if (it != map_.begin() && std::prev(it)->second >= range.begin) {
    --it;  // it touches or overlaps: grow it
    if (it->second >= range.end) return;
    size_ += range.end - it->second;
    it->second = range.end;
  } else {
    it = map_.emplace_hint(it, range.begin, range.end);
    size_ += range.size();
  }
  for (auto next = std::next(it); next != map_.end() && next->first <= it->second;) {
    size_ -= std::min(next->second, it->second) - next->first;
    it->second = std::max(it->second, next->second);
    next = map_.erase(next);
  }
}

void IntervalSet::Remove(Range range) {
  if (range.empty()) return;
  auto it = map_.upper_bound(range.begin);
  if (it != map_.begin() && std::prev(it)->second > range.begin) --it;
  while (it != map_.end() && it->first < range.end) {
    const Range old{it->first, it->second};
    it = map_.erase(it);
    size_ -= Intersect(old, range).size();
    if (old.begin < range.begin) map_.emplace(old.begin, range.begin);
    if (old.end > range.end) {
      map_.emplace(range.end, old.end);
      return;
    }
  }
}

void IntervalSet::Add(const Ranges& ranges) {
  for (const Range& range : ranges) Add(range);
}

void IntervalSet::Remove(const IntervalSet& other) {
  for (const auto& [begin, end] : other.map_) Remove({begin, end});
}

bool IntervalSet::Covers(Range range) const {
  if (range.empty()) return true;
  const auto it = FirstBehind(range.begin);
  return it != map_.end() && it->first <= range.begin && it->second >= range.end;
}

bool IntervalSet::Overlaps(Range range) const {
  if (range.empty()) return false;
  const auto it = FirstBehind(range.begin);
  return it != map_.end() && it->first < range.end;
}

Ranges IntervalSet::Slice(Range within) const {
  Ranges result;
  if (within.empty()) return result;
  for (auto it = FirstBehind(within.begin); it != map_.end() && it->first < within.end; ++it) {
    result.push_back(Intersect({it->first, it->second}, within));
  }
  return result;
}

Ranges IntervalSet::Gaps(Range within) const {
  Ranges result;
  std::int64_t position = within.begin;
  for (auto it = FirstBehind(position); it != map_.end() && it->first < within.end; ++it) {
    if (it->first > position) result.push_back({position, it->first});
    position = it->second;
  }
  if (position < within.end) result.push_back({position, within.end});
  return result;
}

std::int64_t IntervalSet::SizeWithin(Range within) const {
  if (within.empty()) return 0;
  std::int64_t size = 0;
  for (auto it = FirstBehind(within.begin); it != map_.end() && it->first < within.end; ++it) {
    size += Intersect({it->first, it->second}, within).size();
  }
  return size;
}

Ranges IntervalSet::All() const {
  Ranges result;
  result.reserve(map_.size());
  for (const auto& [begin, end] : map_) result.push_back({begin, end});
  return result;
}

}  // namespace headrace::ledger
