// When evaluation rounds begin.
#include "ledger/ledger.h"

namespace headrace::ledger {

Status Ledger::On(const Progress& event, Effects* effects) {
  if (event.incarnation != incarnation_) {
    return {Code::kAborted, "the job was rewound: incarnation " + std::to_string(incarnation_) +
                                ", the step count is of " + std::to_string(event.incarnation)};
  }
  if (event.step <= step_ || !failure_.empty()) return {};
  const std::int64_t every = spec_.evaluation_every_steps;
  const bool due = every > 0 && event.step / every > step_ / every && !main_.Complete(line_);
  step_ = event.step;
  effects->changed = true;
  if (due) MakeDue(effects);
  return {};
}

// A round that waits for its model version serves every trigger until it has it.
std::int64_t Ledger::MakeDue(Effects* effects) {
  for (const std::int64_t number : open_rounds_) {
    if (rounds_.at(number).state == RoundState::kDue) return number;
  }
  const std::int64_t number = static_cast<std::int64_t>(rounds_.size()) + 1;
  rounds_[number].step = step_;
  open_rounds_.insert(number);
  effects->evaluations_due.push_back(number);
  return number;
}

Status Ledger::On(const PinEvaluation& event, Effects* effects) {
  const auto it = rounds_.find(event.round);
  if (it == rounds_.end()) {
    return {Code::kNotFound, "no evaluation round " + std::to_string(event.round) + " is due"};
  }
  Round& round = it->second;
  if (round.state != RoundState::kDue) {
    if (round.model_version == event.model_version) return {};
    return {Code::kFailedPrecondition, "evaluation round " + std::to_string(event.round) +
                                           " is pinned to model version " +
                                           std::to_string(round.model_version) + ", not " +
                                           std::to_string(event.model_version)};
  }
  round.state = RoundState::kOpen;
  round.model_version = event.model_version;
  effects->changed = true;
  return {};
}

}  // namespace headrace::ledger
