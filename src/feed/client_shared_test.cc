// A client of a model on parameter servers.
#include <gtest/gtest.h>

#include <future>

#include "feed/testing.h"

namespace headrace::feed {
namespace {

using testing::ScriptedAgent;
using What = Attached::What;
using Workers = std::vector<std::uint64_t>;

void Expect(const Status& status) {
  EXPECT_TRUE(status.ok()) << status.ToString();
}

class SharedClientTest : public ::testing::Test {
 protected:
  void Begin(ModelKind model = ModelKind::kShared) { client_ = agent_.Welcome(model); }
  // Asks; the agent has got it when this returns.
  std::future<Status> Attach(std::int64_t generation, std::int64_t expected) {
    auto answer = std::async(std::launch::async, [this, generation, expected] {
      return client_->Attach(generation, expected, &attached_);
    });
    const auto said = agent_.Expect<message::Attach>();
    EXPECT_EQ(said.generation, generation);
    EXPECT_EQ(said.expected, expected);
    return answer;
  }
  void BecomeReady() {
    auto answer = Attach(4, 0);
    agent_.Send(message::Ready{3});
    Expect(answer.get());
  }
  static message::Lease Lease() {
    message::Lease lease;
    lease.token = 1;
    lease.path = "file";
    lease.ranges = {{0, 10}};
    return lease;
  }

  ScriptedAgent agent_;
  std::unique_ptr<Client> client_;
  Attached attached_;
};

TEST_F(SharedClientTest, AttachesAsTheMasterSays) {
  Begin();
  auto answer = Attach(0, 0);
  EXPECT_NE(agent_.Expect<message::Telemetry>().waits_for, "");
  agent_.Send(message::Look{4});
  Expect(answer.get());
  EXPECT_EQ(attached_.what, What::kLook);
  EXPECT_EQ(attached_.generation, 4);
  answer = Attach(0, 4);
  agent_.Send(message::Restore{5});
  Expect(answer.get());
  EXPECT_EQ(attached_.what, What::kRestore);
  EXPECT_EQ(attached_.generation, 5);
  auto restored =
      std::async(std::launch::async, [&] { return client_->Restored(12, "position", "dir", 5); });
  EXPECT_EQ(agent_.Expect<message::Restored>().generation, 5);
  EXPECT_EQ(restored.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  agent_.Send(message::Ready{3});
  Expect(restored.get());
}

TEST_F(SharedClientTest, FindsTheModel) {
  Begin();
  BecomeReady();
  EXPECT_EQ(attached_.what, What::kReady);
  EXPECT_EQ(attached_.generation, 4);
}

TEST_F(SharedClientTest, OnlyWhereItMakesSense) {
  Begin(ModelKind::kLocal);
  EXPECT_EQ(client_->Attach(0, 0, &attached_).code(), Code::kFailedPrecondition);
  client_.reset();
  agent_.on_fence = nullptr;
  Begin();
  EXPECT_EQ(client_->Attach(0, 0, &attached_).code(), Code::kFailedPrecondition);
}

TEST_F(SharedClientTest, ADrainOrAFailureEndsTheWait) {
  Begin();
  auto answer = Attach(0, 0);
  agent_.Send(message::Drain{"SIGTERM"});
  EXPECT_EQ(answer.get().code(), Code::kCancelled);
  client_.reset();
  Begin();
  answer = Attach(0, 0);
  agent_.Send(message::Fail{"too many in quarantine"});
  EXPECT_EQ(answer.get().code(), Code::kFailedPrecondition);
}

// Whatever comes behind a fence is taken up when the fence stands.
TEST_F(SharedClientTest, AFenceStandsBeforeTheNextLease) {
  std::promise<Workers> called;
  std::promise<void> go;
  agent_.on_fence = [&](const Workers& workers) {
    called.set_value(workers);
    go.get_future().wait();
    return Status();
  };
  Begin();
  BecomeReady();
  client_->Start();
  agent_.Send(message::Fence{{3, 5}});
  agent_.Send(Lease());
  agent_.Send(message::Orders{9, "checkpoint", {}, {}, 0, 2});
  EXPECT_EQ(called.get_future().get(), (Workers{3, 5}));
  const auto queue = RangeQueues::Get().Find("train");
  // The agent would see that it has a lease in hand.
  EXPECT_EQ(agent_.Expect<message::Want>().count, 2);
  EXPECT_EQ(queue->size(), 0u);
  EXPECT_FALSE(client_->attention());
  Expect(client_->Held(0));  // what the step says is not held up
  go.set_value();
  while (!client_->attention()) std::this_thread::yield();
  EXPECT_EQ(queue->size(), 1u);
  std::uint64_t version = 0;
  EXPECT_EQ(client_->current_orders(&version).live, 2);
}

TEST_F(SharedClientTest, AFenceThatCannotBeRaisedIsTheEnd) {
  agent_.on_fence = [](const Workers&) { return Status(Code::kUnavailable, "no server"); };
  Begin();
  BecomeReady();
  client_->Start();
  agent_.Send(message::Fence{{3, 5}});
  agent_.Send(Lease());
  while (!client_->attention()) std::this_thread::yield();
  EXPECT_EQ(client_->Applied(nullptr, 0, 0).ToString(),
            "UNAVAILABLE: fencing off workers 3, 5: no server");
  EXPECT_EQ(RangeQueues::Get().Find("train")->size(), 0u);
}

TEST_F(SharedClientTest, NoFenceBeforeItAttaches) {
  Begin();
  agent_.Send(message::Fence{{3}});
  while (!client_->attention()) std::this_thread::yield();
  EXPECT_EQ(client_->Held(0).code(), Code::kInternal);
}

TEST_F(SharedClientTest, SaysHowManyThereAreOnceItAttaches) {
  std::mutex mu;
  std::vector<std::int64_t> told;
  agent_.on_live = [&](std::int64_t live) {
    std::lock_guard<std::mutex> lock(mu);
    told.push_back(live);
    return live == 9 ? Status(Code::kUnavailable, "no server") : Status();
  };
  Begin();
  agent_.Send(message::Orders{0, "", {}, {}, 0, 2});
  while (!client_->attention()) std::this_thread::yield();
  std::uint64_t version = 0;
  client_->current_orders(&version);
  BecomeReady();
  for (const std::int64_t live : {2, 3, 3, 9}) {
    agent_.Send(message::Orders{0, "", {}, {}, 0, live});
  }
  while (client_->Applied(nullptr, 0, 0).ok()) std::this_thread::yield();
  EXPECT_EQ(client_->Applied(nullptr, 0, 0).ToString(),
            "UNAVAILABLE: telling that 9 workers are alive: no server");
  std::lock_guard<std::mutex> lock(mu);
  EXPECT_EQ(told, (std::vector<std::int64_t>{2, 3, 9}));
}

TEST_F(SharedClientTest, KnowsWhetherItDelivers) {
  for (const bool deliver : {true, false}) {
    Begin();
    BecomeReady();
    client_->Start();
    EXPECT_FALSE(client_->deliver());
    agent_.Send(message::Finish{message::QueueName::kEvaluation, deliver});
    agent_.Send(message::Finish{message::QueueName::kMain, deliver});
    testing::FakeTrainer trainer(client_.get(), {});
    Expect(trainer.Run());
    EXPECT_EQ(client_->deliver(), deliver);
    client_.reset();
  }
}

}  // namespace
}  // namespace headrace::feed
