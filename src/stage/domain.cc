#include "stage/domain.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "stage/stage.h"
#include "stage/this_thread.h"

namespace headrace::stage {
namespace {

constexpr std::chrono::milliseconds kLongestTick{250};

Domain::Options WithDefaults(Domain::Options options) {
  if (!options.now) options.now = [] { return Clock::now(); };
  if (!options.log) {
    options.log = [](const std::string& line) {
      std::fprintf(stderr, "headrace: %s\n", line.c_str());
    };
  }
  return options;
}

}  // namespace

void Deferred::Run() {
  for (auto& call : calls) call();
  calls.clear();
  garbage.clear();
}

Domain::Domain(Options options) : options_(WithDefaults(std::move(options))), tick_(kLongestTick) {}

Domain::~Domain() {
  {
    std::lock_guard<std::mutex> lock(mu_);
    stop_ = true;
  }
  watch_cv_.notify_all();
  if (watcher_.joinable()) watcher_.join();
}

void Domain::Tick() {
  Deferred deferred;
  {
    std::lock_guard<std::mutex> lock(mu_);
    const TimePoint now = Now();
    for (Stage* stage : stages_) stage->CheckWaitersLocked(now, &deferred);
  }
  deferred.Run();
}

std::vector<StageFigures> Domain::Figures() const {
  std::lock_guard<std::mutex> lock(mu_);
  std::vector<StageFigures> all;
  for (const Stage* stage : stages_) all.push_back(stage->FiguresLocked());
  return all;
}

void Domain::TouchLocked(Stage* stage) {
  if (std::find(touched_.begin(), touched_.end(), stage) == touched_.end())
    touched_.push_back(stage);
}

void Domain::SettleLocked(Deferred* deferred) {
  while (true) {
    Stage* oldest = nullptr;
    for (Stage* stage : touched_) {
      if (!stage->CanDeliverLocked()) continue;
      if (oldest == nullptr || stage->OldestWaitLocked() < oldest->OldestWaitLocked())
        oldest = stage;
    }
    if (oldest == nullptr) break;
    oldest->DeliverLocked(deferred);  // may touch others
  }
  for (Stage* stage : touched_) stage->WakeSourcesLocked();
  touched_.clear();
}

void Domain::WatchLocked(std::chrono::milliseconds timeout) {
  if (!options_.watch) return;
  if (timeout.count() > 0) {
    tick_ = std::clamp(timeout / 4, std::chrono::milliseconds(1), tick_);
  }
  if (watching_) return;
  watching_ = true;
  if (!watcher_.joinable()) watcher_ = std::thread([this] { WatchLoop(); });
  watch_cv_.notify_one();
}

void Domain::WatchLoop() {
  NameThisThread("hr-watch");
  std::unique_lock<std::mutex> lock(mu_);
  while (!stop_) {
    if (!watching_) {
      watch_cv_.wait(lock);
      continue;
    }
    watch_cv_.wait_for(lock, tick_);
    if (stop_) break;
    lock.unlock();
    Tick();
    lock.lock();
    watching_ = std::any_of(stages_.begin(), stages_.end(),
                            [](const Stage* stage) { return stage->HasWaitersLocked(); });
  }
}

}  // namespace headrace::stage
