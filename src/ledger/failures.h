// How many records are bad, as far as failures tell.
#ifndef HEADRACE_LEDGER_FAILURES_H_
#define HEADRACE_LEDGER_FAILURES_H_

#include <cstdint>
#include <map>

#include "ledger/interval_set.h"

namespace headrace::ledger {

// Ranges that failed for good, none of which has a part in another: so many records at least are
// bad, whichever they are.
// Thread safety: none.
class Failures {
 public:
  // A part takes the place of the whole; what overlaps otherwise tells nothing new.
  void Add(Range range);
  std::int64_t size() const { return static_cast<std::int64_t>(ranges_.size()); }
  void Clear() { ranges_.clear(); }

  template <class A>
  void Fields(A& a) {
    a(ranges_);
  }

 private:
  std::map<std::int64_t, std::int64_t> ranges_;  // begin -> end
};

}  // namespace headrace::ledger

#endif  // HEADRACE_LEDGER_FAILURES_H_
