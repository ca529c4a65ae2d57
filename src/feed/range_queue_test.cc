#include "feed/range_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <set>
#include <thread>
#include <vector>

namespace headrace::feed {
namespace {

using Answer = RangeQueue::Answer;

Range Of(std::int64_t begin) {
  return {"file", begin, begin, begin + 10, nullptr};
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

// Reads all that a range may be read, from `next` on.
std::vector<std::int64_t> ReadOut(const Range& range, std::int64_t most = 1 << 20) {
  std::vector<std::int64_t> read;
  std::int64_t claimed = range.begin;
  for (std::int64_t next = range.begin; next < range.begin + most; ++next) {
    if (next == claimed) {
      claimed = range.limit->Claim();
      if (next == claimed) break;
    }
    read.push_back(next);
  }
  return read;
}

Range Get(RangeQueue* queue) {
  const bool never = false;
  Answer answer = Answer::kDone;
  Range range;
  EXPECT_TRUE(queue->Next(&never, &answer, &range).ok());
  EXPECT_EQ(answer, Answer::kRange);
  return range;
}

using Records = RangeQueue::Records;

TEST(RangeQueueTest, TakesBackWhatNobodyClaimed) {
  RangeQueue queue;
  queue.Push({"file", 1, 0, 100, nullptr});
  queue.Push({"file", 2, 0, 100, nullptr});
  queue.Push({"file", 1, 200, 300, nullptr});
  EXPECT_EQ(queue.unbegun(), (std::vector<std::int64_t>{1, 2, 1}));
  Range range = Get(&queue);
  EXPECT_EQ(ReadOut(range, 20).size(), 20u);
  EXPECT_EQ(queue.Drop(1), (Records{{32, 100}, {200, 300}}));
  EXPECT_EQ(range.limit->Claim(), 32);
  EXPECT_EQ(queue.Drop(1), Records{});
  EXPECT_EQ(queue.unbegun(), std::vector<std::int64_t>{2});
  range = Get(&queue);
  EXPECT_EQ(ReadOut(range).size(), 100u);
  EXPECT_EQ(queue.Drop(2), Records{}) << "all is claimed";
}

TEST(RangeQueueTest, TakesBackWhatIsBegunAndNotRead) {
  RangeQueue queue;
  queue.Push({"file", 1, 5, 10, nullptr});
  const Range range = Get(&queue);
  EXPECT_EQ(queue.Drop(1), (Records{{5, 10}}));
  EXPECT_TRUE(ReadOut(range).empty());
}

TEST(RangeQueueTest, EachRecordIsReadOrTakenBack) {
  for (int round = 0; round < 200; ++round) {
    RangeQueue queue;
    queue.Push({"file", 1, 0, 1000, nullptr});
    const Range range = Get(&queue);
    auto reader = std::async(std::launch::async, [&] { return ReadOut(range); });
    const Records back = queue.Drop(1);
    const auto read = static_cast<std::int64_t>(reader.get().size());
    if (read == 1000) {
      EXPECT_TRUE(back.empty());
    } else {
      EXPECT_EQ(back, (Records{{read, 1000}}));
    }
  }
}

TEST(RangeQueueTest, HeldReadersNeverWait) {
  RangeQueue queue;
  auto asked = std::async(std::launch::async, [&] { return Ask(&queue); });
  while (queue.waiting() == 0) std::this_thread::yield();
  queue.Hold(true);
  EXPECT_EQ(asked.get(), "FLUSH");
  queue.Push(Of(5));
  EXPECT_EQ(Ask(&queue), "5");
  EXPECT_EQ(Ask(&queue), "FLUSH");
  queue.Hold(false);
  queue.Push(Of(15));
  EXPECT_EQ(Ask(&queue), "15");
  queue.Hold(true);
  queue.Finish();
  EXPECT_EQ(Ask(&queue), "DONE");
}

TEST(RangeQueueTest, ClearsAndFlushesOnce) {
  RangeQueue queue;
  queue.Flush();
  queue.Flush();
  queue.Push(Of(5));
  queue.Flush();
  EXPECT_EQ(queue.size(), 3u);
  const std::vector<Range> ranges = queue.Clear();
  ASSERT_EQ(ranges.size(), 1u);
  EXPECT_EQ(ranges[0].begin, 5);
  EXPECT_EQ(queue.size(), 0u);
}

TEST(RangeQueueTest, SaysWhenRangesAreBegunOrMissing) {
  RangeQueue queue;
  std::atomic<int> told{0};
  queue.OnRead([&] {
    ++told;
    queue.size();  // no lock is held
  });
  queue.Push(Of(5));
  EXPECT_EQ(Ask(&queue), "5");
  EXPECT_EQ(told, 1);
  auto asked = std::async(std::launch::async, [&] { return Ask(&queue); });
  while (queue.waiting() == 0) std::this_thread::yield();
  EXPECT_EQ(told, 2);
  queue.Finish();
  EXPECT_EQ(asked.get(), "DONE");
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
