// The agent: joins, starts the training process and starts it again, until the job is over.
#ifndef HEADRACE_WORKER_AGENT_H_
#define HEADRACE_WORKER_AGENT_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "feed/waker.h"
#include "worker/child.h"
#include "worker/link.h"
#include "worker/master.h"
#include "worker/metrics.h"
#include "worker/retry.h"

namespace headrace::worker {

// Each training process joins under a number of its own.
//
// Ownership: borrows the master and the metrics.
// Thread safety: Run() on main's thread; Stop() and ChildChanged() from any.
class Agent {
 public:
  struct Options {
    std::string name;
    std::vector<std::string> command;
    std::string socket_folder;
    std::string log_folder;  // empty: the process's output is the agent's
    int max_restarts = 5;    // in a row without progress
    std::chrono::milliseconds hello_timeout{120000};
    std::chrono::milliseconds master_timeout{60000};  // at the start; later it waits for ever
    std::chrono::milliseconds drain_timeout{60000};   // from the first Stop() to the KILL
    std::chrono::milliseconds grace{10000};           // from TERM to KILL
    // For the process to be out of the feed while others wait for what it holds, before it is
    // killed; 0: for ever; negative: as the job says.
    std::chrono::milliseconds step_timeout{-1};
  };

  Agent(const Options& options, Master* master, Metrics* metrics);

  // Returns the exit code: 0 done or drained, 1 failed, 75 the job was stopped.
  int Run();
  // The first time: the training process hands back what is unread and leaves. The second time: it
  // is killed.
  void Stop();
  void ChildChanged() { changed_.Signal(); }

 private:
  using Clock = std::chrono::steady_clock;
  // Of one training process.
  struct Ended {
    Link::View view;
    std::string reason;   // why it ended; empty: as it should
    bool good = false;    // with exit code 0, all the same
    Status cannot_start;  // then starting it again is of no use
  };

  Status Join(v1::JoinReply* joined);
  // What a process that has not been started is told by the job's state; -1: it is to be started.
  int CodeOf(v1::JobState state, const std::string& reason) const;
  Ended RunProcess(const v1::JoinReply& joined);
  std::string Supervise(const v1::JoinReply& joined, Link* link, Child* child);
  void LeaveUnstarted(const v1::JoinReply& joined);
  bool Pause(std::chrono::milliseconds time);
  std::string LogPath() const;

  const Options options_;
  Master* const master_;
  Metrics* const metrics_;
  feed::Waker changed_;
  Retry joining_;
  std::atomic<int> stops_{0};
  bool joined_before_ = false;
  bool progressed_ = false;  // one of its processes got something done
};

}  // namespace headrace::worker

#endif  // HEADRACE_WORKER_AGENT_H_
