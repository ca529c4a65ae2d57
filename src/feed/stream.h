// The streamed half of a client: leases of training as ranges of one queue.
#ifndef HEADRACE_FEED_STREAM_H_
#define HEADRACE_FEED_STREAM_H_

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "feed/account.h"
#include "feed/lease_book.h"
#include "feed/message.h"
#include "feed/range_queue.h"

namespace headrace::feed {

// One iterator at a time reads the queue. A lease that is to be alone in its iterator has a flush
// before and behind it.
//
// Ownership: shares the queue and the account with their readers.
// Thread safety: none, but for what readers do with the queue and the account meanwhile.
class Stream {
 public:
  Stream(std::shared_ptr<RangeQueue> queue, std::shared_ptr<Account> account);

  // --- from the agent ---
  Status Give(const message::Lease& lease);
  void Flush();
  void Finish();
  // Hands back what no reader has claimed.
  void Recall(std::uint64_t token);
  // False: it is not held.
  bool Revoke(std::uint64_t token);
  // Hands back everything that no reader has claimed; nothing is read after that.
  void Drain();

  // --- from the trainer ---
  // The iterator is gone, at its end. *more: make another.
  Status Ended(const std::string& op, bool* more);
  // The iterator is gone, with an error: see Client::IteratorFailed(). The error itself if there is
  // nothing that it could be of.
  Status Failed(const Status& error);
  // After Drain(): the iterator is gone before its end; what no step used goes back.
  Status Dropped();

  // Leases of which nothing was read.
  int unbegun() const;
  bool Holds(std::uint64_t token) const { return book_.Find(token) != nullptr; }
  bool empty() const { return book_.tokens().empty(); }
  // What is to be said now.
  std::vector<message::Report> Take();

 private:
  static constexpr int kMostBlameless = 3;

  void Settle() { book_.Settle(account_->Take()); }
  void HandBack(std::uint64_t token);
  // Nothing is read under them any more, and what was is ignored.
  void CloseSlots(const std::vector<std::int64_t>& slots);
  // Leases of which something was read or begun, and that are not settled.
  std::set<std::uint64_t> Begun(const std::set<std::int64_t>& unbegun_slots) const;
  // The records of a lease that are not settled get new slots.
  Status Reslot(std::uint64_t token, std::vector<LeaseBook::Piece>* pieces);
  void Push(std::uint64_t token, const std::vector<LeaseBook::Piece>& pieces);
  // Puts `again` in front of what was not begun.
  Status Rebuild(const std::set<std::uint64_t>& again);

  const std::shared_ptr<RangeQueue> queue_;
  const std::shared_ptr<Account> account_;
  LeaseBook book_;
  std::set<std::uint64_t> alone_;  // leases
  bool dry_ = false;               // the agent had nothing more: end with a flush
  bool draining_ = false, finished_ = false;
  int blameless_ = 0;  // failures in a row that no lease could be blamed for
};

}  // namespace headrace::feed

#endif  // HEADRACE_FEED_STREAM_H_
