#include "feed/range_queue.h"

#include <utility>

namespace headrace::feed {

void RangeQueue::Push(Range range) {
  std::lock_guard<std::mutex> lock(mu_);
  entries_.push_back({Answer::kRange, std::move(range)});
  cv_.notify_one();
}

void RangeQueue::Flush() {
  std::lock_guard<std::mutex> lock(mu_);
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

Status RangeQueue::Next(const bool* cancelled, Answer* answer, Range* range) {
  std::unique_lock<std::mutex> lock(mu_);
  ++waiting_;
  cv_.wait(lock, [&] { return *cancelled || !failure_.ok() || finished_ || !entries_.empty(); });
  --waiting_;
  if (*cancelled) return Status(Code::kCancelled, "cancelled while waiting for a record range");
  if (!failure_.ok()) return failure_;
  if (entries_.empty()) {
    *answer = Answer::kDone;
    return Status();
  }
  *answer = entries_.front().answer;
  *range = std::move(entries_.front().range);
  entries_.pop_front();
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
