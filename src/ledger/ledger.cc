#include "ledger/ledger.h"

#include <algorithm>
#include <utility>

#include "ledger/codec.h"
#include "ledger/mutation.h"

namespace headrace::ledger {

const char* Name(EndReason reason) {
  static constexpr const char* kNames[] = {"finished",     "released",   "failed",  "expired",
                                           "disconnected", "superseded", "rewound", "job failed"};
  return kNames[static_cast<int>(reason)];
}

Status Ledger::Apply(const Event& event, Effects* effects) {
  *effects = Effects();
  if (!created_ && !std::holds_alternative<CreateJob>(event)) {
    return {Code::kFailedPrecondition,
            std::string("no job yet: the first event must be \"create job\", not \"") +
                KindName(event) + "\""};
  }
  // Handlers read the time from now_ms_; it stays if nothing comes of the event.
  const std::int64_t before_ms = now_ms_;
  now_ms_ = std::max(now_ms_, TimeOf(event));
  Status status = std::visit([&](const auto& e) { return On(e, effects); }, event);
  if (effects->changed) {
    Settle(effects);
  } else {
    now_ms_ = before_ms;
  }
  return status;
}

Status Ledger::On(const CreateJob& event, Effects* effects) {
  if (created_) {
    return {Code::kFailedPrecondition, "this ledger has a job already; a new job needs a new one"};
  }
  Status status = Validate(event.spec);
  if (!status.ok()) return status;
  created_ = true;
  spec_ = event.spec;
  now_ms_ = last_round_ms_ = event.now_ms;
  MakeLines();
  effects->changed = true;
  return {};
}

void Ledger::MakeLines() {
  line_ = Line(spec_.files, spec_.task_records, spec_.epochs, spec_.shuffle, spec_.seed);
  evaluation_line_ =
      Line(spec_.evaluation_files, spec_.evaluation_task_records, 1, /*shuffle=*/false, 0);
}

Status Ledger::On(const Join& event, Effects* effects) {
  const auto [it, added] = workers_.try_emplace(event.worker);
  if (!added) return {};
  it->second.name = event.name;
  effects->changed = true;
  return {};
}

Status Ledger::On(const Disconnect& event, Effects* effects) {
  if (workers_.erase(event.worker) == 0) return {};
  effects->changed = true;
  if (Mutant(Mutation::kDisconnectKeepsLeases)) return {};
  LoseAll(leases_.HeldBy(event.worker), EndReason::kDisconnected, effects);
  return {};
}

Status Ledger::On(const Tick&, Effects* effects) {
  if (!failure_.empty()) return {};
  if (!Mutant(Mutation::kNoExpiry)) {
    LoseAll(leases_.DueBy(now_ms_), EndReason::kExpired, effects);
  }
  // Counted from the end of the round before: else short intervals would leave no time to train.
  if (spec_.evaluation_every_ms > 0 && open_rounds_.empty() &&
      now_ms_ - last_round_ms_ >= spec_.evaluation_every_ms && !main_.Complete(line_)) {
    MakeDue(effects);
    effects->changed = true;
  }
  return {};
}

Status Ledger::On(const Restart&, Effects* effects) {
  std::vector<std::uint64_t> tokens;
  for (const auto& [token, lease] : leases_.all()) tokens.push_back(token);
  for (const std::uint64_t token : tokens) {
    leases_.SetDeadline(leases_.Find(token), now_ms_ + spec_.lease_ms);
  }
  effects->changed = true;
  return {};
}

// What follows from any change: a failed job, rounds that ended, the round at the end.
void Ledger::Settle(Effects* effects) {
  if (const std::string why = std::exchange(doom_, ""); !why.empty() && failure_.empty()) {
    Fail(why, effects);
  }
  const std::int64_t limit =
      spec_.max_quarantined + (Mutant(Mutation::kQuarantineLimitOffByOne) ? 1 : 0);
  if (failure_.empty() && static_cast<std::int64_t>(quarantine_.size()) > limit) {
    const QuarantineEntry& last = quarantine_.back();
    Fail("more than " + std::to_string(spec_.max_quarantined) +
             " records in quarantine; the last is " +
             FileOf(last.evaluation ? 1 : 0, last.file).path + ", record " +
             std::to_string(last.index) + ": " + last.error,
         effects);
  }
  for (auto it = open_rounds_.begin(); it != open_rounds_.end();) {
    Round& round = rounds_.at(*it);
    if (round.state == RoundState::kOpen && round.pool.Complete(evaluation_line_)) {
      round.state = RoundState::kDone;
      last_round_ms_ = now_ms_;
      effects->evaluations_done.push_back(*it);
      it = open_rounds_.erase(it);
    } else {
      ++it;
    }
  }
  if (spec_.evaluation_at_end && final_round_ == 0 && main_.Complete(line_) &&
      !Mutant(Mutation::kFinalEvaluationForgotten)) {
    final_round_ = MakeDue(effects);
  }
}

void Ledger::Fail(const std::string& why, Effects* effects) {
  failure_ = why;
  std::vector<std::uint64_t> tokens;
  for (const auto& [token, lease] : leases_.all()) tokens.push_back(token);
  for (const std::uint64_t token : tokens) {
    const Lease& lease = *leases_.Find(token);
    Return(lease, lease.remaining);
    Drop(token, EndReason::kJobFailed, effects);
  }
}

std::int64_t Ledger::next_deadline_ms() const {
  std::int64_t next = -1;
  for (const auto& [token, lease] : leases_.all()) {
    if (next < 0 || lease.deadline_ms < next) next = lease.deadline_ms;
  }
  return next;
}

std::int64_t Ledger::FileBase(const Lease& lease) const {
  return lease.range.begin - line(lease.work).Locate(lease.range.begin).index;
}

const FileSpec& Ledger::FileOf(std::int64_t work, std::int64_t file) const {
  return work == 0 ? spec_.files[file] : spec_.evaluation_files[file];
}

}  // namespace headrace::ledger
