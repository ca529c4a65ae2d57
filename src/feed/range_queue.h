// The record ranges that a dataset reads next, from whoever leases them.
#ifndef HEADRACE_FEED_RANGE_QUEUE_H_
#define HEADRACE_FEED_RANGE_QUEUE_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "feed/registry.h"

namespace headrace::feed {

// How far a range that is being read may be read: its reader claims records a few at a time, and
// what is not claimed can be taken back meanwhile.
// Thread safety: one reader; Truncate() from any thread.
class ReadLimit {
 public:
  // Claimed at once: what this costs a record, against how much of a range cannot be taken back.
  static constexpr std::int64_t kClaim = 16;

  ReadLimit(std::int64_t begin, std::int64_t end) : end_(end), claimed_(begin) {}

  // The reader has read all that it claimed: records before the result are its, too. The same as
  // the last time: there are no more.
  std::int64_t Claim();
  // No record from the result on will be read.
  std::int64_t Truncate();
  std::int64_t end() const { return end_; }

 private:
  static constexpr std::int64_t kTruncated = std::int64_t{1} << 62;

  const std::int64_t end_;
  std::atomic<std::int64_t> claimed_;  // and kTruncated
};

// Records [begin, end) of one file.
struct Range {
  std::string path;
  std::int64_t slot = 0;  // half of every record's identity
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::shared_ptr<ReadLimit> limit;  // set by Next(); its reader must claim what it reads
};

// Answers a dataset that asks what to read next: with a range, with FLUSH (end this iterator, so
// that shuffle and batch give up what they hold; then make a new one and ask again) or with DONE.
//
// Thread safety: every method may run concurrently; several readers share the ranges.
class RangeQueue {
 public:
  enum class Answer { kRange, kFlush, kDone };
  // Records [first, second).
  using Records = std::vector<std::pair<std::int64_t, std::int64_t>>;

  void Push(Range range);
  // Ends the iterator that is reading, once it has read what was pushed before. One flush right
  // behind another is one.
  void Flush();
  // Nothing follows what was pushed before: every later question is answered with DONE.
  void Finish();
  // Whoever leases ranges is gone: questions fail with `status` from now on, ranges that nobody has
  // read included.
  void Fail(Status status);

  // Takes back the records of a slot that no reader has claimed: sorted; none if all are.
  Records Drop(std::int64_t slot);
  // Takes back all ranges that no reader has begun, and all flushes.
  std::vector<Range> Clear();
  // While held, a reader that finds nothing is told FLUSH at once instead of waiting.
  void Hold(bool held);
  // Called, without a lock, whenever a reader begins a range, or finds nothing.
  void OnRead(std::function<void()> read);
  // Slots with a range that no reader has begun, in order, each range's.
  std::vector<std::int64_t> unbegun() const;

  // Waits for an answer; gives CANCELLED when *cancelled was set and Wake() called.
  Status Next(const bool* cancelled, Answer* answer, Range* range);
  // Makes waiting readers look at their `cancelled` again. `set` runs under the lock.
  template <typename Set>
  void Wake(Set set) {
    std::lock_guard<std::mutex> lock(mu_);
    set();
    cv_.notify_all();
  }

  // Readers that wait now: they want more ranges.
  int waiting() const;
  std::size_t size() const;

 private:
  struct Entry {
    Answer answer;
    Range range;
  };
  struct Begun {
    std::int64_t slot;
    std::weak_ptr<ReadLimit> limit;  // gone with its reader's Range
  };

  mutable std::mutex mu_;
  std::condition_variable cv_;
  std::deque<Entry> entries_;  // guarded by mu_, as is all below
  std::vector<Begun> begun_;
  bool finished_ = false, held_ = false;
  Status failure_;
  int waiting_ = 0;
  std::function<void()> on_read_;
};

// The queues of this process, by name: graphs name the queue that they read.
class RangeQueues : public Registry<RangeQueue> {
 public:
  static RangeQueues& Get();

  // Fails its readers with CANCELLED.
  void Close(const std::string& name);

 private:
  RangeQueues() : Registry("a queue of ranges") {}
};

}  // namespace headrace::feed

#endif  // HEADRACE_FEED_RANGE_QUEUE_H_
