// Tasks of evaluation and prediction, one at a time.
#include <gtest/gtest.h>

#include <future>

#include "feed/client.h"
#include "feed/client_testing.h"

namespace headrace::feed {
namespace {

using testing::ClientTest;
using testing::Expect;
using testing::FakeTrainer;
using testing::LeaseOf;
using Records = ledger::Ranges;

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
      slot_ = range.slot;
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

  std::int64_t slot_ = 0;  // that Work() read last
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
  Expect(client_->TaskFailed(task, Status(Code::kDataLoss, "bad")));
  EXPECT_EQ(agent_.AwaitEnd(5), message::End::kFailed);
  EXPECT_EQ(agent_.told(5).trained.size(), 0) << "nothing of a failed task counts";
}

TEST_F(TaskTest, ARecordThatCannotBeReadIsNamed) {
  Task task;
  agent_.Send(Evaluate(4, 10, 20));
  EXPECT_EQ(Next(&task), Client::Found::kTask);
  Work(13);
  Accounts::Get().Find("tasks")->ReadFailed(Identity::Make(slot_, 13),
                                            Status(Code::kDataLoss, "wrong checksum"));
  Expect(client_->TaskFailed(task, Status(Code::kDataLoss, "an op said")));
  EXPECT_EQ(agent_.AwaitEnd(4), message::End::kFailed);
  EXPECT_EQ(agent_.told(4).culprit, 13);
  EXPECT_EQ(agent_.told(4).error, "DATA_LOSS: wrong checksum");
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
