// The record ranges that a dataset reads next, from whoever leases them.
#ifndef HEADRACE_FEED_RANGE_QUEUE_H_
#define HEADRACE_FEED_RANGE_QUEUE_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/status.h"
#include "feed/registry.h"

namespace headrace::feed {

// Records [begin, end) of one file.
struct Range {
  std::string path;
  std::int64_t file = 0;  // the file's position in the job's list: half of every record's identity
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

// Answers a dataset that asks what to read next: with a range, with FLUSH (end this iterator, so
// that shuffle and batch give up what they hold; then make a new one and ask again) or with DONE.
//
// Thread safety: every method may run concurrently; several readers share the ranges.
class RangeQueue {
 public:
  enum class Answer { kRange, kFlush, kDone };

  void Push(Range range);
  // Ends the iterator that is reading, once it has read what was pushed before.
  void Flush();
  // Nothing follows what was pushed before: every later question is answered with DONE.
  void Finish();
  // Whoever leases ranges is gone: questions fail with `status` from now on, ranges that nobody has
  // read included.
  void Fail(Status status);

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

  mutable std::mutex mu_;
  std::condition_variable cv_;
  std::deque<Entry> entries_;  // guarded by mu_, as is all below
  bool finished_ = false;
  Status failure_;
  int waiting_ = 0;
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
