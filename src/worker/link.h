// Carries one training process's conversation: its socket on one side, the master on the other.
#ifndef HEADRACE_WORKER_LINK_H_
#define HEADRACE_WORKER_LINK_H_

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"
#include "feed/line_socket.h"
#include "feed/waker.h"
#include "worker/master.h"
#include "worker/metrics.h"
#include "worker/retry.h"
#include "worker/session.h"

namespace headrace::worker {

// Threads: one accepts connections, one reads from the process, one writes to it, one calls the
// master, one watches for orders. None holds the lock while it waits for anybody.
//
// Ownership: borrows the master, the metrics and the waker, which is signalled at every change.
// Thread safety: every method may run concurrently.
class Link {
 public:
  struct View {
    bool connected = false;  // it has said hello
    bool closed = false;     // its connection is at its end
    bool said_bye = false;
    std::string bye_error;
    std::string fault;          // what it did against the protocol
    std::string other_version;  // not empty: it speaks another version of it, says this
    bool progress = false;
    bool isolated = false;     // it holds a lease that is alone
    bool uncommitted = false;  // it was handed records, and has committed none
    bool finished = false;     // it was told that there is no more to train
    Session::End end = Session::End::kNone;
    std::string end_reason;
    v1::JobState state = v1::JOB_STATE_UNSPECIFIED;
    std::string job_reason;
    bool over = false;  // the master knows that it is gone, or could not be told
  };

  Link(Master* master, const v1::JoinReply& joined, const std::string& name, Metrics* metrics,
       feed::Waker* changed);
  ~Link();

  // The process may connect there, once.
  Status Listen(const std::string& path);
  View view() const;
  // As Session's.
  std::string Overdue(std::chrono::milliseconds limit) const;
  void Drain(const std::string& reason);
  // The process is dead; `reason`: why, if it did not say so itself. What it said last still goes
  // out, then the master is told; over then.
  void ProcessEnded(const std::string& reason);
  void GiveUpAt(Retry::Clock::time_point when) { retry_.GiveUpAt(when); }

 private:
  void Accept();
  void Read(feed::LineSocket* socket);
  void Write(feed::LineSocket* socket);
  void Call();
  void Watch();
  Status Make(const worker::Call& call, Reply* reply);
  // What the session has to say goes out; whoever waits looks again. mu_ is held.
  void NoteLocked();

  Master* const master_;
  Metrics* const metrics_;
  feed::Waker* const changed_;
  const std::string name_;
  Retry retry_;

  mutable std::mutex mu_;
  std::condition_variable cv_;
  Session session_;  // guarded by mu_, as is all below
  std::vector<feed::ToClient> outbox_;
  bool news_ = false;  // for Call()
  bool connected_ = false, closed_ = false, abandoned_ = false, stopping_ = false;
  std::string fault_, other_version_;
  std::unique_ptr<feed::LineSocket> socket_;  // set once
  std::thread reader_, writer_;               // set once

  std::unique_ptr<feed::LineListener> listener_;
  std::thread acceptor_, caller_, watcher_;
};

}  // namespace headrace::worker

#endif  // HEADRACE_WORKER_LINK_H_
