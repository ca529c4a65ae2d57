// The work of one line: what was handed back, what is still to be cut into tasks, what is done.
#ifndef HEADRACE_LEDGER_POOL_H_
#define HEADRACE_LEDGER_POOL_H_

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "ledger/account.h"
#include "ledger/failures.h"
#include "ledger/line.h"

namespace headrace::ledger {

// A range to lease. `suspect`: it failed before or was lost often, and is leased alone.
struct Piece {
  Range range;
  std::int64_t attempts = 0;  // reported failures
  std::int64_t losses = 0;    // leases of it that ended without a word
  bool suspect = false;

  template <class A>
  void Fields(A& a) {
    a(range, attempts, losses, suspect);
  }
};

// Fresh tasks come in the order of the line's shuffle; what was handed back comes before them. A
// record is in exactly one of: done, ready, delayed, behind the cursor, or leased (which the pool
// does not know).
// Thread safety: none.
class Pool {
 public:
  // The next piece to lease, if there is one now. Records known to be bad are accounted for on the
  // way, as quarantined. `*moved` is set if anything changed.
  // `strict`: no epoch begins before the one before it is all done.
  bool Take(const Line& line, const IntervalSet& bad, std::int64_t now_ms, bool strict,
            bool suspects, Piece* piece, bool* moved);
  // The delayed piece that Take() would give, if there is one now.
  const Piece* Due(const Line& line, std::int64_t now_ms, bool strict) const;

  void PutBack(const Piece& piece) { ready_.push_back(piece); }
  void PutBackLater(const Piece& piece, std::int64_t not_before_ms) {
    delayed_.emplace(not_before_ms, piece);
  }

  // Begins again with what is not done. Of the pieces only those remain that workers were lost
  // with: else what kills a trainer, and so sends its model back, would never be found.
  void Restart();

  bool Complete(const Line& line) const { return account.done.Covers(line.all()); }
  // When the first delayed piece may be taken; -1 if there is none.
  std::int64_t delayed_until_ms() const { return delayed_.empty() ? -1 : delayed_.begin()->first; }

  // Everything that waits, with the part of the line that was not cut yet: for checks and figures.
  Ranges Waiting(const Line& line) const;
  std::int64_t epoch() const { return epoch_; }

  Account account;
  Failures failures;            // since the start, or the last Restart()
  std::vector<double> metrics;  // evaluation: sums over the accepted results

  template <class A>
  void Fields(A& a) {
    a(epoch_, position_, restarted_, ready_, delayed_, apart_, account, failures, metrics);
  }

 private:
  using Delayed = std::multimap<std::int64_t, Piece>;

  Delayed::const_iterator FindDue(const Line& line, std::int64_t now_ms, bool strict) const;
  // What is to be cut from `task`.
  Ranges Uncut(Range task) const;
  // Cuts the next task into ready_. False at the end of the line, or at a barrier.
  bool Cut(const Line& line, const IntervalSet& bad, bool strict);

  // The cursor: the next task to cut.
  std::int64_t epoch_ = 0, position_ = 0;
  bool restarted_ = false;  // so that some of what is still to be cut may be done
  std::deque<Piece> ready_;
  Delayed delayed_;    // by the time before which they are not leased
  IntervalSet apart_;  // was put back by Restart(), and so is not cut
};

}  // namespace headrace::ledger

#endif  // HEADRACE_LEDGER_POOL_H_
