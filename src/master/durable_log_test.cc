// Answers come after the sync, in order, and never after a failure.
#include "master/durable_log.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "journal/testing.h"

namespace headrace::master {
namespace {

class DurableLogTest : public journal::testing::Test {};

TEST_F(DurableLogTest, CallsBackWhenAllBeforeIsOnDisk) {
  DurableLog log(OpenJournal());
  std::mutex mu;
  std::condition_variable cv;
  std::vector<std::uint64_t> called;
  const auto wait = [&](std::uint64_t point) {
    log.After(point, [&, point](const Status& status) {
      EXPECT_TRUE(status.ok()) << status.ToString();
      EXPECT_GE(log.figures().commits + 1, 1u);
      std::lock_guard<std::mutex> lock(mu);
      called.push_back(point);
      cv.notify_all();
    });
  };
  wait(log.Now());  // nothing to wait for
  EXPECT_EQ(called, std::vector<std::uint64_t>{0});
  std::vector<std::uint64_t> expected = {0};
  for (int i = 0; i < 100; ++i) {
    log.Append("event " + std::to_string(i));
    wait(log.Now());
    expected.push_back(log.Now());
  }
  std::unique_lock<std::mutex> lock(mu);
  ASSERT_TRUE(cv.wait_for(lock, std::chrono::seconds(30), [&] { return called.size() == 101; }));
  EXPECT_EQ(called, expected);
  EXPECT_EQ(log.Now(), 100u);
}

TEST_F(DurableLogTest, ManyThreadsEachGetTheirs) {
  std::atomic<int> answers{0};
  {
    DurableLog log(OpenJournal());
    std::mutex order;  // as the dispatcher's lock
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 200; ++i) {
          std::uint64_t point = 0;
          {
            std::lock_guard<std::mutex> lock(order);
            if (i % 3 != 0) log.Append("event");
            point = log.Now();
          }
          log.After(point, [&](const Status& status) { answers += status.ok() ? 1 : 0; });
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(answers, 800);
}

}  // namespace
}  // namespace headrace::master
