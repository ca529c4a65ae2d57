// Where tests let a trainer die, hang or be slow.
#ifndef HEADRACE_TRAINER_FAILPOINT_H_
#define HEADRACE_TRAINER_FAILPOINT_H_

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

namespace headrace::trainer {

// Points: "begin" (an iterator is about to read), "leased" (a lease has come, nothing of it was
// read), "read" (a step is about to take its batch), "staged" (the same, and the stage has results
// that no step has taken), "stepping" (a step has taken its batch and has not returned), "applied"
// (a step was applied, nobody was told), "boundary", "held", "saving" (variables are written, the
// checkpoint is not there yet), "saved" (it is, nobody was told), "evaluated".
//
// Before Arm() nothing happens at any point.
// Thread safety: each point is one thread's; Arm() once, at any time.
class Failpoint {
 public:
  // "": none. "POINT:N": the process kills itself the n-th time that it passes the point, as
  // SIGKILL from outside would. "hang:POINT:N": there its thread stays for good. "slow:POINT:N":
  // each time it stays for N milliseconds.
  void Arm(const std::string& spec) {
    std::string rest = spec;
    for (const auto& [name, what] : {std::pair{"hang:", What::kHang}, {"slow:", What::kSlow}}) {
      if (spec.rfind(name, 0) != 0) continue;
      what_ = what;
      rest = spec.substr(std::string(name).size());
    }
    const std::size_t colon = rest.find(':');
    if (colon == std::string::npos) return;
    point_ = rest.substr(0, colon);
    count_.store(std::atoi(rest.c_str() + colon + 1), std::memory_order_release);
  }

  // Whether Pass(point) does, or counts, anything.
  bool IsAt(const char* point) const {
    return count_.load(std::memory_order_acquire) != 0 && point_ == point;
  }
  void Pass(const char* point) {
    if (!IsAt(point)) return;
    if (what_ == What::kSlow) return std::this_thread::sleep_for(std::chrono::milliseconds(count_));
    if (--count_ > 0) return;
    if (what_ == What::kDie) kill(getpid(), SIGKILL);
    while (true) pause();
  }

 private:
  enum class What { kDie, kHang, kSlow };

  What what_ = What::kDie;
  std::string point_;
  std::atomic<int> count_{0};  // 0: nothing happens any more
};

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_FAILPOINT_H_
