// Checkpoint positions, and going back to one.
#include "ledger/codec.h"
#include "ledger/ledger.h"
#include "ledger/mutation.h"

namespace headrace::ledger {

Position Ledger::TakePosition() const {
  Position position;
  position.files = FilesFingerprint(spec_);
  position.step = step_;
  position.account = main_.account;
  return position;
}

Status Ledger::CheckPosition(const Position& position) const {
  if (position.files != FilesFingerprint(spec_)) {
    return {Code::kInvalidArgument,
            "the checkpoint is of other files: paths or record counts differ from this job's; use "
            "the data that it was trained on, or start a new model from it"};
  }
  const Account& account = position.account;
  const auto inside = [](const IntervalSet& outer, const IntervalSet& inner) {
    for (const auto& [begin, end] : inner.map()) {
      if (!outer.Covers({begin, end})) return false;
    }
    return true;
  };
  IntervalSet line;
  line.Add(line_.all());
  if (!inside(line, account.done) || !inside(line, account.repeated) ||
      !inside(line, account.rewound)) {
    return {Code::kInvalidArgument, "the checkpoint has more than this job's " +
                                        std::to_string(spec_.epochs) +
                                        " epochs; give at least as many"};
  }
  std::int64_t states = account.filtered.size() + account.quarantined.size();
  IntervalSet together = account.filtered;
  together.Add(account.quarantined.All());
  for (const auto& [op, records] : account.dropped) {
    states += records.size();
    together.Add(records.All());
  }
  if (together.size() != states || !inside(account.done, together)) {
    return {Code::kDataLoss, "the checkpoint's position is damaged: a record in two states"};
  }
  return {};
}

// Of the model as it was.
void Ledger::EndAll(Effects* effects) {
  if (!Mutant(Mutation::kRewindKeepsLeases)) {
    std::vector<std::uint64_t> tokens;
    for (const auto& [token, lease] : leases_.all()) tokens.push_back(token);
    for (const std::uint64_t token : tokens) {
      const Lease& lease = *leases_.Find(token);
      Return(lease, lease.remaining);
      Drop(token, EndReason::kRewound, effects);
    }
  }
  for (auto& [number, worker] : workers_) {
    worker.ended_by_report.clear();
    worker.last_tokens.clear();
  }
  if (!Mutant(Mutation::kRewindKeepsIncarnation)) ++incarnation_;
  effects->changed = true;
}

Status Ledger::On(const LoseModel&, Effects* effects) {
  if (!failure_.empty()) {
    return {Code::kFailedPrecondition, "the job has failed (" + failure_ + "); start it again"};
  }
  EndAll(effects);
  return {};
}

Status Ledger::On(const RewindTo& event, Effects* effects) {
  if (!failure_.empty()) {
    return {Code::kFailedPrecondition, "the job has failed (" + failure_ + "); start it again"};
  }
  Status status = CheckPosition(event.position);
  if (!status.ok()) return status;

  EndAll(effects);
  if (Mutant(Mutation::kTokenReused)) next_token_ = 1;

  const Account before = main_.account;
  Account& account = main_.account;
  if (!Mutant(Mutation::kRewindKeepsAccount)) account = event.position.account;
  // What is bad stays bad, whatever the model.
  for (const auto& [begin, end] : before.quarantined.map()) {
    for (const Range& open : account.done.Gaps({begin, end})) {
      account.done.Add(open);
      account.quarantined.Add(open);
    }
  }
  for (const auto& [begin, end] : event.position.account.quarantined.map()) {
    for (std::int64_t number = begin; number < end; ++number) {
      Quarantine(0, number, "in quarantine when the checkpoint was taken");
    }
  }
  // Trained since, and now again.
  IntervalSet trained = before.done;
  trained.Remove(before.filtered);
  trained.Remove(before.quarantined);
  for (const auto& [op, records] : before.dropped) trained.Remove(records);
  for (const auto& [begin, end] : trained.map()) {
    account.rewound.Add(account.done.Gaps({begin, end}));
  }
  account.rewound.Add(before.rewound.All());

  // A version that is gone can be evaluated no further: its round waits for another one.
  for (const std::int64_t number : open_rounds_) {
    Round& round = rounds_.at(number);
    if (round.state != RoundState::kOpen || round.model_version == event.position.step) continue;
    round.state = RoundState::kDue;
    round.model_version = 0;
    round.pool.account = Account();
    round.pool.metrics.clear();
    round.pool.Restart();
    effects->evaluations_due.push_back(number);
  }

  main_.Restart();
  step_ = event.position.step;
  final_round_ = 0;
  return {};
}

}  // namespace headrace::ledger
