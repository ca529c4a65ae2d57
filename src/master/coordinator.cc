#include "master/coordinator.h"

#include <tuple>
#include <utility>

namespace headrace::master {
namespace {

constexpr std::uint64_t kVersionsPerStart = 1'000'000'000;

auto Content(const Orders& orders) {
  const SaveOrder* save = orders.save ? &*orders.save : nullptr;
  const EvaluatedOrder* evaluated = orders.evaluated ? &*orders.evaluated : nullptr;
  return std::make_tuple(orders.incarnation, orders.state, orders.reason, orders.hold,
                         orders.hold_reason, save == nullptr ? "" : save->directory,
                         evaluated == nullptr ? -1 : evaluated->round, orders.recalled,
                         orders.fenced, orders.live, orders.deliver);
}

}  // namespace

Coordinator::Coordinator(const Job* job, const State* state, std::int64_t now_ms)
    : job_(*job),
      state_(*state),
      next_version_(static_cast<std::uint64_t>(state->starts()) * kVersionsPerStart + 1) {
  for (const auto& [number, worker] : state->workers()) {
    presences_[number].heard_ms = now_ms;
    presences_[number].leased = true;  // as far as this master knows
  }
}

void Coordinator::Join(std::uint64_t worker, std::int64_t now_ms) {
  presences_[worker].heard_ms = now_ms;
}

void Coordinator::Leave(std::uint64_t worker) {
  presences_.erase(worker);
}

void Coordinator::Hear(std::uint64_t worker, const Word& word, std::int64_t now_ms) {
  Presence& presence = presences_[worker];
  presence.heard_ms = now_ms;
  presence.word = word;
}

bool Coordinator::HeardOf(std::uint64_t worker, std::int64_t incarnation) const {
  const auto it = presences_.find(worker);
  return it != presences_.end() && it->second.word.incarnation == incarnation;
}

void Coordinator::Leased(std::uint64_t worker) {
  presences_[worker].leased = true;
}

Coordinator::Permission Coordinator::MayLease(std::uint64_t worker) const {
  const Worker* known = state_.Find(worker);
  if (known == nullptr || job_state_ == JobState::kStopping) return {};
  // It has none, or its model has steps that the ledger does not know of, or it is fenced off.
  if (!HasModel(*known)) return {};
  if (hold_ == 0) return {true, true};
  return {false, Stands(worker)};
}

ledger::Answer Coordinator::AnswerFor(ledger::Answer answer) const {
  if (answer == ledger::Answer::kDone && job_state_ != JobState::kDone) {
    return ledger::Answer::kWait;
  }
  // A flush would be trained; in a hold nothing is.
  if (answer == ledger::Answer::kFlush && hold_ != 0) return ledger::Answer::kWait;
  return answer;
}

Orders Coordinator::OrdersFor(std::uint64_t worker) {
  const ledger::Ledger& ledger = state_.ledger();
  Orders orders;
  orders.incarnation = ledger.incarnation();
  orders.state = Delivers(worker) ? JobState::kDone : job_state_;
  if (job_state_ == JobState::kFailed) orders.reason = ledger.failure();
  if (job_state_ == JobState::kStopping) orders.reason = state_.stop()->reason;
  orders.hold = hold_;
  orders.hold_reason = hold_reason_;
  if (worker == saver_ && saver_ != 0) orders.save = save_;
  if (worker == reporter_ && reporter_ != 0) orders.evaluated = report_;
  for (const std::uint64_t token : ledger.leases().HeldBy(worker)) {
    if (ledger.leases().Find(token)->recalled) orders.recalled.push_back(token);
  }
  orders.fenced = state_.fenced();
  orders.live = live_;
  orders.deliver = job_.model != ModelKind::kShared || Delivers(worker);
  const auto it = presences_.find(worker);
  if (it == presences_.end()) {
    orders.version = next_version_++;
    return orders;
  }
  Orders& last = it->second.orders;
  if (last.version != 0 && Content(last) == Content(orders)) return last;
  orders.version = next_version_++;
  last = orders;
  return orders;
}

bool Coordinator::over(std::int64_t now_ms) const {
  if (PresentWorkers(now_ms) > 0) return false;
  if (job_state_ == JobState::kDone) {
    return job_.model == ModelKind::kNone || state_.delivered();
  }
  return job_state_ != JobState::kRunning;
}

bool Coordinator::TakeChanged() {
  return std::exchange(changed_, false);
}

std::optional<CheckpointResult> Coordinator::TakeResult() {
  return std::exchange(result_, std::nullopt);
}

const SaveOrder* Coordinator::SaveOf(std::uint64_t worker, std::uint64_t hold) const {
  return worker == saver_ && saver_ != 0 && hold == hold_ ? &save_ : nullptr;
}

bool Coordinator::Stands(std::uint64_t worker) const {
  const auto it = presences_.find(worker);
  if (it == presences_.end() || hold_ == 0) return false;
  return it->second.word.held == hold_ || !it->second.leased;
}

bool Coordinator::AtBoundary(std::uint64_t worker) const {
  const auto it = presences_.find(worker);
  return it != presences_.end() && it->second.word.at_boundary;
}

bool Coordinator::Delivers(std::uint64_t worker) const {
  return complete_ && !state_.delivered() && worker != 0 && worker == state_.delivering().worker;
}

bool Coordinator::AwaitsDelivery(std::uint64_t worker) const {
  return complete_ && job_state_ == JobState::kRunning && !Delivers(worker);
}

std::int64_t Coordinator::SilentFor(std::uint64_t worker, std::int64_t now_ms) const {
  const auto it = presences_.find(worker);
  return it == presences_.end() ? 0 : now_ms - it->second.heard_ms;
}

std::int64_t Coordinator::PresentWorkers(std::int64_t now_ms) const {
  std::int64_t present = 0;
  for (const auto& [number, presence] : presences_) {
    if (now_ms - presence.heard_ms <= job_.spec.lease_ms) ++present;
  }
  return present;
}

std::string Coordinator::WaitsFor(std::int64_t now_ms, std::int64_t* since_ms) const {
  const auto name = [&](std::uint64_t number) { return state_.Find(number)->name; };
  if (state_.restoring().worker != 0) {
    *since_ms = state_.restoring().now_ms;
    return name(state_.restoring().worker) + " to restore the model";
  }
  if (Delivers(state_.delivering().worker)) {
    *since_ms = state_.delivering().now_ms;
    return name(state_.delivering().worker) + " to write the model";
  }
  if (hold_ == 0) return "";
  *since_ms = hold_since_ms_;
  const std::string what = " (" + hold_reason_ + ")";
  if (saver_ != 0) return name(saver_) + " to save " + save_.directory + what;
  if (reporter_ != 0) return name(reporter_) + " to compute the metrics" + what;
  std::int64_t count = 0, standing = 0;
  std::string moving;
  for (const auto& [number, presence] : presences_) {
    if (!Counts(number, now_ms)) continue;
    ++count;
    if (Stands(number)) {
      ++standing;
    } else {
      moving += (moving.empty() ? "" : ", ") + name(number);
    }
  }
  if (count == 0) return "a worker to join" + what;
  if (!moving.empty()) {
    return moving + " to stand still, " + std::to_string(standing) + " of " +
           std::to_string(count) + " workers do" + what;
  }
  const Due due = FindDue(now_ms);
  if (due.open != 0 && !due.checkpoint) return "the tasks of the evaluation" + what;
  return "a worker with the model" + what;
}

}  // namespace headrace::master
