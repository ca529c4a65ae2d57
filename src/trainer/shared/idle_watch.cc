#include "trainer/shared/idle_watch.h"

#include <utility>

namespace headrace::trainer {
namespace {

// Far longer than a batch that is ready needs, far shorter than others should wait.
constexpr std::chrono::milliseconds kPatience{20};

}  // namespace

IdleWatch::IdleWatch(std::function<std::int64_t()> batches, std::function<Status()> tell)
    : batches_(std::move(batches)), tell_(std::move(tell)), thread_([this] { Watch(); }) {}

IdleWatch::~IdleWatch() {
  {
    std::lock_guard<std::mutex> lock(mu_);
    stopped_ = true;
  }
  cv_.notify_all();
  thread_.join();
}

void IdleWatch::StepBegins() {
  {
    std::lock_guard<std::mutex> lock(mu_);
    stepping_ = true;
    ++steps_;
    batches_before_ = batches_();
    began_ = Clock::now();
  }
  cv_.notify_all();
}

void IdleWatch::StepEnds() {
  std::lock_guard<std::mutex> lock(mu_);
  stepping_ = false;
}

void IdleWatch::Watch() {
  std::int64_t watched = 0;  // the last step that was looked at
  std::unique_lock<std::mutex> lock(mu_);
  while (true) {
    cv_.wait(lock, [&] { return stopped_ || (stepping_ && steps_ != watched); });
    if (stopped_) return;
    watched = steps_;
    cv_.wait_until(lock, began_ + kPatience, [&] { return stopped_; });
    if (stopped_) return;
    if (!stepping_ || steps_ != watched || batches_() != batches_before_) continue;
    lock.unlock();
    tell_().IgnoreError();
    lock.lock();
  }
}

}  // namespace headrace::trainer
