#include "ledger/pool.h"

#include "ledger/mutation.h"

namespace headrace::ledger {

bool Pool::Take(const Line& line, const IntervalSet& bad, std::int64_t now_ms, bool strict,
                bool suspects, Piece* piece, bool* moved) {
  if (suspects && !delayed_.empty() && delayed_.begin()->first <= now_ms) {
    *piece = delayed_.begin()->second;
    delayed_.erase(delayed_.begin());
    *moved = true;
    return true;
  }
  while (ready_.empty()) {
    if (!Cut(line, bad, strict)) return false;
    *moved = true;
  }
  *piece = ready_.front();
  ready_.pop_front();
  *moved = true;
  return true;
}

bool Pool::Cut(const Line& line, const IntervalSet& bad, bool strict) {
  const std::int64_t last = line.tasks() - (Mutant(Mutation::kLastTaskOfEpochSkipped) ? 1 : 0);
  while (position_ >= last) {
    if (epoch_ + 1 >= line.epochs()) return false;
    if (strict && !account.done.Covers(line.Epoch(epoch_)) &&
        !Mutant(Mutation::kStrictBarrierIgnored)) {
      return false;
    }
    ++epoch_;
    position_ = 0;
  }
  if (position_ == 0 && account.done.Covers(line.Epoch(epoch_))) {
    position_ = line.tasks();
    return true;
  }
  const Range task = line.Task(epoch_, position_++);
  const std::int64_t base = epoch_ * line.records();
  if (!bad.empty()) {
    for (Range record : bad.Slice({task.begin - base, task.end - base})) {
      for (const Range& open : account.done.Gaps({record.begin + base, record.end + base})) {
        account.done.Add(open);
        account.quarantined.Add(open);
      }
    }
  }
  if (!restarted_ && bad.empty()) {
    ready_.push_back({task});  // nothing of it can be done before it was leased
    return true;
  }
  for (const Range& open : account.done.Gaps(task)) ready_.push_back({open});
  return true;
}

void Pool::Restart() {
  if (!Mutant(Mutation::kRewindKeepsCursor)) epoch_ = position_ = 0;
  restarted_ = true;
  ready_.clear();
  delayed_.clear();
}

Ranges Pool::Waiting(const Line& line) const {
  Ranges result;
  for (const Piece& piece : ready_) result.push_back(piece.range);
  for (const auto& [time, piece] : delayed_) result.push_back(piece.range);
  for (std::int64_t epoch = epoch_; epoch < line.epochs(); ++epoch) {
    for (std::int64_t i = epoch == epoch_ ? position_ : 0; i < line.tasks(); ++i) {
      for (const Range& open : account.done.Gaps(line.Task(epoch, i))) result.push_back(open);
    }
  }
  return result;
}

}  // namespace headrace::ledger
