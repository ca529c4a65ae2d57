// Says of a synchronous step that got no batch that nobody should wait for its gradients.
#ifndef HEADRACE_TRAINER_SHARED_IDLE_WATCH_H_
#define HEADRACE_TRAINER_SHARED_IDLE_WATCH_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

#include "base/status.h"

namespace headrace::trainer {

// Ownership: owns a thread, which its destructor ends.
// Thread safety: StepBegins() and StepEnds() on one thread.
class IdleWatch {
 public:
  // batches: how many steps got so far. tell: called once for a step that has none after a while;
  // if it fails, so will the step.
  IdleWatch(std::function<std::int64_t()> batches, std::function<Status()> tell);
  ~IdleWatch();

  void StepBegins();
  void StepEnds();

 private:
  using Clock = std::chrono::steady_clock;
  void Watch();

  const std::function<std::int64_t()> batches_;
  const std::function<Status()> tell_;
  std::mutex mu_;
  std::condition_variable cv_;
  bool stopped_ = false, stepping_ = false;  // guarded by mu_, as is all below
  std::int64_t steps_ = 0, batches_before_ = 0;
  Clock::time_point began_;
  std::thread thread_;
};

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_SHARED_IDLE_WATCH_H_
