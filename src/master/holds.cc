// When all stand still, and what is then done.
#include <algorithm>
#include <string>
#include <utility>

#include "master/coordinator.h"

namespace headrace::master {

bool Coordinator::MainComplete() const {
  const ledger::Ledger& ledger = state_.ledger();
  return ledger.main().Complete(ledger.line(0));
}

bool Coordinator::SavedAlready() const {
  const Checkpoint& last = state_.checkpoint();
  return !last.directory.empty() && last.step == state_.ledger().step() &&
         last.incarnation == state_.ledger().incarnation();
}

bool Coordinator::HasModel(const Worker& worker) const {
  if (job_.model == ModelKind::kNone) return true;
  if (worker.model_incarnation != state_.ledger().incarnation()) return false;
  return job_.model == ModelKind::kLocal ? worker.expired.empty() : !state_.IsFenced(worker.number);
}

bool Coordinator::Counts(std::uint64_t worker, std::int64_t now_ms) const {
  const Worker* known = state_.Find(worker);
  const auto it = presences_.find(worker);
  if (known == nullptr || it == presences_.end()) return false;
  const Presence& presence = it->second;
  if (now_ms - presence.heard_ms > job_.spec.lease_ms) return false;
  if (job_.model == ModelKind::kLocal && !known->expired.empty()) return false;
  if (state_.IsFenced(worker)) return false;
  // Of a model that was rewound: it starts again.
  return presence.word.incarnation == 0 ||
         presence.word.incarnation == state_.ledger().incarnation();
}

bool Coordinator::AllStand(std::int64_t now_ms) const {
  return std::all_of(presences_.begin(), presences_.end(), [&](const auto& entry) {
    return !Counts(entry.first, now_ms) || Stands(entry.first);
  });
}

std::uint64_t Coordinator::Choose(std::int64_t now_ms) const {
  for (const auto& [number, presence] : presences_) {
    if (Counts(number, now_ms) && Stands(number) && HasModel(*state_.Find(number))) return number;
  }
  return 0;
}

bool Coordinator::StopNeedsCheckpoint(std::int64_t now_ms) const {
  const StopAsked* stop = state_.stop();
  if (stop == nullptr || stop->discard || !job_.has_checkpoints() || stop_settled_) return false;
  // Without a model there is nothing to save.
  return std::any_of(presences_.begin(), presences_.end(), [&](const auto& entry) {
    return Counts(entry.first, now_ms) && HasModel(*state_.Find(entry.first));
  });
}

bool Coordinator::CheckpointDue(std::int64_t now_ms) const {
  if (!job_.has_checkpoints() || complete_ || state_.delivered()) return false;
  if (asked_ || StopNeedsCheckpoint(now_ms)) return true;
  // A step of a worker that had not stood still is taken again when the job is resumed.
  if (state_.stop() != nullptr) return false;
  const std::int64_t every = job_.checkpoint_every_steps;
  if (every == 0) return false;
  const std::int64_t incarnation = state_.ledger().incarnation();
  std::int64_t floor = state_.restored_step();
  const Checkpoint& last = state_.checkpoint();
  if (last.incarnation == incarnation) floor = std::max(floor, last.step);
  if (failed_incarnation_ == incarnation) floor = std::max(floor, failed_step_);
  return state_.ledger().step() / every > floor / every;
}

void Coordinator::FindRounds(Due* due) const {
  const ledger::Ledger& ledger = state_.ledger();
  const auto needs_report = [&](std::int64_t round, const std::vector<double>& sums) {
    return !sums.empty() && state_.measured().count(round) == 0;
  };
  if (ledger.spec().type == ledger::TaskType::kEvaluate) {
    const std::vector<double>& sums = ledger.main().metrics;
    if (MainComplete() && needs_report(0, sums)) {
      due->report = EvaluatedOrder{0, ledger.spec().model_version, sums};
    }
    return;
  }
  auto it = ledger.rounds().upper_bound(settled_rounds_);
  for (; it != ledger.rounds().end(); ++it) {
    const auto& [number, round] = *it;
    if (round.state == ledger::RoundState::kDone) {
      if (needs_report(number, round.pool.metrics)) {
        if (!due->report) due->report = {number, round.model_version, round.pool.metrics};
      } else if (number == settled_rounds_ + 1) {
        settled_rounds_ = number;
      }
    } else if (round.state == ledger::RoundState::kOpen) {
      due->open = number;
    } else if (ledger.step() >= round.step || MainComplete()) {
      due->pin = number;  // not before a model that was rewound is back where it became due
    }
  }
}

Coordinator::Due Coordinator::FindDue(std::int64_t now_ms) const {
  Due due;
  if (!state_.ledger().failure().empty()) return due;
  due.checkpoint = CheckpointDue(now_ms);
  if (state_.stop() == nullptr) FindRounds(&due);
  return due;
}

std::string Coordinator::Reason(const Due& due) const {
  std::string reason;
  const auto add = [&](const std::string& what) { reason += (reason.empty() ? "" : ", ") + what; };
  if (due.checkpoint) add("checkpoint");
  if (due.pin != 0) add("evaluation of step " + std::to_string(state_.ledger().step()));
  if (due.open != 0) {
    add("evaluation of step " +
        std::to_string(state_.ledger().rounds().at(due.open).model_version));
  }
  if (due.report) add("metrics of step " + std::to_string(due.report->step));
  return reason;
}

std::optional<Entry> Coordinator::Decide(std::int64_t now_ms) {
  if (Inexact()) {
    VoidOrders();
    return ModelLost{now_ms};
  }
  const auto before = std::make_tuple(hold_, saver_, reporter_, hold_reason_);
  std::optional<Entry> entry;
  while (true) {
    const Due due = FindDue(now_ms);
    if (!due.any()) {
      entry = EndHold();
      break;
    }
    if (hold_ == 0) {
      hold_ = state_.holds() + 1;
      hold_since_ms_ = now_ms;
    }
    hold_reason_ = Reason(due);
    if (!due.checkpoint || !Counts(saver_, now_ms)) saver_ = 0;
    if (!due.report || !Counts(reporter_, now_ms)) reporter_ = 0;
    if (due.checkpoint && saver_ == 0 && AdoptSave(now_ms)) break;
    if (saver_ != 0 || reporter_ != 0) break;     // their turn
    if (due.open != 0 && !due.checkpoint) break;  // the ledger says when it is done
    if (!AllStand(now_ms)) break;
    const std::uint64_t chosen = Choose(now_ms);
    if (chosen == 0) break;
    if (due.checkpoint) {
      if (SavedAlready()) {
        FinishCheckpoint({Status(), state_.checkpoint().directory, state_.checkpoint().step});
        continue;
      }
      entry = OrderSave(chosen, now_ms);
    } else if (due.pin != 0) {
      ledger::PinEvaluation pin;
      pin.round = due.pin;
      pin.model_version = state_.ledger().step();
      pin.now_ms = now_ms;
      entry = Entry(ledger::Event(pin));
    } else {
      reporter_ = chosen;
      report_ = *due.report;
    }
    break;
  }
  begun_ = true;
  UpdateJobState(now_ms);
  if (before != std::make_tuple(hold_, saver_, reporter_, hold_reason_)) changed_ = true;
  if (!entry) entry = OrderDelivery(now_ms);
  return entry;
}

SaveOrdered Coordinator::OrderSave(std::uint64_t worker, std::int64_t now_ms) const {
  SaveOrdered order;
  order.hold = hold_;
  order.worker = worker;
  order.step = state_.ledger().step();
  // The time keeps it apart from what an earlier try or an earlier run left behind.
  order.directory = job_.checkpoint_directory + "/step-" + std::to_string(order.step) + "-" +
                    std::to_string(now_ms);
  order.position = ledger::Encode(state_.ledger().TakePosition());
  return order;
}

bool Coordinator::AdoptSave(std::int64_t now_ms) {
  const SaveOrdered& order = state_.saving();
  if (order.hold != hold_ || !Counts(order.worker, now_ms)) return false;
  saver_ = order.worker;
  save_ = {order.hold, order.directory, order.position, order.step};
  return true;
}

void Coordinator::FinishCheckpoint(CheckpointResult result) {
  saver_ = 0;
  if (!result.status.ok()) {
    failed_step_ = state_.ledger().step();
    failed_incarnation_ = state_.ledger().incarnation();
  }
  if (state_.stop() != nullptr) stop_settled_ = true;
  if (std::exchange(asked_, false)) result_ = std::move(result);
}

void Coordinator::SaveFailed(const Status& why) {
  FinishCheckpoint({why, "", 0});
}

void Coordinator::SaveDone() {
  FinishCheckpoint({Status(), state_.checkpoint().directory, state_.checkpoint().step});
}

void Coordinator::VoidOrders() {
  EndHold();  // the state ends it too
}

bool Coordinator::Inexact() const {
  return job_.exact && state_.generation() != 0 && state_.repeated() &&
         state_.ledger().failure().empty();
}

std::optional<Entry> Coordinator::OrderDelivery(std::int64_t now_ms) const {
  if (job_.model != ModelKind::kShared || !complete_ || state_.delivered()) return std::nullopt;
  if (Counts(state_.delivering().worker, now_ms)) return std::nullopt;
  for (const auto& [number, presence] : presences_) {
    if (Counts(number, now_ms) && HasModel(*state_.Find(number))) {
      return DeliverOrdered{number, now_ms};
    }
  }
  return std::nullopt;
}

std::optional<Entry> Coordinator::EndHold() {
  const std::uint64_t ended = hold_;
  hold_ = saver_ = reporter_ = 0;
  hold_reason_.clear();
  if (ended != 0) return HoldEnded{ended};
  // Workers may stand still for a hold of an earlier master that is not due any more.
  if (!begun_ && !presences_.empty()) return HoldEnded{state_.holds() + 1};
  return std::nullopt;
}

// A model that is gone is trained again from where it was saved.
bool Coordinator::ModelThere() const {
  switch (job_.model) {
    case ModelKind::kNone: return true;
    case ModelKind::kLocal:
      return std::any_of(state_.workers().begin(), state_.workers().end(),
                         [&](const auto& entry) { return HasModel(entry.second); });
    case ModelKind::kShared: return state_.generation() != 0;
  }
  return false;
}

void Coordinator::UpdateJobState(std::int64_t now_ms) {
  const ledger::Verdict verdict = state_.ledger().verdict();
  JobState next = JobState::kRunning;
  const bool failed = verdict == ledger::Verdict::kFailed;
  complete_ = !failed && verdict != ledger::Verdict::kRunning && hold_ == 0 &&
              (state_.delivered() || ModelThere());
  if (failed) {
    next = JobState::kFailed;
  } else if (complete_) {
    if (job_.model != ModelKind::kShared || state_.delivered()) next = JobState::kDone;
  } else if (state_.stop() != nullptr && hold_ == 0 && !StopNeedsCheckpoint(now_ms)) {
    next = JobState::kStopping;
  }
  job_state_ = next;
  live_ = PresentWorkers(now_ms);
  const Seen seen{job_state_,
                  complete_,
                  live_,
                  state_.ledger().incarnation(),
                  state_.fenced().size(),
                  state_.delivering().worker};
  changed_ |= seen != seen_;
  seen_ = seen;
  // Nobody is going to save any more.
  if (asked_ && (complete_ || next != JobState::kRunning)) {
    FinishCheckpoint({Status(Code::kFailedPrecondition, "the job has ended"), "", 0});
  }
}

}  // namespace headrace::master
