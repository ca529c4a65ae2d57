#include "ledger/failures.h"

#include <iterator>

namespace headrace::ledger {

void Failures::Add(Range range) {
  auto next = ranges_.upper_bound(range.begin);
  if (next != ranges_.begin()) {
    const auto before = std::prev(next);
    if (Range{before->first, before->second}.Contains(range)) {
      next = ranges_.erase(before);
    } else if (before->second > range.begin) {
      return;
    }
  }
  if (next != ranges_.end() && next->first < range.end) return;
  ranges_.emplace(range.begin, range.end);
}

}  // namespace headrace::ledger
