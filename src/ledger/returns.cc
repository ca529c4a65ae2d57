// Leases that end unfinished, halving, quarantine.
#include <algorithm>

#include "ledger/ledger.h"
#include "ledger/mutation.h"

namespace headrace::ledger {
namespace {

// Lost that often: leased alone from then on, and to workers that have nothing else.
constexpr std::int64_t kSuspectLosses = 2;
// Ranges that failed for good while nothing was done, that are too few to tell anything.
constexpr std::int64_t kFewFailures = 7;
// Where losses halve nothing (max_losses 0): the job is given up after so many with one range.
constexpr std::int64_t kMostLosses = 20;

}  // namespace

bool Ledger::LostOften(std::int64_t losses) const {
  return spec_.max_losses > 0 && losses >= kSuspectLosses;
}

void Ledger::Drop(std::uint64_t token, EndReason reason, Effects* effects) {
  const Lease& lease = *leases_.Find(token);
  effects->ended.push_back({token, lease.worker, reason});
  effects->changed = true;
  Lease* sibling = lease.sibling == 0 ? nullptr : leases_.Find(lease.sibling);
  if (sibling != nullptr) sibling->sibling = 0;
  leases_.Remove(token);
}

Ranges Ledger::Orphans(const Lease& lease, Ranges ranges) const {
  const Lease* sibling = lease.sibling == 0 ? nullptr : leases_.Find(lease.sibling);
  if (sibling != nullptr) Subtract(&ranges, sibling->remaining);
  return ranges;
}

void Ledger::Return(const Lease& lease, const Ranges& ranges) {
  Pool& pool = PoolOf(lease.work);
  for (const Range& range : Orphans(lease, ranges)) {
    const Piece piece{range, lease.attempts, lease.losses, lease.suspect};
    if (lease.suspect) {
      pool.PutBackLater(piece, now_ms_);
    } else {
      pool.PutBack(piece);
    }
  }
}

void Ledger::LoseAll(const std::vector<std::uint64_t>& tokens, EndReason reason, Effects* effects) {
  // Who evaluates stands still with its other leases: those are not to blame.
  std::set<std::uint64_t> evaluate;
  for (const std::uint64_t token : tokens) {
    const Lease& lease = *leases_.Find(token);
    if (lease.work != 0) evaluate.insert(lease.worker);
  }
  for (const std::uint64_t token : tokens) {
    const Lease& lease = *leases_.Find(token);
    const bool blamed = lease.work != 0 || evaluate.count(lease.worker) == 0;
    Lose(token, reason, blamed, effects);
  }
}

// The worker is gone or silent: it may have applied what it did not acknowledge.
void Ledger::Lose(std::uint64_t token, EndReason reason, bool blamed, Effects* effects) {
  const Lease lease = *leases_.Find(token);
  if (!Mutant(Mutation::kLossRepeatNotNamed)) {
    for (const Range& range : lease.remaining) NameRepeated(lease, range, effects);
  }
  Ranges left = Orphans(lease, lease.remaining);
  const bool expired = reason == EndReason::kExpired;
  if (expired && Mutant(Mutation::kExpiryReturnsWholeTask)) left = {lease.range};
  if (expired && Mutant(Mutation::kExpiryLosesRanges)) left.clear();
  Pool& pool = PoolOf(lease.work);
  for (const Range& range : left) {
    Piece piece{range, lease.attempts, lease.losses + (blamed ? 1 : 0), lease.suspect};
    piece.suspect |= LostOften(piece.losses);
    if (spec_.max_losses == 0 && piece.losses >= kMostLosses) {
      doom_ = NameOf(lease.work, range) + ": " + std::to_string(piece.losses) +
              " workers were lost while they held it, and max_losses 0 says that nobody looks for "
              "the record that is to blame";
    }
    if (spec_.max_losses > 0 && piece.losses >= spec_.max_losses) {
      Halve(lease, piece,
            "its worker was lost " + std::to_string(spec_.max_losses) + " times while it held it");
    } else if (piece.suspect) {
      pool.PutBackLater(piece, now_ms_ + Backoff(piece.losses));
    } else {
      pool.PutBack(piece);
    }
  }
  if (expired && Mutant(Mutation::kExpiryKeepsLease)) {
    leases_.SetDeadline(leases_.Find(token), now_ms_ + spec_.lease_ms);
    effects->changed = true;
    return;
  }
  Drop(token, reason, effects);
}

void Ledger::Blame(const Lease& lease, const Ranges& left, const std::string& error,
                   std::int64_t culprit) {
  Pool& pool = PoolOf(lease.work);
  Ranges others = left;
  if (culprit >= 0 && Covers(left, {culprit, culprit + 1})) {
    // Known to be bad: its attempts are its own only if it was alone before.
    Piece piece{{culprit, culprit + 1}, 1, lease.losses, true};
    if (lease.range.size() == 1) piece.attempts += lease.attempts;
    Subtract(&others, piece.range);
    if (piece.attempts >= spec_.max_attempts) {
      NoteFailure(lease.work, piece.range, error);
      Quarantine(lease.work, culprit, error);
    } else {
      pool.PutBackLater(piece, now_ms_ + Backoff(piece.attempts));
    }
    Return(lease, others);
    return;
  }
  for (const Range& range : others) {
    Piece piece{range, lease.attempts + 1, lease.losses, true};
    if (piece.attempts >= spec_.max_attempts) {
      // Of several, any one may be to blame.
      if (others.size() == 1) NoteFailure(lease.work, range, error);
      Halve(lease, piece, error);
    } else {
      pool.PutBackLater(piece, now_ms_ + Backoff(piece.attempts));
    }
  }
}

// A half is halved again at its next failure, a record that is alone gets all attempts anew: what
// is left of a larger lease may be there by chance.
void Ledger::Halve(const Lease& lease, Piece piece, const std::string& error) {
  if (piece.range.size() == 1 && lease.range.size() == 1) {
    Quarantine(lease.work, piece.range.begin, error);
    if (!Mutant(Mutation::kQuarantinedPutBack)) return;
  }
  Pool& pool = PoolOf(lease.work);
  const std::int64_t middle = piece.range.begin + piece.range.size() / 2;
  Range halves[] = {{piece.range.begin, middle}, {middle, piece.range.end}};
  if (Mutant(Mutation::kHalvingLosesRecord)) ++halves[1].begin;
  if (Mutant(Mutation::kHalvingOverlaps)) --halves[1].begin;
  const bool lost = spec_.max_losses > 0 && piece.losses >= spec_.max_losses;
  for (const Range& half : halves) {
    if (half.empty()) continue;
    piece.range = half;
    const bool single = half.size() == 1;
    piece.attempts = single ? 0 : spec_.max_attempts - 1;
    if (lost)
      piece.losses = single ? kSuspectLosses : std::max(kSuspectLosses, spec_.max_losses - 1);
    piece.suspect = true;
    pool.PutBackLater(piece, now_ms_ + Backoff(1));
  }
}

void Ledger::Quarantine(std::int64_t work, std::int64_t number, const std::string& error) {
  const Line& line = this->line(work);
  Account& account = PoolOf(work).account;
  const Range record{number, number + 1};
  if (!Mutant(Mutation::kQuarantinedNotAccounted)) account.done.Add(record);
  account.quarantined.Add(record);
  IntervalSet& bad = work == 0 ? bad_ : evaluation_bad_;
  const std::int64_t first = number % line.records();
  if (bad.Covers({first, first + 1})) return;
  bad.Add({first, first + 1});
  const Line::Place place = line.Locate(number);
  quarantine_.push_back({work != 0, place.epoch, place.file, place.index, error});
}

// Each range that failed holds a bad record, so with more of them than may be in quarantine the job
// cannot end well. Usually it is found out which records these are, since the others count. Where
// nothing was ever done there are no others: what fails is the program or the job as a whole.
void Ledger::NoteFailure(std::int64_t work, Range range, const std::string& error) {
  Pool& pool = PoolOf(work);
  const std::int64_t first = range.begin % line(work).records();  // in every epoch it is the same
  pool.failures.Add({first, first + range.size()});
  const bool done_any = pool.account.done.size() > pool.account.quarantined.size();
  const std::int64_t failed = pool.failures.size();
  if (done_any || failed <= std::max(spec_.max_quarantined, kFewFailures)) return;
  static constexpr const char* kDone[] = {"trained", "evaluated", "predicted"};
  doom_ = std::string("nothing was ") + kDone[static_cast<int>(TypeOf(work))] + ": " +
          std::to_string(failed) + " ranges of records failed, each by itself, and none did not; " +
          std::to_string(spec_.max_quarantined) +
          " bad records are allowed. The last: " + NameOf(work, range) + ": " + error;
}

std::string Ledger::NameOf(std::int64_t work, Range range) const {
  const Line::Place place = line(work).Locate(range.begin);
  return FileOf(work, place.file).path + ", records [" + std::to_string(place.index) + ", " +
         std::to_string(place.index + range.size()) + ")";
}

std::int64_t Ledger::Backoff(std::int64_t attempts) const {
  std::int64_t delay = spec_.backoff_ms;
  for (std::int64_t i = 1; i < attempts && delay < spec_.max_backoff_ms; ++i) delay *= 2;
  return std::min(delay, spec_.max_backoff_ms);
}

}  // namespace headrace::ledger
