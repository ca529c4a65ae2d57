// The other half of a client: leases that are worked on one at a time, of evaluation and
// prediction.
#ifndef HEADRACE_FEED_TASKS_H_
#define HEADRACE_FEED_TASKS_H_

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "feed/account.h"
#include "feed/lease_book.h"
#include "feed/message.h"
#include "feed/range_queue.h"

namespace headrace::feed {

// What became of a task's records is told all at once, when it is done: a result of evaluation
// holds for all of them.
//
// Ownership: shares the queue and the account with their readers.
// Thread safety: none, but for what readers do with the queue and the account meanwhile.
class Tasks {
 public:
  using QueueName = message::QueueName;

  Tasks(std::shared_ptr<RangeQueue> queue, std::shared_ptr<Account> account);

  void Give(const message::Lease& lease);
  void Finish(QueueName queue) { Of(queue).finished = true; }
  // False: it is not held. Of the task at hand nothing will be told.
  bool Revoke(std::uint64_t token);
  // Those that were not begun go back; none come any more.
  std::vector<message::Report> Drain();

  bool Ready(QueueName queue) const { return !Of(queue).waiting.empty(); }
  bool finished(QueueName queue) const { return Of(queue).finished; }
  // The next one, its ranges in the queue. Requires: Ready(). FAILED_PRECONDITION if the one before
  // is not done.
  Status Begin(QueueName queue, message::Lease* lease);
  // Of the task at hand. No report: it was revoked meanwhile. INTERNAL if it left records unread;
  // the task failed then.
  Status Done(std::uint64_t token, const std::string& op, const std::vector<double>& metrics,
              std::optional<message::Report>* report);
  Status Failed(std::uint64_t token, const Status& error, std::optional<message::Report>* report);

 private:
  struct Waiting {
    std::deque<message::Lease> waiting;
    bool finished = false;
  };

  Waiting& Of(QueueName queue) { return queues_[static_cast<std::size_t>(queue)]; }
  const Waiting& Of(QueueName queue) const { return queues_[static_cast<std::size_t>(queue)]; }
  Status CheckAtHand(std::uint64_t token) const;
  std::optional<message::Report> TellOf(std::uint64_t token, const std::vector<double>& metrics);

  const std::shared_ptr<RangeQueue> queue_;
  const std::shared_ptr<Account> account_;
  std::array<Waiting, 2> queues_;
  LeaseBook book_;             // the task at hand
  std::uint64_t at_hand_ = 0;  // 0: none; stays when it is revoked
};

}  // namespace headrace::feed

#endif  // HEADRACE_FEED_TASKS_H_
