// Wakes a thread that works now and then.
#ifndef HEADRACE_FEED_WAKER_H_
#define HEADRACE_FEED_WAKER_H_

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace headrace::feed {

// Thread safety: one thread waits, any signal. A signal while nobody waits ends the next wait.
class Waker {
 public:
  void Signal() {
    std::lock_guard<std::mutex> lock(mu_);
    signalled_ = true;
    cv_.notify_one();
  }
  void Wait(std::chrono::milliseconds at_most) {
    std::unique_lock<std::mutex> lock(mu_);
    cv_.wait_for(lock, at_most, [&] { return signalled_; });
    signalled_ = false;
  }

 private:
  std::mutex mu_;
  std::condition_variable cv_;
  bool signalled_ = false;  // guarded by mu_
};

}  // namespace headrace::feed

#endif  // HEADRACE_FEED_WAKER_H_
