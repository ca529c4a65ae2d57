#include "ledger/pool.h"

#include <algorithm>
#include <utility>

#include "ledger/mutation.h"

namespace headrace::ledger {

bool Pool::Take(const Line& line, const IntervalSet& bad, std::int64_t now_ms, bool strict,
                bool suspects, Piece* piece, bool* moved) {
  const auto due = FindDue(line, now_ms, strict);
  if (suspects && due != delayed_.end()) {
    *piece = due->second;
    delayed_.erase(due);
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

const Piece* Pool::Due(const Line& line, std::int64_t now_ms, bool strict) const {
  const auto due = FindDue(line, now_ms, strict);
  return due == delayed_.end() ? nullptr : &due->second;
}

// A piece that was put back by Restart() may be of a later epoch than what is to be done first.
Pool::Delayed::const_iterator Pool::FindDue(const Line& line, std::int64_t now_ms,
                                            bool strict) const {
  const auto end = delayed_.upper_bound(now_ms);
  const auto found = std::find_if(delayed_.begin(), end, [&](const auto& entry) {
    const std::int64_t epoch = line.Locate(entry.second.range.begin).epoch;
    return !strict || epoch == 0 || account.done.Covers({0, line.Epoch(epoch).begin});
  });
  return found == end ? delayed_.end() : found;
}

Ranges Pool::Uncut(Range task) const {
  Ranges open = account.done.Gaps(task);
  for (const Range& range : apart_.Slice(task)) Subtract(&open, range);
  return open;
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
      for (const Range& open : Uncut({record.begin + base, record.end + base})) {
        account.done.Add(open);
        account.quarantined.Add(open);
      }
    }
  }
  if (!restarted_ && bad.empty()) {
    ready_.push_back({task});  // nothing of it can be done before it was leased
    return true;
  }
  for (const Range& open : Uncut(task)) ready_.push_back({open});
  return true;
}

void Pool::Restart() {
  if (!Mutant(Mutation::kRewindKeepsCursor)) epoch_ = position_ = 0;
  restarted_ = true;
  failures.Clear();
  for (const Piece& piece : ready_) delayed_.emplace(0, piece);
  ready_.clear();
  const Delayed before = std::exchange(delayed_, {});
  apart_ = IntervalSet();
  for (const auto& [time, piece] : before) {
    if (piece.losses == 0) continue;
    for (const Range& open : account.done.Gaps(piece.range)) {
      Piece kept = piece;
      kept.range = open;
      delayed_.emplace(time, kept);
      apart_.Add(open);
    }
  }
}

Ranges Pool::Waiting(const Line& line) const {
  Ranges result;
  for (const Piece& piece : ready_) result.push_back(piece.range);
  for (const auto& [time, piece] : delayed_) result.push_back(piece.range);
  for (std::int64_t epoch = epoch_; epoch < line.epochs(); ++epoch) {
    for (std::int64_t i = epoch == epoch_ ? position_ : 0; i < line.tasks(); ++i) {
      for (const Range& open : Uncut(line.Task(epoch, i))) result.push_back(open);
    }
  }
  return result;
}

}  // namespace headrace::ledger
