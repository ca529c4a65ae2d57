// What workers say about the records of their leases.
#include <algorithm>

#include "ledger/ledger.h"
#include "ledger/mutation.h"

namespace headrace::ledger {
namespace {

constexpr std::size_t kRemembered = 256;  // ended leases a worker, for repeated reports

std::string Text(Range range) {
  return "[" + std::to_string(range.begin) + ", " + std::to_string(range.end) + ")";
}

}  // namespace

Status Ledger::On(const Report& event, Effects* effects) {
  Lease* lease = leases_.Find(event.token);
  if (lease == nullptr) {
    const auto worker = workers_.find(event.worker);
    if (worker != workers_.end()) {
      const auto& known = worker->second.ended_by_report;
      if (std::find(known.begin(), known.end(), event.token) != known.end()) return {};
    }
    return {Code::kAborted, "lease " + std::to_string(event.token) +
                                " has ended; drop its records, others may have them"};
  }
  if (lease->worker != event.worker) {
    return {Code::kPermissionDenied, "lease " + std::to_string(event.token) + " is of worker " +
                                         std::to_string(lease->worker) + ", not of " +
                                         std::to_string(event.worker)};
  }
  Checked checked;
  Status status = Check(event, *lease, &checked);
  if (!status.ok()) return status;

  if (!event.metrics.empty() && checked.counts) {
    std::vector<double>& sums = PoolOf(lease->work).metrics;
    sums.resize(event.metrics.size());
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += event.metrics[i];
    effects->changed = true;
  }
  for (const Acknowledged& what : checked.acknowledged) Acknowledge(lease, what, effects);
  for (const Range& range : checked.repeated) NameRepeated(*lease, range, effects);
  for (const Range& range : checked.returned) {
    const Ranges given_up = Intersect(lease->remaining, range);
    if (given_up.empty()) continue;
    Subtract(&lease->remaining, range);
    if (!Mutant(Mutation::kReleaseLosesRanges)) Return(*lease, given_up);
    effects->changed = true;
  }
  if (event.end == End::kOpen) return {};

  const Lease ended = *lease;
  EndReason reason = EndReason::kFinished;
  if (event.end == End::kReleased) {
    reason = EndReason::kReleased;
    if (!Mutant(Mutation::kReleaseLosesRanges)) {
      Return(ended,
             Mutant(Mutation::kReleaseReturnsWholeTask) ? Ranges{ended.range} : ended.remaining);
    }
  } else if (event.end == End::kFailed) {
    reason = EndReason::kFailed;
    Blame(ended, Orphans(ended, ended.remaining), event.error, checked.culprit);
  }
  Drop(event.token, reason, effects);
  const auto worker = workers_.find(event.worker);
  if (worker != workers_.end()) {
    auto& known = worker->second.ended_by_report;
    known.push_back(event.token);
    if (known.size() > kRemembered) known.pop_front();
  }
  effects->changed = true;
  return {};
}

Status Ledger::Check(const Report& event, const Lease& lease, Checked* checked) const {
  const std::int64_t base = FileBase(lease);
  const Range mine{lease.range.begin - base, lease.range.end - base};
  const std::string who = "lease " + std::to_string(event.token) + ": ";
  Ranges all;
  for (const Acknowledged& what : event.acknowledged) all.push_back(what.range);
  all.insert(all.end(), event.returned.begin(), event.returned.end());
  const std::size_t disjoint = all.size();
  all.insert(all.end(), event.repeated.begin(), event.repeated.end());
  for (const Range& range : all) {
    if (range.empty() || !mine.Contains(range)) {
      return {Code::kInvalidArgument,
              who + "records " + Text(range) + " are not within its " + Text(mine)};
    }
  }
  std::sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(disjoint),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
  for (std::size_t i = 1; i < disjoint; ++i) {
    if (all[i].begin < all[i - 1].end) {
      return {Code::kInvalidArgument,
              who + "the report has " + Text(all[i - 1]) + " and " + Text(all[i])};
    }
  }
  if (event.end == End::kFailed && event.culprit != -1 &&
      !mine.Contains({event.culprit, event.culprit + 1})) {
    return {Code::kInvalidArgument, who + "the culprit, record " + std::to_string(event.culprit) +
                                        ", is not within its " + Text(mine)};
  }
  if (event.culprit != -1) checked->culprit = event.culprit + base;

  const auto shifted = [base](Range range) { return Range{range.begin + base, range.end + base}; };
  checked->left = lease.remaining;
  std::int64_t fresh = 0, told = 0;
  for (const Acknowledged& what : event.acknowledged) {
    if ((what.outcome == Outcome::kDropped) == what.op.empty()) {
      return {Code::kInvalidArgument, who + "an op's name goes with dropped records, only"};
    }
    checked->acknowledged.push_back(what);
    checked->acknowledged.back().range = shifted(what.range);
    told += what.range.size();
    fresh += Size(Intersect(lease.remaining, shifted(what.range)));
    Subtract(&checked->left, shifted(what.range));
  }
  for (const Range& range : event.returned) {
    checked->returned.push_back(shifted(range));
    Subtract(&checked->left, shifted(range));
  }
  for (const Range& range : event.repeated) checked->repeated.push_back(shifted(range));

  if (event.end == End::kFinished && !checked->left.empty() &&
      !Mutant(Mutation::kFinishWithRecordsLeft)) {
    const Range first = checked->left.front();
    return {Code::kFailedPrecondition,
            who + "finished, but nothing is said of " + std::to_string(Size(checked->left)) +
                " records, the first " + Text({first.begin - base, first.end - base})};
  }
  if (event.metrics.empty() || Mutant(Mutation::kEvaluationCountedTwice)) return {};
  // A result holds for all of its records, or for none.
  if (TypeOf(lease.work) != TaskType::kEvaluate) {
    return {Code::kInvalidArgument, who + "metrics belong to tasks of evaluation"};
  }
  const std::vector<double>& sums = PoolOf(lease.work).metrics;
  if (!sums.empty() && sums.size() != event.metrics.size()) {
    return {Code::kInvalidArgument, who + std::to_string(event.metrics.size()) +
                                        " metric sums, other tasks gave " +
                                        std::to_string(sums.size())};
  }
  checked->counts = fresh > 0;
  if (told == 0 || (fresh > 0 && fresh < told)) {
    return {Code::kAborted,
            who + "its metrics hold " + std::to_string(told - fresh) +
                " records that are accounted for already; release it, and evaluate the rest anew"};
  }
  return {};
}

void Ledger::Acknowledge(Lease* lease, const Acknowledged& what, Effects* effects) {
  Account& account = PoolOf(lease->work).account;
  const Ranges fresh = Intersect(lease->remaining, what.range);
  for (const Range& range : fresh) {
    if (Mutant(Mutation::kAckForgotten)) break;
    account.done.Add(range);
    if (what.outcome == Outcome::kFiltered && !Mutant(Mutation::kFilteredCountedAsTrained)) {
      account.filtered.Add(range);
    }
    if (what.outcome == Outcome::kDropped && !Mutant(Mutation::kDropCreditedToNoOp)) {
      account.dropped[what.op].Add(range);
    }
    effects->changed = true;
  }
  // Trained although the lease had given it up, and nobody has accounted for it since.
  if (what.outcome == Outcome::kTrained) {
    Ranges stray{what.range};
    Subtract(&stray, fresh);
    for (const Range& part : stray) {
      for (const Range& open : account.done.Gaps(part)) NameRepeated(*lease, open, effects);
    }
  }
  if (!Mutant(Mutation::kAckNotRemovedFromLease)) Subtract(&lease->remaining, what.range);
  if (lease->sibling != 0) TrimSibling(*lease, what.range, effects);
}

// The first who accounts for a record counts.
void Ledger::TrimSibling(const Lease& lease, Range range, Effects* effects) {
  if (Mutant(Mutation::kBackupNotTrimmed)) return;
  if (Mutant(Mutation::kEvaluationCountedTwice) && TypeOf(lease.work) == TaskType::kEvaluate)
    return;
  Lease* sibling = leases_.Find(lease.sibling);
  const Ranges lost = Intersect(sibling->remaining, range);
  if (lost.empty()) return;
  Subtract(&sibling->remaining, range);
  if (!Mutant(Mutation::kBackupRepeatNotNamed)) {
    for (const Range& part : lost) NameRepeated(*sibling, part, effects);
  }
  // A result of evaluation holds for all of a lease, so this one's can no longer be accepted.
  const bool spoiled = TypeOf(lease.work) == TaskType::kEvaluate;
  if (!spoiled && !sibling->remaining.empty()) return;
  Return(*sibling, sibling->remaining);
  Drop(sibling->token, EndReason::kSuperseded, effects);
}

void Ledger::NameRepeated(const Lease& lease, Range range, Effects* effects) {
  if (TypeOf(lease.work) != TaskType::kTrain) return;
  effects->repeated = true;
  IntervalSet& repeated = PoolOf(lease.work).account.repeated;
  if (repeated.Covers(range)) return;
  repeated.Add(range);
  effects->changed = true;
}

}  // namespace headrace::ledger
