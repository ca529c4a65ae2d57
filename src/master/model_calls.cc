// What workers say of the model; the lock is held.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "master/dispatcher.h"

namespace headrace::master {
namespace {

constexpr std::int64_t kAskAgainMs = 100;
constexpr std::int64_t kMaxGeneration = std::int64_t{1} << 53;

}  // namespace

Status Dispatcher::DoAttach(const v1::AttachRequest& request, v1::AttachReply* reply) {
  const Worker* worker = state_.Find(request.worker());
  if (worker == nullptr) return Unknown(request.worker());
  if (job_.model != ModelKind::kShared) {
    return {Code::kFailedPrecondition, std::string("the job's 'model' is '") + Name(job_.model) +
                                           "', not on parameter servers: nothing to attach to"};
  }
  if (request.generation() < 0 || request.generation() > kMaxGeneration) {
    return {Code::kInvalidArgument, "generation: " + std::to_string(request.generation()) +
                                        " is none; give what the servers hold, or 0"};
  }
  coordinator_->Join(worker->number, now_ms_);
  Status status = DecideAttach(*worker, request, reply);
  if (!status.ok()) return status;
  Settle();
  if (reply->answer() == v1::ATTACH_WAIT) reply->set_retry_ms(kAskAgainMs);
  *reply->mutable_orders() = OrdersFor(request.worker());
  return {};
}

Status Dispatcher::DecideAttach(const Worker& worker, const v1::AttachRequest& request,
                                v1::AttachReply* reply) {
  const std::int64_t current = state_.generation();
  if (state_.delivered() || (current != 0 && request.generation() == current)) {
    reply->set_answer(v1::ATTACH_READY);
    reply->set_generation(request.generation());
    reply->set_incarnation(state_.ledger().incarnation());
    return Apply(Attached{worker.number});
  }
  const JobState state = coordinator_->job_state();
  if (state == JobState::kFailed || state == JobState::kStopping) {
    reply->set_answer(v1::ATTACH_WAIT);  // the orders say what to do instead
    return {};
  }
  if (current != 0 && request.expected() != current) {
    reply->set_answer(v1::ATTACH_LOOK);
    reply->set_generation(current);
    return {};
  }
  if (current != 0) {
    spdlog::warn("{} finds generation {} at the parameter servers instead of {}: the model is lost",
                 worker.name, request.generation(), current);
    Status status = Apply(ModelLost{now_ms_});
    if (!status.ok()) return status;
    coordinator_->VoidOrders();
  }
  const RestoreOrdered& standing = state_.restoring();
  const bool other = standing.worker != 0 && standing.worker != worker.number;
  if (other && coordinator_->SilentFor(standing.worker, now_ms_) <= job_.spec.lease_ms) {
    reply->set_answer(v1::ATTACH_WAIT);
    return {};
  }
  if (standing.worker != worker.number) {
    const std::int64_t last = std::max(state_.last_generation(), request.generation());
    Status status = Apply(RestoreOrdered{worker.number, last + 1, now_ms_});
    if (!status.ok()) return status;
    spdlog::info("{} restores the model as generation {}", worker.name, last + 1);
  }
  reply->set_answer(v1::ATTACH_RESTORE);
  reply->set_generation(state_.restoring().generation);
  return {};
}

Status Dispatcher::DoRestored(const v1::RestoredRequest& request, v1::RestoredReply* reply) {
  const Worker* worker = state_.Find(request.worker());
  if (worker == nullptr) return Unknown(request.worker());
  if (job_.model == ModelKind::kNone) {
    return {Code::kFailedPrecondition, "the job has no model (its 'model' is 'none')"};
  }
  master::Restored restored;
  restored.worker = request.worker();
  restored.position = request.position();
  restored.step = request.step();
  restored.checkpoint = request.checkpoint();
  restored.now_ms = now_ms_;
  const bool shared = job_.model == ModelKind::kShared;
  const bool again = worker->restored == State::FingerprintOf(restored) &&
                     worker->model_incarnation == state_.ledger().incarnation() &&
                     (shared ? request.generation() == state_.generation()
                             : !coordinator_->HeardOf(worker->number, worker->model_incarnation));
  if (!again) {
    const RestoreOrdered& order = state_.restoring();
    if (shared && (order.worker != worker->number || order.generation != request.generation())) {
      return {Code::kAborted, "generation " + std::to_string(request.generation()) +
                                  " is not what this worker is to restore; attach"};
    }
    const std::int64_t before = state_.ledger().Totals().trained_before_rewind;
    Status status = Apply(restored);
    if (!status.ok()) return status;
    rewinds_.Restored(request.step(), state_.ledger().Totals().trained_before_rewind > before);
    coordinator_->VoidOrders();
    spdlog::info("{} restored {} at step {}: incarnation {}", worker->name,
                 request.checkpoint().empty() ? "a fresh model" : request.checkpoint(),
                 request.step(), state_.ledger().incarnation());
  }
  coordinator_->Join(request.worker(), now_ms_);
  Settle();
  reply->set_incarnation(state_.ledger().incarnation());
  *reply->mutable_orders() = OrdersFor(request.worker());
  return {};
}

Status Dispatcher::DoSaved(const v1::SavedRequest& request) {
  if (state_.Find(request.worker()) == nullptr) return Unknown(request.worker());
  const master::Checkpoint& last = state_.checkpoint();
  if (request.error().empty() && last.hold == request.hold() &&
      last.directory == request.directory() && !last.directory.empty()) {
    return {};  // said before
  }
  const SaveOrder* order = coordinator_->SaveOf(request.worker(), request.hold());
  if (order == nullptr) {
    return {Code::kAborted, "hold " + std::to_string(request.hold()) +
                                " is over, or another worker saves; its checkpoint does not count"};
  }
  if (!request.error().empty()) {
    spdlog::error("no checkpoint of step {}: {}", order->step, request.error());
    coordinator_->SaveFailed(
        {Code::kUnavailable, "the checkpoint could not be saved: " + request.error()});
    return {};
  }
  if (request.directory() != order->directory) {
    return {Code::kInvalidArgument, "directory: the order was to save " + order->directory +
                                        ", not " + request.directory()};
  }
  master::Saved saved;
  saved.worker = request.worker();
  saved.hold = request.hold();
  saved.directory = request.directory();
  saved.step = order->step;
  saved.pause_ms = request.pause_ms();
  saved.bytes = request.bytes();
  saved.now_ms = now_ms_;
  Status status = Apply(saved);
  if (!status.ok()) return status;
  spdlog::info("checkpoint of step {}: {} ({} bytes, {} ms)", saved.step, saved.directory,
               saved.bytes, saved.pause_ms);
  coordinator_->SaveDone();
  return {};
}

}  // namespace headrace::master
