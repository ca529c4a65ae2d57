// Calls that are made again until the master answers.
#ifndef HEADRACE_WORKER_RETRY_H_
#define HEADRACE_WORKER_RETRY_H_

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <random>
#include <string>

#include "base/status.h"

namespace headrace::worker {

// Thread safety: one thread calls Run(); GiveUpAt() from any.
class Retry {
 public:
  using Clock = std::chrono::steady_clock;

  // Makes `call` until it is answered: with anything but UNAVAILABLE or DEADLINE_EXCEEDED. Waits
  // longer each time, up to 1 s, by chance up to half of that less. Says in the log each 10 s what
  // it waits for. The last status once it is time to give up.
  Status Run(const std::string& what, const std::function<Status()>& call);
  // From then on no call is made again; earlier than what was said before, or ignored.
  void GiveUpAt(Clock::time_point when);

 private:
  std::mutex mu_;
  std::condition_variable cv_;
  Clock::time_point give_up_at_ = Clock::time_point::max();  // guarded by mu_
  std::mt19937 random_{std::random_device{}()};
};

}  // namespace headrace::worker

#endif  // HEADRACE_WORKER_RETRY_H_
