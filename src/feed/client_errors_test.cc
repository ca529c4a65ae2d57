// Iterators that fail: which lease, and which record, is to blame.
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
  Expect(client_->IteratorFailed(Status(Code::kDataLoss, "bad")));
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

// The source knows which record it cannot read, whatever the ops behind it make of the error.
TEST_F(ClientTest, ARecordThatCannotBeReadIsNamedAtOnce) {
  Begin(ModelKind::kNone, 4);
  FakeTrainer::Options options;
  options.shuffle = 25;
  options.unreadable = [](const auto& record) { return record.second == 13; };
  for (const int i : {0, 1}) {
    agent_.Send(LeaseOf(static_cast<std::uint64_t>(i) + 1, i * 10, i * 10 + 10));
  }
  agent_.Send(message::Flush{});
  auto trained = Train(options);
  EXPECT_EQ(agent_.AwaitEnd(2), message::End::kFailed);
  EXPECT_EQ(agent_.told(2).culprit, 13);
  EXPECT_EQ(agent_.told(2).error, "DATA_LOSS: wrong checksum");
  EXPECT_EQ(agent_.AwaitEnd(1), message::End::kFinished);
  EXPECT_EQ(trainer_->failures(), 1);
  agent_.Send(message::Finish{});
  Expect(trained.get());
}

TEST_F(ClientTest, AnErrorOfNoLeaseIsTheTrainers) {
  Begin();
  const Status error(Code::kInternal, "no such function");
  for (int i = 0; i < 3; ++i) Expect(client_->IteratorFailed(error));
  EXPECT_EQ(client_->IteratorFailed(error).ToString(), error.ToString());
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

}  // namespace
}  // namespace headrace::feed
