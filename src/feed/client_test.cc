// One side of a conversation at a time; client_job_test.cc runs whole jobs.
#include "feed/client.h"

#include <gtest/gtest.h>

#include <future>

#include "feed/testing.h"

namespace headrace::feed {
namespace {

using testing::FakeTrainer;
using testing::ScriptedAgent;
using Records = ledger::Ranges;

message::Lease LeaseOf(std::uint64_t token, std::int64_t begin, std::int64_t end) {
  message::Lease lease;
  lease.token = token;
  lease.path = "file";
  lease.ranges = {{begin, end}};
  return lease;
}

void Expect(const Status& status) {
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

// What was read is lost with its iterator, and not read again.
TEST_F(ClientTest, AFailureWhileDraining) {
  Begin();
  const auto account = Accounts::Get().Find("train");
  for (const std::uint64_t token : {1, 2}) {
    const auto begin = static_cast<std::int64_t>(token) * 10;
    agent_.Send(LeaseOf(token, begin, begin + 10));
    const bool never = false;
    RangeQueue::Answer answer = RangeQueue::Answer::kDone;
    Range range;
    Expect(queue_->Next(&never, &answer, &range));
    EXPECT_EQ(range.limit->Claim(), range.end);
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      Expect(account->Read(Identity::Make(range.slot, i)));
    }
  }
  agent_.Send(message::Drain{"SIGTERM"});
  while (!client_->draining()) std::this_thread::yield();
  Expect(client_->IteratorFailed(Status(Code::kDataLoss, "bad"), -1));
  for (const std::uint64_t token : {1, 2}) {
    EXPECT_EQ(agent_.AwaitEnd(token), message::End::kFinished);
    EXPECT_EQ(agent_.told(token).returned.size(), 10);
  }
  bool more = true;
  Expect(client_->IteratorEnded("batch", &more));
  EXPECT_FALSE(more);
}

TEST_F(ClientTest, AnIsolatedLeaseIsAloneInItsIterator) {
  Begin(ModelKind::kNone, 3);
  FakeTrainer::Options options;
  options.shuffle = 1000;
  agent_.Send(LeaseOf(1, 0, 10));
  message::Lease alone = LeaseOf(2, 10, 20);
  alone.isolate = true;
  agent_.Send(alone);
  agent_.Send(LeaseOf(3, 20, 30));
  while (queue_->size() < 5) std::this_thread::yield();
  auto trained = Train(options);
  EXPECT_EQ(agent_.AwaitEnd(1), message::End::kFinished);
  EXPECT_EQ(agent_.AwaitEnd(2), message::End::kFinished);
  agent_.Send(message::Finish{});
  Expect(trained.get());
  EXPECT_EQ(agent_.AwaitEnd(3), message::End::kFinished);
  ASSERT_EQ(trainer_->trained().size(), 30u);
  for (std::size_t i = 0; i < 30; ++i) {
    EXPECT_EQ(static_cast<std::size_t>(trainer_->trained()[i].second / 10), i / 10);
  }
}

TEST_F(ClientTest, OfSeveralSuspectsTheCulpritIsFoundAlone) {
  Begin(ModelKind::kNone, 4);
  FakeTrainer::Options options;
  options.shuffle = 25;
  options.bad = [](const auto& record) { return record.second == 23; };
  for (const int i : {0, 1, 2, 3}) {
    agent_.Send(LeaseOf(static_cast<std::uint64_t>(i) + 1, i * 10, i * 10 + 10));
  }
  while (queue_->size() < 4) std::this_thread::yield();
  auto trained = Train(options);
  EXPECT_EQ(agent_.AwaitEnd(3), message::End::kFailed);
  EXPECT_EQ(agent_.told(3).error, "DATA_LOSS: bad record");
  EXPECT_EQ(agent_.told(3).culprit, -1);
  for (const std::uint64_t token : {1, 2}) {
    EXPECT_EQ(agent_.AwaitEnd(token), message::End::kFinished);
    EXPECT_EQ(agent_.told(token).trained.size(), 10);
  }
  agent_.Send(message::Finish{});
  Expect(trained.get());
  EXPECT_EQ(agent_.AwaitEnd(4), message::End::kFinished);
  EXPECT_EQ(trainer_->failures(), 2);
}

TEST_F(ClientTest, AKnownCulpritIsNamed) {
  Begin(ModelKind::kNone, 4);
  FakeTrainer::Options options;
  options.shuffle = 25;
  options.knows_culprit = true;
  options.bad = [](const auto& record) { return record.second == 13; };
  for (const int i : {0, 1}) {
    agent_.Send(LeaseOf(static_cast<std::uint64_t>(i) + 1, i * 10, i * 10 + 10));
  }
  agent_.Send(message::Flush{});
  auto trained = Train(options);
  EXPECT_EQ(agent_.AwaitEnd(2), message::End::kFailed);
  EXPECT_EQ(agent_.told(2).culprit, 13);
  EXPECT_EQ(agent_.AwaitEnd(1), message::End::kFinished);
  EXPECT_EQ(trainer_->failures(), 1);
  agent_.Send(message::Finish{});
  Expect(trained.get());
}

TEST_F(ClientTest, AnErrorOfNoLeaseIsTheTrainers) {
  Begin();
  const Status error(Code::kInternal, "no such function");
  for (int i = 0; i < 3; ++i) Expect(client_->IteratorFailed(error, -1));
  EXPECT_EQ(client_->IteratorFailed(error, -1).ToString(), error.ToString());
}

TEST_F(ClientTest, AnIteratorThatEndsBeforeItsRange) {
  Begin();
  FakeTrainer::Options options;
  options.elements_an_iterator = 7;
  auto trained = Train(options);
  agent_.Send(LeaseOf(1, 0, 50));
  agent_.Send(message::Flush{});
  EXPECT_EQ(agent_.AwaitEnd(1), message::End::kFinished);
  agent_.Send(message::Finish{});
  Expect(trained.get());
  EXPECT_EQ(agent_.told(1).trained.size() + agent_.told(1).dropped.at("batch").size(), 50);
  EXPECT_GT(trainer_->iterators(), 6);
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

// --- tasks ---------------------------------------------------------------------------------------

class TaskTest : public ClientTest {
 protected:
  TaskTest() { client_ = agent_.Welcome(ModelKind::kShared, 1); }

  static message::Lease Evaluate(std::uint64_t token, std::int64_t begin, std::int64_t end) {
    message::Lease lease = LeaseOf(token, begin, end);
    lease.queue = message::QueueName::kEvaluation;
    lease.task = message::TaskKind::kEvaluate;
    lease.round = 2;
    lease.model_version = 30;
    return lease;
  }
  // Reads the task to its end.
  void Work(std::int64_t leave_out = -1) {
    const auto queue = RangeQueues::Get().Find("tasks");
    const auto account = Accounts::Get().Find("tasks");
    const bool never = false;
    for (;;) {
      RangeQueue::Answer answer = RangeQueue::Answer::kDone;
      Range range;
      Expect(queue->Next(&never, &answer, &range));
      if (answer != RangeQueue::Answer::kRange) return;
      for (std::int64_t i = range.begin; i < range.end; ++i) {
        if (i == leave_out) continue;
        const std::int64_t identity = Identity::Make(range.slot, i);
        Expect(account->Read(identity));
        EXPECT_EQ(Client::RecordOf(identity), i);
        Expect(client_->TaskApplied(&identity, 1));
      }
    }
  }
  Client::Found Next(Task* task, std::uint64_t seen = 0) {
    Client::Found found = Client::Found::kDone;
    Expect(client_->Next(Client::Queue::kEvaluation, seen, &found, task));
    return found;
  }
};

TEST_F(TaskTest, OneAtATime) {
  Task task;
  auto found = std::async(std::launch::async, [&] { return Next(&task); });
  const auto want = agent_.Expect<message::Want>();
  EXPECT_EQ(want.queue, message::QueueName::kEvaluation);
  EXPECT_EQ(want.count, 1);
  agent_.Send(Evaluate(4, 10, 20));
  EXPECT_EQ(found.get(), Client::Found::kTask);
  EXPECT_EQ(task.token, 4u);
  EXPECT_EQ(task.kind, "evaluate");
  EXPECT_EQ(task.round, 2);
  EXPECT_EQ(task.model_version, 30);
  Task other;
  Client::Found none;
  agent_.Send(Evaluate(5, 20, 30));
  EXPECT_EQ(client_->Next(Client::Queue::kEvaluation, 0, &none, &other).code(),
            Code::kFailedPrecondition);
  Work();
  Expect(client_->TaskDone(task, "batch", {1.5, 10}));
  EXPECT_EQ(agent_.AwaitEnd(4), message::End::kFinished);
  EXPECT_EQ(agent_.told(4).trained.All(), (Records{{10, 20}}));
  EXPECT_EQ(agent_.told(4).metrics, (std::vector<double>{1.5, 10}));
  EXPECT_EQ(Next(&task), Client::Found::kTask);
  Work();
  Expect(client_->TaskFailed(task, Status(Code::kDataLoss, "bad"), -1));
  EXPECT_EQ(agent_.AwaitEnd(5), message::End::kFailed);
  EXPECT_EQ(agent_.told(5).trained.size(), 0) << "nothing of a failed task counts";
}

TEST_F(TaskTest, RecordsLeftUnreadAreAnError) {
  Task task;
  agent_.Send(Evaluate(4, 10, 20));
  EXPECT_EQ(Next(&task), Client::Found::kTask);
  Work(15);
  const Status status = client_->TaskDone(task, "batch", {1});
  EXPECT_EQ(status.code(), Code::kInternal);
  EXPECT_NE(status.message().find("record 15"), std::string::npos);
  EXPECT_EQ(agent_.AwaitEnd(4), message::End::kFailed);
}

TEST_F(TaskTest, RevokedWhileAtHand) {
  Task task;
  agent_.Send(Evaluate(4, 10, 20));
  EXPECT_EQ(Next(&task), Client::Found::kTask);
  agent_.Send(message::Revoked{4, "another has done it"});
  agent_.Send(Evaluate(5, 20, 30));
  agent_.Send(message::Orders{});
  while (!client_->attention()) std::this_thread::yield();
  Work();
  Task next;
  Expect(client_->TaskDone(task, "batch", {1}));
  EXPECT_EQ(Next(&next, 1), Client::Found::kTask);
  Work();
  Expect(client_->TaskDone(next, "batch", {1}));
  EXPECT_EQ(agent_.AwaitEnd(5), message::End::kFinished);
  EXPECT_EQ(agent_.told(5).trained.size(), 10);
  EXPECT_EQ(agent_.told(4).trained.size(), 0);
}

TEST_F(TaskTest, OrdersEndTheWait) {
  Task task;
  auto found = std::async(std::launch::async, [&] { return Next(&task); });
  agent_.Expect<message::Want>();
  agent_.Send(message::Orders{0, "", {}, message::Evaluated{2, 30, {0.5}}, 0});
  EXPECT_EQ(found.get(), Client::Found::kOrders);
  std::uint64_t version = 0;
  const Orders orders = client_->current_orders(&version);
  EXPECT_EQ(orders.evaluated->sums, std::vector<double>{0.5});
  Expect(client_->Metrics(*orders.evaluated, {{"accuracy", 0.25}}));
  EXPECT_EQ(agent_.Expect<message::Metrics>().values.at("accuracy"), 0.25);
  found = std::async(std::launch::async, [&] { return Next(&task, version); });
  agent_.Send(message::Finish{message::QueueName::kEvaluation});
  EXPECT_EQ(found.get(), Client::Found::kDone);
}

TEST_F(TaskTest, ADrainReleasesWhatWasNotBegun) {
  Task task;
  agent_.Send(Evaluate(4, 10, 20));
  agent_.Send(Evaluate(5, 20, 30));
  EXPECT_EQ(Next(&task), Client::Found::kTask);
  agent_.Send(message::Drain{"SIGTERM"});
  EXPECT_EQ(agent_.AwaitEnd(5), message::End::kReleased);
  Work();
  Expect(client_->TaskDone(task, "batch", {1}));
  EXPECT_EQ(agent_.AwaitEnd(4), message::End::kFinished);
  EXPECT_EQ(Next(&task), Client::Found::kDone);
}

}  // namespace
}  // namespace headrace::feed
