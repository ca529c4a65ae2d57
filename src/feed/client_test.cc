// What the client says and hears; client_job_test.cc runs whole jobs.
#include "feed/client.h"

#include <gtest/gtest.h>

#include <future>

#include "feed/client_testing.h"

namespace headrace::feed {
namespace {

using testing::ClientTest;
using testing::Expect;
using testing::FakeTrainer;
using testing::LeaseOf;
using Records = ledger::Ranges;

TEST_F(ClientTest, SaysHelloAndIsWelcome) {
  Begin(ModelKind::kShared);
  EXPECT_EQ(client_->welcome().worker, "worker-0");
  EXPECT_EQ(client_->welcome().number, 7u);
  EXPECT_EQ(client_->welcome().model, ModelKind::kShared);
  EXPECT_EQ(client_->welcome().job, R"({"a":1})");
}

TEST_F(ClientTest, RefusedWithTheReason) {
  std::unique_ptr<Client> client;
  Client::Options options;
  options.socket = agent_.path();
  auto connected =
      std::async(std::launch::async, [&] { return Client::Connect(options, &client); });
  agent_.Accept();
  agent_.Expect<message::Hello>();
  agent_.Send(message::Error{"somebody is here already"});
  EXPECT_EQ(connected.get().ToString(),
            "FAILED_PRECONDITION: the agent refuses this process: somebody is here already");
  EXPECT_EQ(Accounts::Get().Find("train"), nullptr);
}

// An agent of another release that does not mind, or does not look.
TEST_F(ClientTest, AnAgentThatSpeaksAnotherVersionIsRefused) {
  for (const int protocol : {kProtocol - 1, kProtocol + 1}) {
    std::unique_ptr<Client> client;
    Client::Options options;
    options.socket = agent_.path();
    options.program = "test";
    auto connected =
        std::async(std::launch::async, [&] { return Client::Connect(options, &client); });
    agent_.Accept();
    EXPECT_EQ(agent_.Expect<message::Hello>().protocol, kProtocol);
    agent_.Send(message::Welcome{protocol, "worker-0", 7, ModelKind::kNone, "{}"});
    EXPECT_EQ(connected.get().ToString(),
              "FAILED_PRECONDITION: headrace-worker speaks version " + std::to_string(protocol) +
                  " of the feed protocol, this process (test) version " +
                  std::to_string(kProtocol) + ": install the same version of headrace for both");
    EXPECT_EQ(client, nullptr);
    EXPECT_EQ(Accounts::Get().Find("train"), nullptr);
  }
}

TEST_F(ClientTest, NoAgent) {
  std::unique_ptr<Client> client;
  Client::Options options;
  options.socket = testing::SocketPath();
  options.connect_timeout = std::chrono::milliseconds(30);
  const Status status = Client::Connect(options, &client);
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_NE(status.message().find(options.socket), std::string::npos);
}

TEST_F(ClientTest, WantsWhatItPrefetches) {
  Begin(ModelKind::kNone, 3);
  EXPECT_EQ(agent_.Expect<message::Want>().count, 3);
  agent_.Send(LeaseOf(1, 0, 40));
  agent_.Send(LeaseOf(2, 40, 80));
  auto trained = Train({});
  std::int64_t wanted = 0;
  while (wanted < 2) wanted += agent_.Expect<message::Want>().count;
  EXPECT_EQ(wanted, 2) << "both were begun";
  EXPECT_EQ(agent_.AwaitEnd(1), message::End::kFinished);
  EXPECT_EQ(agent_.AwaitEnd(2), message::End::kFinished);
  EXPECT_EQ(agent_.told(2).trained.All(), (Records{{40, 80}}));
  agent_.Send(message::Finish{});
  Expect(trained.get());
}

TEST_F(ClientTest, FlushGivesUpWhatAShuffleHolds) {
  Begin();
  FakeTrainer::Options options;
  options.shuffle = 1000000;
  auto trained = Train(options);
  agent_.Send(LeaseOf(1, 0, 50));
  AwaitHunger();
  agent_.Send(message::Flush{});
  EXPECT_EQ(agent_.AwaitEnd(1), message::End::kFinished);
  agent_.Send(LeaseOf(2, 50, 60));
  agent_.Send(message::Flush{});
  EXPECT_EQ(agent_.AwaitEnd(2), message::End::kFinished);
  agent_.Send(message::Finish{});
  Expect(trained.get());
}

TEST_F(ClientTest, TheSameRecordsInFlightTwice) {
  Begin();
  FakeTrainer::Options options;
  options.shuffle = 1000;
  options.filtered = [](const auto& record) { return record.second % 5 == 0; };
  auto trained = Train(options);
  agent_.Send(LeaseOf(1, 0, 20));
  message::Lease again = LeaseOf(2, 0, 20);
  again.epoch = 1;
  agent_.Send(again);
  AwaitHunger();
  agent_.Send(message::Flush{});
  for (const std::uint64_t token : {1, 2}) {
    EXPECT_EQ(agent_.AwaitEnd(token), message::End::kFinished);
    EXPECT_EQ(agent_.told(token).trained.size(), 16);
    EXPECT_EQ(agent_.told(token).filtered.size(), 4);
  }
  agent_.Send(message::Finish{});
  Expect(trained.get());
}

TEST_F(ClientTest, DropRemainderNamesItsOp) {
  Begin();
  FakeTrainer::Options options;
  options.drop_remainder = true;
  auto trained = Train(options);
  agent_.Send(LeaseOf(1, 0, 10));
  agent_.Send(message::Flush{});
  EXPECT_EQ(agent_.AwaitEnd(1), message::End::kFinished);
  EXPECT_EQ(agent_.told(1).trained.All(), (Records{{0, 8}}));
  EXPECT_EQ(agent_.told(1).dropped.at("batch").All(), (Records{{8, 10}}));
  agent_.Send(message::Finish{});
  Expect(trained.get());
}

TEST_F(ClientTest, AHoldEndsTheWaitForData) {
  Begin(ModelKind::kShared);
  FakeTrainer::Options options;
  options.shuffle = 1000;
  FakeTrainer trainer(client_.get(), options);
  auto ended = std::async(std::launch::async, [&] { return trainer.Iterate(); });
  agent_.Send(LeaseOf(1, 0, 10));
  AwaitHunger();
  EXPECT_FALSE(client_->attention());
  agent_.Send(message::Orders{5, "checkpoint", message::Save{5, "dir", "bytes", 3}, {}, 0});
  Expect(ended.get());
  EXPECT_EQ(trainer.trained().size(), 10u);
  EXPECT_TRUE(client_->attention());
  std::uint64_t version = 0;
  const Orders orders = client_->current_orders(&version);
  EXPECT_FALSE(client_->attention());
  EXPECT_EQ(orders.hold, 5u);
  EXPECT_EQ(orders.reason, "checkpoint");
  EXPECT_EQ(orders.save->position, "bytes");
  bool more = false;
  Expect(client_->IteratorEnded("batch", &more));
  EXPECT_TRUE(more);
  Expect(client_->Held(5));
  EXPECT_EQ(agent_.Expect<message::Held>().hold, 5u);
  EXPECT_EQ(agent_.told(1).trained.size(), 10) << "all is reported before";
  Expect(client_->Saved(*orders.save, Status(), std::chrono::milliseconds(12), 99));
  EXPECT_EQ(agent_.Expect<message::Saved>().pause_ms, 12);
  agent_.Send(message::Orders{});
  while (!client_->attention()) std::this_thread::yield();
  EXPECT_EQ(client_->current_orders(&version).hold, 0u);
  ended = std::async(std::launch::async, [&] { return trainer.Iterate(); });
  AwaitHunger();
  agent_.Send(message::Finish{});
  Expect(ended.get());
}

TEST_F(ClientTest, ARecallTakesBackWhatIsUnread) {
  Begin();
  auto trained = TrainOneStep(100);
  agent_.Send(message::Recall{1});
  agent_.Send(message::Recall{2});
  EXPECT_EQ(agent_.AwaitEnd(2), message::End::kFinished);
  EXPECT_EQ(agent_.told(2).returned.All(), (Records{{100, 200}}));
  Go();
  EXPECT_EQ(agent_.AwaitEnd(1), message::End::kFinished);
  const auto& told = agent_.told(1);
  EXPECT_LE(told.trained.size(), 16);
  EXPECT_EQ(told.trained.size() + told.returned.size(), 100);
  agent_.Send(message::Finish{});
  Expect(trained.get());
}

TEST_F(ClientTest, RevokedLeasesAreForgotten) {
  Begin();
  FakeTrainer::Options options;
  options.shuffle = 1000;
  auto trained = Train(options);
  agent_.Send(LeaseOf(1, 0, 10));
  agent_.Send(LeaseOf(2, 10, 20));
  AwaitRead(20);
  agent_.Send(message::Revoked{1, "it expired"});
  agent_.Send(message::Revoked{99, "never held"});
  agent_.Send(message::Flush{});
  EXPECT_EQ(agent_.AwaitEnd(2), message::End::kFinished);
  agent_.Send(message::Finish{});
  Expect(trained.get());
  Expect(client_->Bye("", Status()));
  agent_.Expect<message::Bye>();
  EXPECT_EQ(agent_.told(1).trained.size(), 0);
  EXPECT_EQ(trainer_->trained().size(), 20u) << "what was in the shuffle came out";
}

TEST_F(ClientTest, RevokedUnderALocalModelIsTheEnd) {
  Begin(ModelKind::kLocal);
  auto trained = Train({});
  agent_.Send(LeaseOf(1, 0, 10));
  AwaitHunger();
  agent_.Send(message::Revoked{1, "it expired"});
  const Status status = trained.get();
  EXPECT_EQ(status.code(), Code::kAborted);
  EXPECT_NE(status.message().find("it expired"), std::string::npos);
  EXPECT_TRUE(client_->attention());
  EXPECT_EQ(client_->Applied(nullptr, 0, 1).code(), Code::kAborted);
  bool more = true;
  EXPECT_EQ(client_->IteratorEnded("x", &more).code(), Code::kAborted);
}

TEST_F(ClientTest, TheAgentDies) {
  Begin();
  auto trained = Train({});
  agent_.Send(LeaseOf(1, 0, 10));
  AwaitHunger();
  auto boundary = std::async(std::launch::async, [&] {
    Orders orders;
    std::uint64_t version = 0;
    return client_->Boundary(10, &orders, &version);
  });
  agent_.Expect<message::Boundary>();
  agent_.Die();
  EXPECT_EQ(trained.get().code(), Code::kUnavailable);
  EXPECT_EQ(boundary.get().code(), Code::kUnavailable);
  EXPECT_TRUE(client_->attention());
  Client::Found found;
  Task task;
  EXPECT_EQ(client_->Next(Client::Queue::kMain, 0, &found, &task).code(), Code::kUnavailable);
  EXPECT_EQ(client_->Held(1).code(), Code::kUnavailable);
}

TEST_F(ClientTest, ADrainUsesWhatWasRead) {
  Begin();
  FakeTrainer::Options options;
  options.shuffle = 1000;
  auto trained = Train(options);
  agent_.Send(LeaseOf(1, 0, 10));
  AwaitRead(10);
  agent_.Send(message::Drain{"SIGTERM"});
  Expect(trained.get());
  agent_.Send(LeaseOf(2, 10, 20));  // it was on its way
  EXPECT_EQ(agent_.AwaitEnd(1), message::End::kFinished);
  EXPECT_EQ(agent_.AwaitEnd(2), message::End::kFinished);
  EXPECT_EQ(agent_.told(1).trained.All(), (Records{{0, 10}}));
  EXPECT_EQ(agent_.told(2).returned.All(), (Records{{10, 20}}));
  EXPECT_TRUE(client_->draining());
  EXPECT_TRUE(client_->attention());
  Expect(client_->Bye("", Status()));
  EXPECT_EQ(agent_.Expect<message::Bye>().error, "");
}

TEST_F(ClientTest, ADrainThatDiscardsHandsBackWhatWasRead) {
  Begin();
  EXPECT_EQ(client_->IteratorDropped().code(), Code::kFailedPrecondition);
  FakeTrainer::Options options;
  options.shuffle = 1000;
  auto trained = Train(options);
  agent_.Send(LeaseOf(1, 0, 10));
  AwaitRead(10);
  agent_.Send(message::Drain{"stopped", true});
  Expect(trained.get());
  EXPECT_TRUE(client_->draining());
  EXPECT_TRUE(client_->attention());
  EXPECT_EQ(agent_.AwaitEnd(1), message::End::kFinished);
  EXPECT_EQ(agent_.told(1).trained.size(), 0);
  EXPECT_EQ(agent_.told(1).returned.All(), (Records{{0, 10}}));
  Expect(client_->Bye("", Status()));
}

TEST_F(ClientTest, ADrainInTheMiddleOfARange) {
  Begin();
  auto trained = TrainOneStep(1000);
  agent_.Send(message::Drain{"SIGTERM"});
  EXPECT_EQ(agent_.AwaitEnd(2), message::End::kFinished);
  while (agent_.told(1).returned.empty()) agent_.Expect<message::Settled>();
  Go();
  Expect(trained.get());
  EXPECT_EQ(agent_.AwaitEnd(1), message::End::kFinished);
  EXPECT_LE(agent_.told(1).trained.size(), 16);
  EXPECT_EQ(agent_.told(1).trained.size() + agent_.told(1).returned.size(), 1000);
}

TEST_F(ClientTest, RestoredWaitsForTheMaster) {
  client_ = agent_.Welcome(ModelKind::kLocal);
  auto restored = std::async(
      std::launch::async, [&] { return client_->Restored(12, std::string("\0\xff", 2), "dir"); });
  const auto told = agent_.Expect<message::Restored>();
  EXPECT_EQ(told.step, 12);
  EXPECT_EQ(told.position, std::string("\0\xff", 2));
  EXPECT_NE(agent_.Expect<message::Telemetry>().waits_for, "");
  agent_.Send(message::Ready{3});
  Expect(restored.get());
}

TEST_F(ClientTest, SaysForHowLongItsThreadIsOut) {
  std::atomic<bool> waits{false};
  agent_.step_waits = [&] { return waits.load(); };
  Begin();
  // One is said each second.
  const auto until = [&](const char* what, const std::function<bool(std::int64_t away_ms)>& holds) {
    for (int i = 0; i < 10; ++i) {
      if (holds(agent_.Expect<message::Telemetry>().away_ms)) return;
    }
    ADD_FAILURE() << what;
  };
  const auto out = [](std::int64_t away_ms) { return away_ms >= 1000; };
  const auto in = [](std::int64_t away_ms) { return away_ms < 500; };
  until("it makes no call", out);
  bool cancelled = false;
  auto read = std::async(std::launch::async, [&] {
    RangeQueue::Answer answer;
    Range range;
    return queue_->Next(&cancelled, &answer, &range);
  });
  AwaitHunger();
  until("a reader waits for ranges", in);
  until("it still waits", in);
  queue_->Wake([&] { cancelled = true; });
  read.get().IgnoreError();
  until("nobody reads any more", out);
  waits = true;
  until("the step waits for others", in);
  waits = false;
  until("the step goes on", out);
  Expect(client_->Held(0));
  message::Telemetry told;
  for (int i = 0; i < 10 && told.last_call != "held"; ++i) {
    told = agent_.Expect<message::Telemetry>();
  }
  EXPECT_EQ(told.last_call, "held");
  EXPECT_LT(told.away_ms, 2000);
}

TEST_F(ClientTest, SaysThatItWaitsForACommit) {
  agent_.commit_notice = std::chrono::milliseconds(1);
  Begin();
  // One is said each second.
  const auto until_it_waits_for = [&](const std::string& what) {
    message::Telemetry told;
    for (int i = 0; i < 10; ++i) {
      told = agent_.Expect<message::Telemetry>();
      if (told.handed_out == 4 && told.waits_for == what) return;
    }
    ADD_FAILURE() << "waits for '" << told.waits_for << "', not '" << what << "'";
  };
  agent_.Send(LeaseOf(1, 0, 10));
  const bool never = false;
  RangeQueue::Answer answer;
  Range range;
  Expect(queue_->Next(&never, &answer, &range));
  const auto account = Accounts::Get().Find("train");
  std::vector<std::int64_t> identities;
  for (int i = 0; i < 5; ++i) {
    identities.push_back(Identity::Make(range.slot, i));
    Expect(account->Read(identities.back()));
  }
  Expect(account->Deliver(identities.data(), 4));
  Telemetry telemetry;
  telemetry.handed_out = 4;
  client_->Tell(telemetry);
  until_it_waits_for("commit(batch) of 4 records");
  Expect(client_->Applied(identities.data(), 4, 0));
  until_it_waits_for("");
}

TEST_F(ClientTest, ABoundaryIsAnsweredByOrders) {
  Begin(ModelKind::kShared);
  Orders orders;
  std::uint64_t version = 0;
  auto decided =
      std::async(std::launch::async, [&] { return client_->Boundary(100, &orders, &version); });
  const auto boundary = agent_.Expect<message::Boundary>();
  EXPECT_EQ(boundary.step, 100);
  agent_.Send(message::Orders{9, "other", {}, {}, 0});
  agent_.Send(message::Orders{9, "checkpoint", {}, {}, boundary.id});
  Expect(decided.get());
  EXPECT_EQ(orders.reason, "checkpoint");
  EXPECT_FALSE(client_->attention());
}

TEST_F(ClientTest, WhatIsNoMessageEndsTheConnection) {
  Begin();
  agent_.SendLine("{\"type\": \"lease\", \"token\": \"x\"}");
  EXPECT_NE(agent_.Expect<message::Error>().message.find("lease"), std::string::npos);
  while (!client_->attention()) std::this_thread::yield();
  EXPECT_EQ(client_->Applied(nullptr, 0, 0).code(), Code::kInternal);
}

TEST_F(ClientTest, TheJobFails) {
  Begin();
  auto trained = Train({});
  agent_.Send(message::Fail{"2 records in quarantine, 1 allowed"});
  EXPECT_EQ(trained.get().ToString(),
            "FAILED_PRECONDITION: the job failed: 2 records in quarantine, 1 allowed");
}

TEST_F(ClientTest, NothingFollowsBye) {
  for (int round = 0; round < 20; ++round) {
    client_ = agent_.Welcome();
    client_->Start();
    client_->Tell({});
    Expect(client_->Bye("model", Status()));
    EXPECT_EQ(client_->Held(1).code(), Code::kFailedPrecondition);
    client_.reset();
    EXPECT_EQ(agent_.Expect<message::Bye>().model, "model");
    agent_.ExpectEnd();
  }
}

}  // namespace
}  // namespace headrace::feed
