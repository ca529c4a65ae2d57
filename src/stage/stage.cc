#include "stage/stage.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "stage/thread_name.h"
#include "stage/trace.h"

namespace headrace::stage {
namespace {

// After this many steps of other consumers in a row, a stage stops computing for nobody.
constexpr int kForeignPopsUntilDormant = 2;

void RunAll(Deferred* deferred) {
  for (auto& call : *deferred) call();
  deferred->clear();
}

std::int64_t Microseconds(Clock::duration d) {
  return std::chrono::duration_cast<std::chrono::microseconds>(d).count();
}

std::string Seconds(Clock::duration d) {
  std::ostringstream text;
  text.precision(3);
  text << std::chrono::duration<double>(d).count() << " s";
  return text.str();
}

}  // namespace

Stage::Stage(std::shared_ptr<Domain> domain, StageConfig config, std::vector<Input> inputs,
             std::unique_ptr<StageBody> body)
    : domain_(std::move(domain)),
      config_(std::move(config)),
      inputs_(std::move(inputs)),
      body_(std::move(body)),
      assigned_(inputs_.size(), 0) {
  for (const Input& input : inputs_) has_draws_ |= input.source->mode_ == Source::Mode::kOnDraw;
  limit_ = static_cast<std::size_t>(std::max(config_.capacity, config_.num_clients) + config_.num_threads);
  {
    std::lock_guard<std::mutex> lock(domain_->mu_);
    last_progress_ = domain_->Now();
    domain_->stages_.push_back(this);
    for (const Input& input : inputs_) {
      if (input.source->closedLocked()) {
        closed_because_ = "its source '" + input.source->name_ + "' is closed";
        source_closed_.store(true, std::memory_order_release);
      }
      input.source->AttachLocked(this);
    }
    FormTicketsLocked();
  }
  if (has_workers()) {
    for (int i = 0; i < config_.num_threads; ++i) workers_.emplace_back([this] { WorkLoop(); });
  }
}

Stage::~Stage() { Close(); }

void Stage::BeginTakeLocked() {
  foreign_pops_ = 0;
  if (dormant_) ActivateLocked();
  if (last_taken_ != TimePoint()) {
    Trace::Add("step", config_.name, static_cast<std::uint64_t>(figures_.taken), last_taken_, Clock::now());
    last_taken_ = TimePoint();
  }
}

bool Stage::TakeNowLocked(Status* status, Taken* taken, Deferred* deferred) {
  if (closing_ || !closed_because_.empty()) {
    *status = ClosedStatusLocked();
    return true;
  }
  return waiters_.empty() && TakeFrontLocked(status, taken, deferred);
}

bool Stage::TryTake(Status* status, Taken* taken) {
  Deferred deferred;
  bool served = false;
  {
    std::lock_guard<std::mutex> lock(domain_->mu_);
    BeginTakeLocked();
    served = TakeNowLocked(status, taken, &deferred);
  }
  RunAll(&deferred);
  return served;
}

bool Stage::TakeOrWait(Status* status, Taken* taken, TakeId* id, Done done) {
  Deferred deferred;
  bool served = false;
  {
    std::lock_guard<std::mutex> lock(domain_->mu_);
    BeginTakeLocked();
    served = TakeNowLocked(status, taken, &deferred);
    if (!served) {
      const TimePoint now = domain_->Now();
      *id = next_id_++;
      waiters_.push_back({*id, std::move(done), now, now + domain_->report_after()});
      for (const Input& input : inputs_) input.source->WakeLocked();
      domain_->WatchLocked(config_.timeout);
    }
  }
  RunAll(&deferred);
  return served;
}

Status Stage::Take(Taken* taken, const std::function<void(TakeId)>& on_wait) {
  std::mutex mu;
  std::condition_variable cv;
  bool finished = false;
  Status result;
  TakeId id = 0;
  const bool served = TakeOrWait(&result, taken, &id, [&](const Status& status, Taken what) {
    // Notified under the lock: this frame, and with it `cv`, is gone as soon as the waiter wakes.
    std::lock_guard<std::mutex> lock(mu);
    result = status;
    *taken = std::move(what);
    finished = true;
    cv.notify_one();
  });
  if (served) return result;
  if (on_wait) on_wait(id);
  TraceSpan span("wait", config_.name, id);
  std::unique_lock<std::mutex> lock(mu);
  cv.wait(lock, [&] { return finished; });
  return result;
}

void Stage::EndWait(TakeId id, Status status) {
  Done done;
  {
    std::lock_guard<std::mutex> lock(domain_->mu_);
    auto it = std::find_if(waiters_.begin(), waiters_.end(), [id](const Waiter& w) { return w.id == id; });
    if (it == waiters_.end()) return;
    done = std::move(it->done);
    waiters_.erase(it);
  }
  done(status, Taken());
}

void Stage::Close() {
  Deferred deferred;
  {
    std::lock_guard<std::mutex> lock(domain_->mu_);
    if (!closing_) {
      closing_ = true;
      FailWaitersLocked(ClosedStatusLocked(), &deferred);
      DropSlotsLocked();
      for (const Input& input : inputs_) input.source->DetachLocked(this);
      auto& all = domain_->stages_;
      all.erase(std::remove(all.begin(), all.end(), this), all.end());
    }
    work_cv_.notify_all();
  }
  RunAll(&deferred);
  std::lock_guard<std::mutex> join(join_mu_);
  for (std::thread& worker : workers_) {
    if (worker.joinable()) worker.join();
  }
}

StageFigures Stage::figures() const {
  std::lock_guard<std::mutex> lock(domain_->mu_);
  return FiguresLocked();
}

StageFigures Stage::FiguresLocked() const {
  StageFigures f = figures_;
  f.name = config_.name;
  f.tag = config_.tag;
  f.depth = static_cast<int>(std::count_if(slots_.begin(), slots_.end(), [](const SlotPtr& slot) {
    return slot->state == SlotState::kDone;
  }));
  f.depth_limit = static_cast<int>(limit_);
  f.waiting = static_cast<std::int64_t>(waiters_.size());
  f.held_bytes = static_cast<std::int64_t>(HeldBytesLocked());
  return f;
}

// --- tickets -----------------------------------------------------------------------------------

void Stage::FormTicketsLocked() {
  if (closing_ || dormant_) return;
  while (slots_.size() < limit_ && (slots_.empty() || !slots_.back()->read_failed)) {
    auto slot = std::make_shared<Slot>();
    slot->elements.resize(inputs_.size());
    slot->inputs.resize(inputs_.size());
    for (std::size_t i = 0; i < inputs_.size() && !slot->read_failed; ++i) {
      const Source& source = *inputs_[i].source;
      if (source.mode_ == Source::Mode::kOnDraw) continue;
      if (source.SizeLocked() <= assigned_[i]) return;
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
    if (slot->read_failed || !has_workers()) {
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

void Stage::DropSlotsLocked() {
  for (const SlotPtr& slot : slots_) OrphanLocked(slot.get());
  slots_.clear();
  std::fill(assigned_.begin(), assigned_.end(), 0);
}

void Stage::ConsumeFrontLocked(Deferred* deferred) {
  const SlotPtr slot = std::move(slots_.front());
  slots_.pop_front();
  staged_bytes_ -= slot->bytes;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (slot->elements[i] == nullptr) continue;
    --assigned_[i];
    inputs_[i].source->PopLocked(this, deferred);
  }
}

bool Stage::TakeFrontLocked(Status* status, Taken* taken, Deferred* deferred) {
  while (!slots_.empty() && slots_.front()->state == SlotState::kDone) {
    const SlotPtr slot = slots_.front();
    ConsumeFrontLocked(deferred);
    FormTicketsLocked();
    if (slot->status.ok()) {
      ignored_in_a_row_ = 0;
      ++figures_.taken;
      *status = Status();
      taken->inputs = std::move(slot->inputs);
      taken->body = std::move(slot->body);
      if (Trace::enabled()) last_taken_ = Clock::now();
      return true;
    }
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
    *status = config_.closed_codes.count(code) > 0 ? Status(Code::kOutOfRange, slot->status.message())
                                                   : slot->status;
    *taken = Taken();
    if (!slot->read_failed) taken->inputs = std::move(slot->inputs);
    return true;
  }
  return false;
}

void Stage::DeliverLocked(Deferred* deferred) {
  while (!waiters_.empty()) {
    Status status;
    Taken taken;
    if (!TakeFrontLocked(&status, &taken, deferred)) {
      // Skipped errors may have left a source that reads only on demand: this is the demand.
      for (const Input& input : inputs_) input.source->WakeLocked();
      return;
    }
    Waiter waiter = std::move(waiters_.front());
    waiters_.pop_front();
    figures_.consumer_wait_us += Microseconds(domain_->Now() - waiter.since);
    deferred->push_back([done = std::move(waiter.done), status, taken = std::move(taken)]() mutable {
      done(status, std::move(taken));
    });
  }
}

// --- what sources tell -------------------------------------------------------------------------

void Stage::OnAppendLocked(Deferred* deferred) {
  last_progress_ = domain_->Now();
  FormTicketsLocked();
  DeliverLocked(deferred);
}

void Stage::OnForeignPopLocked(Deferred* deferred) {
  if (++foreign_pops_ >= kForeignPopsUntilDormant * static_cast<int>(inputs_.size()) && waiters_.empty()) {
    dormant_ = true;
    DropSlotsLocked();
    return;
  }
  if (inputs_.size() == 1) {
    // The tickets behind the element that went elsewhere keep theirs.
    if (!slots_.empty()) {
      OrphanLocked(slots_.front().get());
      slots_.pop_front();
      --assigned_[0];
    }
  } else {
    // Every ticket now pairs other elements: form them anew from the elements that are left.
    DropSlotsLocked();
  }
  FormTicketsLocked();
  DeliverLocked(deferred);
}

void Stage::OnResetLocked() {
  DropSlotsLocked();
  ignored_in_a_row_ = 0;
  FormTicketsLocked();
}

void Stage::OnSourceClosedLocked(const std::string& source, Deferred* deferred) {
  closed_because_ = "its source '" + source + "' was closed";
  source_closed_.store(true, std::memory_order_release);
  DropSlotsLocked();
  FailWaitersLocked(ClosedStatusLocked(), deferred);
}

void Stage::ActivateLocked() {
  dormant_ = false;
  FormTicketsLocked();
  for (const Input& input : inputs_) input.source->WakeLocked();
}

std::size_t Stage::HeldBytesLocked() const {
  std::size_t bytes = staged_bytes_;
  for (const Input& input : inputs_) bytes += input.source->bytes_;
  return bytes;
}

std::size_t Stage::WantedLocked() const {
  if (closing_ || dormant_ || !closed_because_.empty()) return 0;
  // One element may always be held: a budget smaller than a batch must not stop the program.
  if (config_.budget_bytes > 0 && HeldBytesLocked() >= config_.budget_bytes) return 1;
  return limit_;
}

bool Stage::NeedsElementLocked(const Source* source) const {
  return !waiters_.empty() && slots_.empty() && source->SizeLocked() == 0;
}

// --- waiting -----------------------------------------------------------------------------------

void Stage::CheckWaitersLocked(TimePoint now, Deferred* deferred) {
  for (auto it = waiters_.begin(); it != waiters_.end();) {
    const TimePoint quiet_since = std::max(it->since, last_progress_);
    if (config_.timeout.count() > 0 && now - quiet_since >= config_.timeout) {
      Status status(Code::kDeadlineExceeded,
                    "stage '" + config_.name + "' made no progress for " + Seconds(now - quiet_since) +
                        " (timeout_millis = " + std::to_string(config_.timeout.count()) + "): " +
                        DescribeLocked(now) + ". Nothing was consumed: the next take gets this batch.");
      deferred->push_back([done = std::move(it->done), status] { done(status, Taken()); });
      it = waiters_.erase(it);
      continue;
    }
    if (now >= it->next_report) {
      it->next_report = now + (now - it->since);
      deferred->push_back([domain = domain_, line = "a step is still waiting on stage '" + config_.name +
                                                    "' after " + Seconds(now - it->since) + ": " +
                                                    DescribeLocked(now)] { domain->Log(line); });
    }
    ++it;
  }
}

void Stage::FailWaitersLocked(const Status& status, Deferred* deferred) {
  for (Waiter& waiter : waiters_) {
    deferred->push_back([done = std::move(waiter.done), status] { done(status, Taken()); });
  }
  waiters_.clear();
}

Status Stage::ClosedStatusLocked() const {
  return Status(Code::kCancelled, "stage '" + config_.name + "' is closed" +
                                      (closed_because_.empty() ? "" : ": " + closed_because_));
}

std::string Stage::DescribeLocked(TimePoint now) const {
  std::ostringstream text;
  for (const Input& input : inputs_) {
    const Source& source = *input.source;
    if (source.mode_ == Source::Mode::kOnDraw) continue;
    text << "source '" << source.name_ << "' ";
    if (source.reading_ != nullptr) {
      text << "is being read since " << Seconds(now - source.reading_since_);
    } else if (source.paused_) {
      text << "is being re-initialized";
    } else if (source.direct_) {
      text << "is being read by another consumer";
    } else {
      text << "is idle";
    }
    text << " and holds " << source.SizeLocked() << " elements; ";
  }
  const auto running = std::count_if(slots_.begin(), slots_.end(), [](const SlotPtr& slot) {
    return slot->state == SlotState::kRunning;
  });
  const auto ready = std::count_if(slots_.begin(), slots_.end(), [](const SlotPtr& slot) {
    return slot->state == SlotState::kDone;
  });
  text << running << " bodies run; depth " << ready << " of " << limit_ << "; " << figures_.taken
       << " taken; last error: " << (figures_.last_error.empty() ? "none" : figures_.last_error);
  return text.str();
}

// --- workers -----------------------------------------------------------------------------------

Stage::SlotPtr Stage::PendingLocked() const {
  for (const SlotPtr& slot : slots_) {
    if (slot->state == SlotState::kPending) return slot;
  }
  return nullptr;
}

bool Stage::DrawLocked(std::unique_lock<std::mutex>* lock, Slot* slot) {
  Deferred deferred;
  for (std::size_t i = 0; i < inputs_.size() && slot->status.ok(); ++i) {
    Source& source = *inputs_[i].source;
    if (source.mode_ != Source::Mode::kOnDraw) continue;
    while (!slot->orphan && !closing_ && source.SizeLocked() <= assigned_[i]) {
      if (source.closing_) {
        slot->status = ClosedStatusLocked();
        break;
      }
      if (source.reading_ == nullptr) {
        source.ReadLocked(lock, &deferred);
      } else {
        source.state_cv_.wait(*lock);  // another stage draws from it
      }
    }
    if (slot->orphan || closing_) break;
    if (!slot->status.ok()) break;
    const ElementPtr& element = source.AtLocked(assigned_[i]++);
    slot->elements[i] = element;
    slot->inputs[i] = element->read.value;
    slot->status = element->read.status;
  }
  if (!deferred.empty()) {
    lock->unlock();
    RunAll(&deferred);
    lock->lock();
  }
  return !slot->orphan && !closing_;
}

void Stage::WorkLoop() {
  NameThisThread("hr-stage");
  Deferred deferred;
  std::unique_lock<std::mutex> lock(domain_->mu_);
  while (!closing_) {
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
      const bool drawn = DrawLocked(&lock, slot.get());
      drawing_ = false;
      work_cv_.notify_all();
      if (!drawn) continue;
    }
    if (slot->status.ok() && body_ != nullptr) {
      const TimePoint begin = domain_->Now();
      lock.unlock();
      ReadResult result;
      {
        TraceSpan span("body", config_.name, slot->ticket);
        result = body_->Run(slot->inputs);
      }
      lock.lock();
      figures_.body_us += Microseconds(domain_->Now() - begin);
      if (slot->orphan) {
        ++figures_.discarded;
        continue;
      }
      slot->status = std::move(result.status);
      slot->body = std::move(result.value);
      slot->bytes = result.bytes;
      staged_bytes_ += result.bytes;
    }
    slot->state = SlotState::kDone;
    if (slot->status.ok()) ++figures_.produced;
    last_progress_ = domain_->Now();
    DeliverLocked(&deferred);
    if (!deferred.empty()) {
      slot.reset();
      lock.unlock();
      RunAll(&deferred);
      lock.lock();
    }
  }
}

}  // namespace headrace::stage
