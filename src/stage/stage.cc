#include "stage/stage.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "stage/this_thread.h"
#include "stage/trace.h"

namespace headrace::stage {
namespace {

std::string Seconds(Clock::duration d) {
  std::ostringstream text;
  text.precision(3);
  text << std::chrono::duration<double>(d).count() << " s";
  return text.str();
}

std::unique_ptr<Tuner> MakeTuner(const StageConfig& config) {
  if (config.capacity != kAutotune && config.num_threads != kAutotune) return nullptr;
  TunerConfig tuner;
  tuner.capacity = config.capacity;
  tuner.num_threads = config.num_threads;
  tuner.max_threads = std::max(config.max_threads, 1);
  tuner.num_clients = config.num_clients;
  tuner.budget_bytes = config.budget_bytes;
  return std::make_unique<Tuner>(tuner);
}

}  // namespace

Stage::Stage(std::shared_ptr<Domain> domain, StageConfig config, std::vector<Input> inputs,
             std::unique_ptr<StageBody> body)
    : domain_(std::move(domain)),
      config_(std::move(config)),
      inputs_(std::move(inputs)),
      body_(std::move(body)),
      tuner_(MakeTuner(config_)),
      setting_(tuner_ != nullptr ? tuner_->setting()
                                 : Setting{config_.capacity, config_.num_threads}),
      assigned_(inputs_.size(), 0) {
  for (const Input& input : inputs_) {
    has_draws_ |= input.source->mode_ == Source::Mode::kOnDraw;
    has_state_ |= input.source->state_ != nullptr;
  }
  Deferred deferred;
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
    domain_->TouchLocked(this);
    domain_->SettleLocked(&deferred);
  }
  deferred.Run();
  const int threads = config_.num_threads == kAutotune ? config_.max_threads : config_.num_threads;
  if (has_workers()) {
    for (int i = 0; i < threads; ++i) workers_.emplace_back([this, i] { WorkLoop(i); });
  }
}

Stage::~Stage() {
  Close();
}

void Stage::BeginTakeLocked() {
  foreign_pops_ = 0;
  if (dormant_) {
    dormant_ = false;
    FormTicketsLocked();
    domain_->TouchLocked(this);
  }
  if (last_taken_ != TimePoint()) {
    Trace::Add("step", config_.name, last_ticket_, last_taken_, Clock::now());
    last_taken_ = TimePoint();
  }
}

bool Stage::TakeNowLocked(Status* status, Taken* taken, Deferred* deferred) {
  if (!OpenLocked()) {
    *status = ClosedStatusLocked();
    return true;
  }
  if (!waiters_.empty()) return false;
  if (FrontIsStaleLocked()) {
    RewindLocked(deferred);
    return false;
  }
  return TakeFrontLocked(/*waited=*/false, status, taken, deferred);
}

bool Stage::TryTake(Status* status, Taken* taken) {
  Deferred deferred;
  Taken got;
  bool served = false;
  {
    std::lock_guard<std::mutex> lock(domain_->mu_);
    BeginTakeLocked();
    served = TakeNowLocked(status, &got, &deferred);
    domain_->SettleLocked(&deferred);
  }
  deferred.Run();
  if (served) *taken = std::move(got);
  return served;
}

bool Stage::TakeOrWait(Status* status, Taken* taken, TakeId* id, Done done, Runner step) {
  Deferred deferred;
  Taken got;
  bool served = false;
  {
    std::lock_guard<std::mutex> lock(domain_->mu_);
    BeginTakeLocked();
    served = TakeNowLocked(status, &got, &deferred);
    if (!served) {
      const TimePoint now = domain_->Now();
      *id = domain_->next_take_++;
      waiters_.push_back({*id, std::move(done), now, now + domain_->report_after(),
                          Trace::enabled() ? Clock::now() : TimePoint(), std::move(step)});
      if (!setting_.ahead()) FormTicketsLocked();
      domain_->TouchLocked(this);
      domain_->WatchLocked(config_.timeout);
    }
    domain_->SettleLocked(&deferred);
  }
  deferred.Run();
  if (served) *taken = std::move(got);
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
  std::unique_lock<std::mutex> lock(mu);
  cv.wait(lock, [&] { return finished; });
  return result;
}

void Stage::EndWait(TakeId id, const Status& status) {
  Done done;
  {
    std::lock_guard<std::mutex> lock(domain_->mu_);
    auto it = std::find_if(waiters_.begin(), waiters_.end(),
                           [id](const Waiter& w) { return w.id == id; });
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
      DropSlotsLocked(&deferred);
      for (const Input& input : inputs_) input.source->DetachLocked(this);
      auto& all = domain_->stages_;
      all.erase(std::remove(all.begin(), all.end(), this), all.end());
      if (domain_->measuring_ == this) domain_->measuring_ = nullptr;
    }
    work_cv_.notify_all();
    spare_cv_.notify_all();
  }
  deferred.Run();
  std::lock_guard<std::mutex> join(join_mu_);
  for (std::thread& worker : workers_) {
    if (worker.joinable()) worker.join();
  }
}

StageFigures Stage::figures() const {
  std::lock_guard<std::mutex> lock(domain_->mu_);
  return FiguresLocked();
}

std::int64_t Stage::ReadTimeLocked() const {
  Clock::duration reading{0};
  for (const Input& input : inputs_) reading += input.source->reading_time_;
  return std::chrono::duration_cast<std::chrono::microseconds>(reading).count();
}

StageFigures Stage::FiguresLocked() const {
  StageFigures f = figures_;
  f.name = config_.name;
  f.tag = config_.tag;
  f.depth = static_cast<int>(std::count_if(slots_.begin(), slots_.end(), [](const SlotPtr& slot) {
    return slot->state == SlotState::kDone;
  }));
  // What was made under a larger limit still waits.
  f.depth_limit = static_cast<int>(std::max(LimitLocked(), slots_.size()));
  f.capacity = setting_.capacity;
  f.num_threads = setting_.num_threads;
  f.measuring = tuner_ != nullptr && tuner_->measuring();
  f.read_us = ReadTimeLocked();
  f.waiting = static_cast<std::int64_t>(waiters_.size());
  f.held_bytes = static_cast<std::int64_t>(HeldBytesLocked());
  if (body_ != nullptr) f.copied_tensors = body_->copied_tensors();
  return f;
}

// --- waiting -----------------------------------------------------------------------------------

void Stage::CheckWaitersLocked(TimePoint now, Deferred* deferred) {
  for (auto it = waiters_.begin(); it != waiters_.end();) {
    const TimePoint quiet_since = std::max(it->since, last_progress_);
    if (config_.timeout.count() > 0 && now - quiet_since >= config_.timeout) {
      Status status(Code::kDeadlineExceeded,
                    "stage '" + config_.name + "' made no progress for " +
                        Seconds(now - quiet_since) + " (timeout_millis = " +
                        std::to_string(config_.timeout.count()) + "): " + DescribeLocked(now) +
                        ". Nothing was consumed: the next take gets this batch.");
      deferred->calls.push_back([done = std::move(it->done), status] { done(status, Taken()); });
      it = waiters_.erase(it);
      continue;
    }
    if (now >= it->next_report) {
      it->next_report = now + (now - it->since);
      // A plain pointer: the last reference must not go on the domain's own thread.
      deferred->calls.push_back(
          [domain = domain_.get(), line = "a step is still waiting on stage '" + config_.name +
                                          "' after " + Seconds(now - it->since) + ": " +
                                          DescribeLocked(now)] { domain->Log(line); });
    }
    ++it;
  }
}

void Stage::FailWaitersLocked(const Status& status, Deferred* deferred) {
  for (Waiter& waiter : waiters_) {
    deferred->calls.push_back([done = std::move(waiter.done), status] { done(status, Taken()); });
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
  text << running << " bodies run; depth " << ready << " of " << LimitLocked() << "; "
       << figures_.taken
       << " taken; last error: " << (figures_.last_error.empty() ? "none" : figures_.last_error);
  return text.str();
}

}  // namespace headrace::stage
