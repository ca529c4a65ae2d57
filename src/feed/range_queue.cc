#include "feed/range_queue.h"

#include <algorithm>
#include <utility>

namespace headrace::feed {

std::int64_t ReadLimit::Claim() {
  std::int64_t claimed = claimed_.load(std::memory_order_relaxed);
  while ((claimed & kTruncated) == 0) {
    const std::int64_t wanted = std::min(claimed + kClaim, end_);
    if (claimed_.compare_exchange_weak(claimed, wanted, std::memory_order_relaxed)) return wanted;
  }
  return claimed & ~kTruncated;
}

std::int64_t ReadLimit::Truncate() {
  return claimed_.fetch_or(kTruncated, std::memory_order_relaxed) & ~kTruncated;
}

void RangeQueue::Push(Range range) {
  std::lock_guard<std::mutex> lock(mu_);
  entries_.push_back({Answer::kRange, std::move(range)});
  cv_.notify_one();
}

void RangeQueue::Flush() {
  std::lock_guard<std::mutex> lock(mu_);
  if (!entries_.empty() && entries_.back().answer == Answer::kFlush) return;
  entries_.push_back({Answer::kFlush, {}});
  cv_.notify_one();
}

void RangeQueue::Finish() {
  std::lock_guard<std::mutex> lock(mu_);
  finished_ = true;
  cv_.notify_all();
}

void RangeQueue::Fail(Status status) {
  std::lock_guard<std::mutex> lock(mu_);
  failure_ = std::move(status);
  cv_.notify_all();
}

RangeQueue::Records RangeQueue::Drop(std::int64_t slot) {
  Records back;
  std::lock_guard<std::mutex> lock(mu_);
  for (auto it = entries_.begin(); it != entries_.end();) {
    if (it->answer != Answer::kRange || it->range.slot != slot) {
      ++it;
      continue;
    }
    back.emplace_back(it->range.begin, it->range.end);
    it = entries_.erase(it);
  }
  for (const Begun& begun : begun_) {
    if (begun.slot != slot) continue;
    const std::shared_ptr<ReadLimit> limit = begun.limit.lock();
    if (limit == nullptr) continue;
    const std::int64_t from = limit->Truncate();
    if (from < limit->end()) back.emplace_back(from, limit->end());
  }
  begun_.erase(std::remove_if(begun_.begin(), begun_.end(),
                              [&](const Begun& begun) { return begun.slot == slot; }),
               begun_.end());
  std::sort(back.begin(), back.end());
  return back;
}

std::vector<Range> RangeQueue::Clear() {
  std::vector<Range> ranges;
  std::lock_guard<std::mutex> lock(mu_);
  for (Entry& entry : entries_) {
    if (entry.answer == Answer::kRange) ranges.push_back(std::move(entry.range));
  }
  entries_.clear();
  return ranges;
}

void RangeQueue::Hold(bool held) {
  std::lock_guard<std::mutex> lock(mu_);
  held_ = held;
  if (held_) cv_.notify_all();
}

void RangeQueue::OnRead(std::function<void()> read) {
  std::lock_guard<std::mutex> lock(mu_);
  on_read_ = std::move(read);
}

std::vector<std::int64_t> RangeQueue::unbegun() const {
  std::vector<std::int64_t> slots;
  std::lock_guard<std::mutex> lock(mu_);
  for (const Entry& entry : entries_) {
    if (entry.answer == Answer::kRange) slots.push_back(entry.range.slot);
  }
  return slots;
}

Status RangeQueue::Next(const bool* cancelled, Answer* answer, Range* range) {
  std::unique_lock<std::mutex> lock(mu_);
  range->limit.reset();  // the reader is done with the range before
  const auto answered = [&] {
    return *cancelled || !failure_.ok() || finished_ || held_ || !entries_.empty();
  };
  if (!answered() && on_read_) {
    const std::function<void()> listener = on_read_;
    lock.unlock();
    listener();
    lock.lock();
  }
  ++waiting_;
  cv_.wait(lock, answered);
  --waiting_;
  if (*cancelled) return Status(Code::kCancelled, "cancelled while waiting for a record range");
  if (!failure_.ok()) return failure_;
  if (entries_.empty()) {
    *answer = finished_ ? Answer::kDone : Answer::kFlush;
    return Status();
  }
  *answer = entries_.front().answer;
  *range = std::move(entries_.front().range);
  entries_.pop_front();
  if (*answer != Answer::kRange) return Status();
  range->limit = std::make_shared<ReadLimit>(range->begin, range->end);
  begun_.erase(std::remove_if(begun_.begin(), begun_.end(),
                              [](const Begun& begun) { return begun.limit.expired(); }),
               begun_.end());
  begun_.push_back({range->slot, range->limit});
  const std::function<void()> listener = on_read_;
  lock.unlock();
  if (listener) listener();
  return Status();
}

int RangeQueue::waiting() const {
  std::lock_guard<std::mutex> lock(mu_);
  return waiting_;
}

std::size_t RangeQueue::size() const {
  std::lock_guard<std::mutex> lock(mu_);
  return entries_.size();
}

RangeQueues& RangeQueues::Get() {
  static auto* const queues = new RangeQueues;  // never destroyed: kernels may outlive main()
  return *queues;
}

void RangeQueues::Close(const std::string& name) {
  const std::shared_ptr<RangeQueue> queue = Registry::Close(name);
  if (queue == nullptr) return;
  queue->Fail(Status(Code::kCancelled, "the queue of ranges '" + name + "' was closed"));
}

}  // namespace headrace::feed
