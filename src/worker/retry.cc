#include "worker/retry.h"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace headrace::worker {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirst{20}, kMost{1000};
constexpr std::chrono::seconds kNotice{10};

}  // namespace

Status Retry::Run(const std::string& what, const std::function<Status()>& call) {
  const Clock::time_point began = Clock::now();
  Clock::time_point noticed = began;
  milliseconds wait = kFirst;
  bool failed = false;
  for (;;) {
    Status status = call();
    if (status.code() != Code::kUnavailable && status.code() != Code::kDeadlineExceeded) {
      if (failed) spdlog::info("the master answers again");
      return status;
    }
    const Clock::time_point now = Clock::now();
    if (!failed || now - noticed >= kNotice) {
      spdlog::warn("waits for the master for {:.0f} s, to {}: {}",
                   std::chrono::duration<double>(now - began).count(), what, status.ToString());
      noticed = now;
    }
    failed = true;
    const milliseconds chance(
        std::uniform_int_distribution<std::int64_t>(0, wait.count() / 2)(random_));
    std::unique_lock<std::mutex> lock(mu_);
    const auto over = [&] { return Clock::now() >= give_up_at_; };
    const Clock::time_point until = std::min(now + wait - chance, give_up_at_);
    while (!over() && Clock::now() < until) {
      cv_.wait_until(lock, std::min(until, give_up_at_));
    }
    if (over()) return status;
    wait = std::min(wait * 2, kMost);
  }
}

void Retry::GiveUpAt(Clock::time_point when) {
  std::lock_guard<std::mutex> lock(mu_);
  give_up_at_ = std::min(give_up_at_, when);
  cv_.notify_all();
}

}  // namespace headrace::worker
