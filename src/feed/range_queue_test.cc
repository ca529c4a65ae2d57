#include "feed/range_queue.h"

#include <gtest/gtest.h>

#include <future>
#include <set>
#include <thread>
#include <vector>

namespace headrace::feed {
namespace {

using Answer = RangeQueue::Answer;

Range Of(std::int64_t begin) {
  return {"file", 0, begin, begin + 10};
}

// "begin", "FLUSH", "DONE" or the error.
std::string Ask(RangeQueue* queue) {
  const bool never = false;
  Answer answer = Answer::kDone;
  Range range;
  const Status status = queue->Next(&never, &answer, &range);
  if (!status.ok()) return status.ToString();
  if (answer == Answer::kRange) return std::to_string(range.begin);
  return answer == Answer::kFlush ? "FLUSH" : "DONE";
}

TEST(RangeQueueTest, AnswersInOrder) {
  RangeQueue queue;
  queue.Push(Of(0));
  queue.Flush();
  queue.Push(Of(10));
  queue.Finish();
  EXPECT_EQ(queue.size(), 3u);
  EXPECT_EQ(Ask(&queue), "0");
  EXPECT_EQ(Ask(&queue), "FLUSH");
  EXPECT_EQ(Ask(&queue), "10");
  EXPECT_EQ(Ask(&queue), "DONE");
  EXPECT_EQ(Ask(&queue), "DONE");
}

TEST(RangeQueueTest, WaitsForAnAnswer) {
  RangeQueue queue;
  auto asked = std::async(std::launch::async, [&] { return Ask(&queue); });
  while (queue.waiting() == 0) std::this_thread::yield();
  queue.Push(Of(5));
  EXPECT_EQ(asked.get(), "5");
  EXPECT_EQ(queue.waiting(), 0);
}

TEST(RangeQueueTest, CancelledWhileItWaits) {
  RangeQueue queue;
  bool cancelled = false;
  auto asked = std::async(std::launch::async, [&] {
    Answer answer = Answer::kDone;
    Range range;
    return queue.Next(&cancelled, &answer, &range);
  });
  while (queue.waiting() == 0) std::this_thread::yield();
  queue.Wake([&] { cancelled = true; });
  EXPECT_EQ(asked.get().code(), Code::kCancelled);
  queue.Push(Of(5));
  EXPECT_EQ(Ask(&queue), "5") << "a cancelled question consumed it";
}

TEST(RangeQueueTest, FailureComesFirst) {
  RangeQueue queue;
  queue.Push(Of(0));
  auto asked = Ask(&queue);
  queue.Push(Of(10));
  queue.Fail(Status(Code::kUnavailable, "the agent is gone"));
  EXPECT_EQ(Ask(&queue), "UNAVAILABLE: the agent is gone");
}

TEST(RangeQueueTest, ReadersShareTheRanges) {
  RangeQueue queue;
  constexpr int kReaders = 4, kRanges = 400;
  std::vector<std::future<std::set<std::string>>> readers;
  for (int r = 0; r < kReaders; ++r) {
    readers.push_back(std::async(std::launch::async, [&] {
      std::set<std::string> got;
      for (std::string text = Ask(&queue); text != "DONE"; text = Ask(&queue)) got.insert(text);
      return got;
    }));
  }
  for (int i = 0; i < kRanges; ++i) queue.Push(Of(i));
  queue.Finish();
  std::set<std::string> all;
  std::size_t sum = 0;
  for (auto& reader : readers) {
    const std::set<std::string> got = reader.get();
    sum += got.size();
    all.insert(got.begin(), got.end());
  }
  EXPECT_EQ(all.size(), std::size_t{kRanges});
  EXPECT_EQ(sum, std::size_t{kRanges});
}

TEST(RangeQueuesTest, ClosingFailsItsReaders) {
  std::shared_ptr<RangeQueue> queue, other;
  ASSERT_TRUE(RangeQueues::Get().Open("train", &queue).ok());
  EXPECT_EQ(RangeQueues::Get().Open("train", &other).code(), Code::kAlreadyExists);
  EXPECT_EQ(RangeQueues::Get().Find("train"), queue);
  auto asked = std::async(std::launch::async, [&] { return Ask(queue.get()); });
  while (queue->waiting() == 0) std::this_thread::yield();
  RangeQueues::Get().Close("train");
  EXPECT_EQ(asked.get(), "CANCELLED: the queue of ranges 'train' was closed");
  EXPECT_EQ(RangeQueues::Get().Find("train"), nullptr);
}

}  // namespace
}  // namespace headrace::feed
