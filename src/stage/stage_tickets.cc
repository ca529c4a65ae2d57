// How a stage pairs elements to tickets, gives tickets away, and follows what happens to its
// sources.
#include <algorithm>
#include <iterator>
#include <utility>

#include "stage/stage.h"
#include "stage/trace.h"

namespace headrace::stage {
namespace {

// After this many steps of other consumers in a row, a stage stops computing for nobody.
constexpr int kForeignPopsUntilDormant = 2;

std::int64_t Microseconds(Clock::duration d) {
  return std::chrono::duration_cast<std::chrono::microseconds>(d).count();
}

}  // namespace

bool Stage::CanFormTicketLocked() const {
  if (slots_.size() >= LimitLocked()) return false;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    const Source& source = *inputs_[i].source;
    if (source.mode_ == Source::Mode::kOnDraw) continue;
    if (source.SizeLocked() <= assigned_[i]) return false;
    const ReadResult& read = source.AtLocked(assigned_[i])->read;
    // A ticket ends with the read that failed; the sources behind it are not asked.
    if (read.status.ok()) continue;
    if (inputs_[i].adapt == nullptr || !inputs_[i].adapt(read).status.ok()) return true;
  }
  return true;
}

void Stage::FormTicketsLocked() {
  if (!OpenLocked() || dormant_) return;
  while (CanFormTicketLocked()) {
    auto slot = std::make_shared<Slot>();
    slot->elements.resize(inputs_.size());
    slot->inputs.resize(inputs_.size());
    for (std::size_t i = 0; i < inputs_.size() && !slot->read_failed; ++i) {
      const Source& source = *inputs_[i].source;
      if (source.mode_ == Source::Mode::kOnDraw) continue;
      const ElementPtr& element = source.AtLocked(assigned_[i]);
      const ReadResult read = inputs_[i].adapt ? inputs_[i].adapt(element->read) : element->read;
      slot->elements[i] = element;
      slot->inputs[i] = read.value;
      slot->status = read.status;
      slot->read_failed = !read.status.ok();
    }
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (slot->elements[i] != nullptr) ++assigned_[i];
    }
    slot->ticket = next_ticket_++;
    // A step that finds no element runs its random ops all the same: they do not depend on it.
    if (!has_workers() || (slot->read_failed && !has_draws_)) {
      slot->state = SlotState::kDone;
      if (!slot->read_failed) ++figures_.produced;
    } else {
      work_cv_.notify_one();
    }
    slots_.push_back(std::move(slot));
  }
}

void Stage::OrphanLocked(Slot* slot) {
  slot->orphan = true;
  staged_bytes_ -= slot->bytes;
  slot->bytes = 0;
  if (slot->state == SlotState::kDone && slot->status.ok()) ++figures_.discarded;
}

void Stage::DropFrontLocked(Deferred* deferred) {
  SlotPtr slot = std::move(slots_.front());
  slots_.pop_front();
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (slot->elements[i] != nullptr) --assigned_[i];
  }
  OrphanLocked(slot.get());
  deferred->garbage.push_back(std::move(slot));
}

void Stage::DropSlotsLocked(Deferred* deferred) {
  for (SlotPtr& slot : slots_) {
    OrphanLocked(slot.get());
    deferred->garbage.push_back(std::move(slot));
  }
  slots_.clear();
  SweepLocked(deferred);
  std::fill(assigned_.begin(), assigned_.end(), 0);
}

Stage::SlotPtr Stage::ConsumeFrontLocked(Deferred* deferred) {
  SlotPtr slot = std::move(slots_.front());
  slots_.pop_front();
  staged_bytes_ -= slot->bytes;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (slot->elements[i] == nullptr) continue;
    --assigned_[i];
    inputs_[i].source->PopLocked();
  }
  // Only now, when the whole ticket is out: who sees half of it would pair other elements.
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (slot->elements[i] != nullptr) inputs_[i].source->TellPopLocked(this, deferred);
  }
  domain_->TouchLocked(this);
  return slot;
}

void Stage::DisposeLocked(SlotPtr slot, Deferred* deferred) {
  const bool more_to_come = slot->status.ok() && consumed_.size() < LimitLocked();
  if (has_workers() && more_to_come) {
    consumed_.push_back(std::move(slot));
    return;
  }
  SweepLocked(deferred);
  deferred->garbage.push_back(std::move(slot));
}

void Stage::SweepLocked(Deferred* deferred) {
  deferred->garbage.insert(deferred->garbage.end(), std::make_move_iterator(consumed_.begin()),
                           std::make_move_iterator(consumed_.end()));
  consumed_.clear();
}

bool Stage::FrontIsStaleLocked() const {
  if (!has_state_ || slots_.empty() || slots_.front()->state != SlotState::kDone) return false;
  for (const Input& input : inputs_) {
    if (!input.source->HoldsLocked()) return true;
  }
  return false;
}

void Stage::RewindLocked(Deferred* deferred) {
  DropSlotsLocked(deferred);
  for (const Input& input : inputs_) {
    if (input.source->state_ != nullptr) input.source->RewindLocked(deferred);
  }
  if (tuner_ != nullptr) tuner_->OnBreak();
  FormTicketsLocked();
  domain_->TouchLocked(this);
}

bool Stage::TakeFrontLocked(bool waited, Status* status, Taken* taken, Deferred* deferred) {
  while (!slots_.empty() && slots_.front()->state == SlotState::kDone) {
    const bool full = slots_.size() >= LimitLocked() && slots_.back()->state == SlotState::kDone;
    const SlotPtr slot = ConsumeFrontLocked(deferred);
    DisposeLocked(slot, deferred);
    FormTicketsLocked();
    if (slot->status.ok()) {
      ignored_in_a_row_ = 0;
      ++figures_.taken;
      if (tuner_ != nullptr) TuneLocked(waited, full, deferred);
      *status = Status();
      taken->inputs = std::move(slot->inputs);
      taken->body = std::move(slot->body);
      if (Trace::enabled()) {
        last_taken_ = Clock::now();
        last_ticket_ = slot->ticket;
      }
      return true;
    }
    if (tuner_ != nullptr) tuner_->OnBreak();
    figures_.last_error = slot->status.ToString();
    const Code code = slot->status.code();
    if (config_.ignored_codes.count(code) > 0 &&
        (config_.ignored_limit == 0 || ignored_in_a_row_ < config_.ignored_limit)) {
      ++ignored_in_a_row_;
      ++figures_.skipped;
      continue;
    }
    ignored_in_a_row_ = 0;
    ++figures_.failed;
    *status = config_.closed_codes.count(code) > 0
                  ? Status(Code::kOutOfRange, slot->status.message())
                  : slot->status;
    *taken = Taken();
    if (!slot->read_failed) taken->inputs = std::move(slot->inputs);
    return true;
  }
  return false;
}

void Stage::DeliverLocked(Deferred* deferred) {
  // Once for each step: state that is written while the step runs is a race without a stage, too.
  if (!waiters_.front().rewound && FrontIsStaleLocked()) {
    waiters_.front().rewound = true;
    return RewindLocked(deferred);
  }
  Status status;
  Taken taken;
  if (!TakeFrontLocked(/*waited=*/true, &status, &taken, deferred))
    return;  // all that was there are ignored errors
  Waiter waiter = std::move(waiters_.front());
  waiters_.pop_front();
  figures_.consumer_wait_us += Microseconds(domain_->Now() - waiter.since);
  if (waiter.traced_since != TimePoint()) {
    Trace::Add("wait", config_.name, waiter.id, waiter.traced_since, Clock::now());
  }
  deferred->calls.push_back(
      [done = std::move(waiter.done), status, taken = std::move(taken)]() mutable {
        done(status, std::move(taken));
      });
}

// --- what sources tell -------------------------------------------------------------------------

void Stage::OnAppendLocked() {
  last_progress_ = domain_->Now();
  FormTicketsLocked();
  domain_->TouchLocked(this);
}

bool Stage::AlignedLocked(std::size_t skip) const {
  std::vector<std::size_t> next(inputs_.size(), 0);
  for (std::size_t k = skip; k < slots_.size(); ++k) {
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      const ElementPtr& element = slots_[k]->elements[i];
      if (element == nullptr) continue;
      const Source& source = *inputs_[i].source;
      if (next[i] == source.SizeLocked() || source.AtLocked(next[i]++) != element) return false;
    }
  }
  return true;
}

void Stage::OnForeignPopLocked(Deferred* deferred) {
  if (!OpenLocked() || dormant_) return;
  if (++foreign_pops_ >= kForeignPopsUntilDormant * static_cast<int>(inputs_.size()) &&
      waiters_.empty()) {
    dormant_ = true;
    DropSlotsLocked(deferred);
    return;
  }
  if (!AlignedLocked(0)) {
    // One ticket went elsewhere, and those behind it keep their elements; or every ticket now pairs
    // other elements, and is formed anew from those that are left.
    if (AlignedLocked(1)) {
      DropFrontLocked(deferred);
    } else {
      DropSlotsLocked(deferred);
    }
  }
  FormTicketsLocked();
  domain_->TouchLocked(this);
}

void Stage::OnResetLocked(Deferred* deferred) {
  DropSlotsLocked(deferred);
  ignored_in_a_row_ = 0;
  FormTicketsLocked();
  domain_->TouchLocked(this);
}

void Stage::OnSourceClosedLocked(const std::string& source, Deferred* deferred) {
  closed_because_ = "its source '" + source + "' was closed";
  source_closed_.store(true, std::memory_order_release);
  DropSlotsLocked(deferred);
  FailWaitersLocked(ClosedStatusLocked(), deferred);
}

void Stage::WakeSourcesLocked() {
  for (const Input& input : inputs_) input.source->WakeLocked();
}

std::size_t Stage::HeldBytesLocked() const {
  std::size_t bytes = staged_bytes_;
  for (const Input& input : inputs_) bytes += input.source->bytes_;
  return bytes;
}

std::size_t Stage::WantedLocked() const {
  if (!OpenLocked() || dormant_) return 0;
  // One element may always be held: a budget smaller than a batch must not stop the program.
  const std::size_t limit = LimitLocked();
  if (config_.budget_bytes > 0 && HeldBytesLocked() >= config_.budget_bytes)
    return std::min<std::size_t>(1, limit);
  return limit;
}

bool Stage::NeedsElementLocked(const Source* source) const {
  return !waiters_.empty() && slots_.empty() && source->SizeLocked() == 0;
}

}  // namespace headrace::stage
