// One side of a conversation at a time, for tests of the client.
#ifndef HEADRACE_FEED_CLIENT_TESTING_H_
#define HEADRACE_FEED_CLIENT_TESTING_H_

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include "feed/client.h"
#include "feed/testing.h"

namespace headrace::feed::testing {

inline message::Lease LeaseOf(std::uint64_t token, std::int64_t begin, std::int64_t end) {
  message::Lease lease;
  lease.token = token;
  lease.path = "file";
  lease.ranges = {{begin, end}};
  return lease;
}

inline void Expect(const Status& status) {
  EXPECT_TRUE(status.ok()) << status.ToString();
}

class ClientTest : public ::testing::Test {
 protected:
  void Begin(ModelKind model = ModelKind::kNone, int prefetch = 2) {
    client_ = agent_.Welcome(model, prefetch);
    client_->Start();
    queue_ = RangeQueues::Get().Find("train");
  }
  std::future<Status> Train(FakeTrainer::Options options) {
    trainer_ = std::make_unique<FakeTrainer>(client_.get(), std::move(options));
    return std::async(std::launch::async, [this] { return trainer_->Run(); });
  }
  // Until a reader waits for a range.
  void AwaitHunger() {
    while (queue_->waiting() == 0) std::this_thread::yield();
  }
  // Trains the first of two leases up to its first step, and no further before Go().
  std::future<Status> TrainOneStep(std::int64_t records) {
    FakeTrainer::Options options;
    options.between_steps = [this, wait = go_.get_future().share()] {
      stopped_ = true;
      wait.wait();
    };
    auto trained = Train(options);
    agent_.Send(LeaseOf(1, 0, records));
    agent_.Send(LeaseOf(2, records, 2 * records));
    while (!stopped_ || queue_->size() != 1) std::this_thread::yield();
    return trained;
  }
  void Go() { go_.set_value(); }
  // Until so many records are read and not settled.
  static void AwaitRead(std::size_t records) {
    while (Accounts::Get().Find("train")->outstanding() < records) std::this_thread::yield();
  }

  ScriptedAgent agent_;
  std::unique_ptr<Client> client_;
  std::shared_ptr<RangeQueue> queue_;
  std::unique_ptr<FakeTrainer> trainer_;
  std::promise<void> go_;
  std::atomic<bool> stopped_{false};
};

}  // namespace headrace::feed::testing

#endif  // HEADRACE_FEED_CLIENT_TESTING_H_
