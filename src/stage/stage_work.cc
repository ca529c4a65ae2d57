// The threads of a stage: draws in ticket order, bodies side by side.
#include <utility>

#include "stage/stage.h"
#include "stage/this_thread.h"
#include "stage/trace.h"

namespace headrace::stage {
namespace {

std::int64_t Microseconds(Clock::duration d) {
  return std::chrono::duration_cast<std::chrono::microseconds>(d).count();
}

}  // namespace

Stage::SlotPtr Stage::PendingLocked() const {
  for (const SlotPtr& slot : slots_) {
    if (slot->state == SlotState::kPending) return slot;
  }
  return nullptr;
}

void Stage::DrawLocked(std::unique_lock<std::mutex>* lock, Slot* slot, Deferred* deferred) {
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    Source& source = *inputs_[i].source;
    if (source.mode_ != Source::Mode::kOnDraw) continue;
    // Closing the stage or the source makes the ticket an orphan.
    while (!slot->orphan && source.SizeLocked() <= assigned_[i]) {
      if (source.reading_ == nullptr && !source.direct_) {
        source.ReadLocked(lock, deferred);
      } else {
        source.state_cv_.wait(*lock);  // another stage draws from it
      }
    }
    if (slot->orphan) return;
    const ElementPtr& element = source.AtLocked(assigned_[i]++);
    slot->elements[i] = element;
    slot->inputs[i] = element->read.value;
    if (slot->status.ok()) slot->status = element->read.status;
  }
  if (!slot->status.ok()) slot->inputs.clear();
}

void Stage::RunBodyLocked(std::unique_lock<std::mutex>* lock, Slot* slot, Deferred* deferred) {
  const TimePoint begin = domain_->Now();
  Runner step;
  if (!setting_.ahead() && !waiters_.empty()) step = waiters_.front().step;
  lock->unlock();
  deferred->Run();
  ReadResult result;
  {
    TraceSpan span("body", config_.name, slot->ticket);
    result = body_->Run(slot->inputs, step ? &step : nullptr);
  }
  lock->lock();
  figures_.body_us += Microseconds(domain_->Now() - begin);
  if (slot->orphan) {
    if (result.status.ok()) {
      ++figures_.produced;
      ++figures_.discarded;
    }
    deferred->garbage.push_back(std::move(result.value));
    return;
  }
  slot->status = std::move(result.status);
  slot->body = std::move(result.value);
  slot->bytes = result.bytes;
  staged_bytes_ += result.bytes;
}

void Stage::WorkLoop(int index) {
  NameThisThread("hr-stage");
  if (config_.capacity == kAutotune) LetOthersRunFirst();
  Deferred deferred;
  std::unique_lock<std::mutex> lock(domain_->mu_);
  while (!closing_) {
    if (!consumed_.empty()) {
      SweepLocked(&deferred);
      lock.unlock();
      deferred.Run();
      lock.lock();
      continue;
    }
    if (index >= setting_.num_threads) {
      spare_cv_.wait(lock);
      continue;
    }
    SlotPtr slot = drawing_ ? nullptr : PendingLocked();
    if (slot == nullptr) {
      const TimePoint since = domain_->Now();
      work_cv_.wait(lock);
      figures_.producer_wait_us += Microseconds(domain_->Now() - since);
      continue;
    }
    slot->state = SlotState::kRunning;
    if (has_draws_) {
      drawing_ = true;
      DrawLocked(&lock, slot.get(), &deferred);
      drawing_ = false;
      work_cv_.notify_all();
    }
    if (!slot->orphan && slot->status.ok() && body_ != nullptr)
      RunBodyLocked(&lock, slot.get(), &deferred);
    if (slot->orphan) {
      deferred.garbage.push_back(std::move(slot));
    } else {
      slot->state = SlotState::kDone;
      if (slot->status.ok()) ++figures_.produced;
      last_progress_ = domain_->Now();
      slot.reset();  // not the last reference: the ticket has its place in slots_
      domain_->TouchLocked(this);
      domain_->SettleLocked(&deferred);
    }
    if (!deferred.empty()) {
      lock.unlock();
      deferred.Run();
      lock.lock();
    }
  }
}

}  // namespace headrace::stage
