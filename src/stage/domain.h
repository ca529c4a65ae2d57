// What sources and stages that may share elements have in common: a lock, a clock, a log, and one
// thread that watches the waiting.
#ifndef HEADRACE_STAGE_DOMAIN_H_
#define HEADRACE_STAGE_DOMAIN_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace headrace::stage {

class Stage;
struct StageFigures;

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;

// What is left to do once the lock was released: callbacks never run under it, and payloads are
// never destroyed under it (a tensor's destructor may do anything, even close a source).
struct Deferred {
  std::vector<std::function<void()>> calls;
  std::vector<std::shared_ptr<const void>> garbage;

  bool empty() const { return calls.empty() && garbage.empty(); }
  // Requires: the lock is not held.
  void Run();
};

// A domain is one lock. A take pops elements of several sources at once, and a foreign consumer of
// any of them must see all or nothing of it; sections under the lock are a few pointer moves, never
// a read, a body or a callback.
//
// Ownership: shared by its sources and stages; the process has one, tests have their own.
// Thread safety: every method may run concurrently.
class Domain {
 public:
  struct Options {
    // Default: steady_clock::now. Tests turn it by hand and call Tick().
    std::function<TimePoint()> now;
    // Receives one line a call; must not call back into the domain. Default: stderr.
    std::function<void(const std::string&)> log;
    // False: no watching thread; Tick() is called by the test.
    bool watch = true;
    // A take that waits longer than this is named in the log, then again each time the wait
    // doubled.
    std::chrono::milliseconds report_after{10000};
  };

  explicit Domain(Options options);
  Domain() : Domain(Options()) {}
  // Requires: no stage is left, and this is not the watching thread (on which takes that timed out
  // are called back). Joins the watching thread.
  ~Domain();
  Domain(const Domain&) = delete;
  Domain& operator=(const Domain&) = delete;

  TimePoint Now() const { return options_.now(); }
  void Log(const std::string& line) const { options_.log(line); }
  std::chrono::milliseconds report_after() const { return options_.report_after; }

  // Looks at every waiting take: ends those whose stage made no progress for its time-out, and
  // reports long waits. Called by the watching thread while something waits.
  void Tick();

  // The figures of all live stages, in order of creation.
  std::vector<StageFigures> Figures() const;

 private:
  friend class Source;
  friend class Stage;

  // Something changed that may serve a take that waits on `stage`, or make room in its sources.
  void TouchLocked(Stage* stage);
  // Ends every section that touched a stage: serves the takes that can be served, the oldest first
  // whatever stage it waits on, and then wakes the sources that have something to read. Stages tell
  // each other through TouchLocked() only, so none is asked anything in the middle of a change.
  void SettleLocked(Deferred* deferred);

  // A wait began: makes sure that somebody watches it.
  void WatchLocked(std::chrono::milliseconds timeout);
  void WatchLoop();

  const Options options_;
  mutable std::mutex mu_;

  // Guarded by mu_.
  std::vector<Stage*> stages_;
  std::vector<Stage*> touched_;  // empty whenever the lock is free
  std::uint64_t next_take_ = 1;
  std::chrono::milliseconds tick_{250};
  bool watching_ = false;       // something waited at the last tick
  Stage* measuring_ = nullptr;  // the stage whose settings compete
  TimePoint measuring_last_;    // took a step
  bool stop_ = false;
  std::condition_variable watch_cv_;
  std::thread watcher_;
};

}  // namespace headrace::stage

#endif  // HEADRACE_STAGE_DOMAIN_H_
