// Where a training thread is: in the feed, or out in its step, and since when.
#ifndef HEADRACE_FEED_PRESENCE_H_
#define HEADRACE_FEED_PRESENCE_H_

#include <algorithm>
#include <atomic>
#include <chrono>

namespace headrace::feed {

// Thread safety: every method may run concurrently. `call` and `what` are literals.
class Presence {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Presence(Clock::time_point now) : left_(now) {}

  // In the feed from Enter() to Leave(); several may be there at a time.
  void Enter() { inside_.fetch_add(1, std::memory_order_relaxed); }
  void Leave(const char* call, Clock::time_point now) {
    Touch(call, now);
    inside_.fetch_sub(1, std::memory_order_relaxed);
  }
  // It was there just now.
  void Touch(const char* what, Clock::time_point now) {
    last_.store(what, std::memory_order_relaxed);
    left_.store(now, std::memory_order_relaxed);
  }

  // How long nobody has been there; zero while somebody is.
  Clock::duration away(Clock::time_point now) const {
    if (inside_.load(std::memory_order_relaxed) > 0) return Clock::duration::zero();
    return std::max(now - left_.load(std::memory_order_relaxed), Clock::duration::zero());
  }
  // What was done there last.
  const char* last() const { return last_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int> inside_{0};
  std::atomic<Clock::time_point> left_;
  std::atomic<const char*> last_{"connect"};
};

// A call of the training thread, from its beginning to its end.
class PresentCall {
 public:
  PresentCall(Presence* presence, const char* call) : presence_(presence), call_(call) {
    presence_->Enter();
  }
  ~PresentCall() { presence_->Leave(call_, Presence::Clock::now()); }
  PresentCall(const PresentCall&) = delete;
  PresentCall& operator=(const PresentCall&) = delete;

 private:
  Presence* const presence_;
  const char* const call_;
};

}  // namespace headrace::feed

#endif  // HEADRACE_FEED_PRESENCE_H_
