// The master, as an agent talks to it.
#ifndef HEADRACE_WORKER_MASTER_H_
#define HEADRACE_WORKER_MASTER_H_

#include <cstdint>
#include <functional>

#include "base/status.h"
#include "headrace/control.pb.h"

namespace headrace::worker {

// Blocking calls; UNAVAILABLE and DEADLINE_EXCEEDED may be tried again.
// Thread safety: every method may run concurrently.
class Master {
 public:
  virtual ~Master() = default;

  virtual Status Join(const v1::JoinRequest& request, v1::JoinReply* reply) = 0;
  virtual Status Attach(const v1::AttachRequest& request, v1::AttachReply* reply) = 0;
  virtual Status Restored(const v1::RestoredRequest& request, v1::RestoredReply* reply) = 0;
  virtual Status Saved(const v1::SavedRequest& request, v1::SavedReply* reply) = 0;
  virtual Status Exchange(const v1::ExchangeRequest& request, v1::ExchangeReply* reply) = 0;
  virtual Status Leave(const v1::LeaveRequest& request, v1::LeaveReply* reply) = 0;
  // Until the stream ends, the worker has left (OK), or StopWatching().
  virtual Status Watch(std::uint64_t worker, const std::function<void(const v1::Orders&)>& on) = 0;
  // Ends the watch of this worker, also one that begins later.
  virtual void StopWatching(std::uint64_t worker) = 0;
};

}  // namespace headrace::worker

#endif  // HEADRACE_WORKER_MASTER_H_
