// Where tests end a step half-way.
#ifndef HEADRACE_TRAINER_STEP_WATCH_H_
#define HEADRACE_TRAINER_STEP_WATCH_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>

#include "trainer/failpoint.h"

namespace headrace::trainer {

// Passes the point "stepping" while a step runs that has taken its batch. Costs nothing where the
// failpoint is another.
//
// Ownership: borrows the failpoint; owns a thread, from before the step to its end.
// Thread safety: none.
class StepWatch {
 public:
  // taken: how many batches steps have taken so far. Called on the watch's thread, too.
  StepWatch(Failpoint* failpoint, const std::function<std::int64_t()>& taken) {
    if (!failpoint->IsAt("stepping")) return;
    thread_ = std::thread([this, failpoint, taken, before = taken()] {
      while (!returned_) {
        if (taken() > before) return failpoint->Pass("stepping");
      }
    });
  }
  ~StepWatch() {
    returned_ = true;
    if (thread_.joinable()) thread_.join();
  }
  StepWatch(const StepWatch&) = delete;
  StepWatch& operator=(const StepWatch&) = delete;

 private:
  std::atomic<bool> returned_{false};
  std::thread thread_;
};

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_STEP_WATCH_H_
