// Whole jobs: fake trainers over real clients, against the master's own ledger.
#include <gtest/gtest.h>

#include <future>

#include "feed/testing.h"

namespace headrace::feed {
namespace {

using testing::FakeTrainer;
using testing::LedgerAgent;

ledger::JobSpec JobOf(std::int64_t epochs) {
  ledger::JobSpec spec;
  spec.files = {{"a", 230}, {"b", 1}, {"c", 400}};
  spec.task_records = 30;
  spec.epochs = epochs;
  spec.lease_ms = 1000000;
  spec.straggler_ms = 1000000;
  spec.backoff_ms = 1;
  spec.max_backoff_ms = 2;
  return spec;
}

struct Worker {
  std::unique_ptr<LineListener> listener;
  std::thread agent;
  std::unique_ptr<Client> client;

  Worker(LedgerAgent* ledger, const std::string& stream) {
    const std::string path = testing::SocketPath();
    EXPECT_TRUE(LineListener::Listen(path, &listener).ok());
    agent = std::thread([this, ledger] { ledger->Serve(listener.get()); });
    Client::Options options;
    options.socket = path;
    options.stream = stream;
    options.tasks = stream + "-tasks";
    options.report_every = std::chrono::milliseconds(5);
    const Status status = Client::Connect(options, &client);
    EXPECT_TRUE(status.ok()) << status.ToString();
    client->Start();
  }
  ~Worker() {
    client.reset();
    agent.join();
  }
};

void Expect(const Status& status) {
  EXPECT_TRUE(status.ok()) << status.ToString();
}

TEST(ClientJobTest, EveryRecordOfEveryEpochOnce) {
  LedgerAgent agent(JobOf(3));
  Worker worker(&agent, "train");
  FakeTrainer::Options options;
  options.shuffle = 100;
  options.batch = 7;
  options.filtered = [](const auto& record) { return record.second % 10 == 3; };
  FakeTrainer trainer(worker.client.get(), options);
  Expect(trainer.Run());
  for (const auto& [record, count] : trainer.Counts()) EXPECT_EQ(count, 3) << record.second;
  const ledger::CoverageTotals totals = agent.Totals();
  EXPECT_EQ(totals.trained, static_cast<std::int64_t>(trainer.trained().size()));
  EXPECT_EQ(totals.trained + totals.filtered, 3 * 631);
  EXPECT_EQ(totals.pending, 0);
}

TEST(ClientJobTest, TheTailOfTwoWithHugeShuffles) {
  LedgerAgent agent(JobOf(2));
  Worker a(&agent, "a"), b(&agent, "b");
  FakeTrainer::Options options;
  options.shuffle = 1000000;
  options.stream = "a";
  FakeTrainer first(a.client.get(), options);
  options.stream = "b";
  FakeTrainer second(b.client.get(), options);
  auto done = std::async(std::launch::async, [&] { return first.Run(); });
  Expect(second.Run());
  Expect(done.get());
  std::map<FakeTrainer::Record, int> counts = first.Counts();
  for (const auto& [record, count] : second.Counts()) counts[record] += count;
  EXPECT_EQ(counts.size(), 631u);
  for (const auto& [record, count] : counts) EXPECT_EQ(count, 2);
  EXPECT_EQ(agent.Totals().trained, 2 * 631);
}

// The other trainer dies with records read and unread; its leases go to the one that stays.
TEST(ClientJobTest, OneOfTwoDies) {
  for (const int steps : {0, 1, 20}) {
    LedgerAgent agent(JobOf(1));
    Worker stays(&agent, "a");
    auto dies = std::make_unique<Worker>(&agent, "b");
    FakeTrainer::Options options;
    options.stream = "b";
    std::promise<void> dead, reached;
    auto wait = dead.get_future().share();
    FakeTrainer* trainer = nullptr;
    options.between_steps = [&, wait] {
      if (trainer->steps() != std::max(steps, 1)) return;
      reached.set_value();
      wait.wait();
    };
    FakeTrainer second(dies->client.get(), options);
    trainer = &second;
    auto ended = std::async(std::launch::async, [&] { return second.Run(); });
    reached.get_future().wait();
    FakeTrainer::Options other;
    other.stream = "a";
    other.shuffle = 1000;
    FakeTrainer first(stays.client.get(), other);
    auto done = std::async(std::launch::async, [&] { return first.Run(); });
    auto gone =
        std::async(std::launch::async, [&] { dies->client->Bye("", Status()).IgnoreError(); });
    gone.wait();
    RangeQueues::Get().Find("b")->Fail(Status(Code::kCancelled, "killed"));
    dead.set_value();
    EXPECT_FALSE(ended.get().ok());
    dies.reset();
    Expect(done.get());
    EXPECT_EQ(agent.Totals().trained, 631);
    EXPECT_EQ(agent.Totals().pending, 0);
  }
}

class BadRecordTest : public ::testing::TestWithParam<bool> {};

TEST_P(BadRecordTest, AloneInQuarantine) {
  ledger::JobSpec spec = JobOf(2);
  spec.max_quarantined = 3;
  LedgerAgent agent(spec);
  Worker worker(&agent, "train");
  FakeTrainer::Options options;
  options.shuffle = 80;
  options.knows_culprit = GetParam();
  options.bad = [](const auto& record) {
    return record.first == "c" && (record.second == 17 || record.second == 399);
  };
  FakeTrainer trainer(worker.client.get(), options);
  Expect(trainer.Run());
  EXPECT_EQ(agent.ledger().quarantine().size(), 2u);
  EXPECT_EQ(agent.Totals().pending, 0);
  EXPECT_EQ(agent.Totals().trained, 2 * 629);
  // Records of a failed iterator that were in no step are read again; none was in two.
  for (const auto& [record, count] : trainer.Counts()) EXPECT_EQ(count, 2);
}

INSTANTIATE_TEST_SUITE_P(Culprit, BadRecordTest, ::testing::Bool());

TEST(ClientJobTest, AFileThatCannotBeOpened) {
  ledger::JobSpec spec = JobOf(1);
  spec.max_quarantined = 1;
  LedgerAgent agent(spec);
  Worker worker(&agent, "train");
  FakeTrainer::Options options;
  options.shuffle = 80;
  options.bad = [](const auto& record) { return record.first == "b"; };
  FakeTrainer trainer(worker.client.get(), options);
  Expect(trainer.Run());
  ASSERT_EQ(agent.ledger().quarantine().size(), 1u);
  EXPECT_EQ(agent.ledger().quarantine()[0].error, "DATA_LOSS: cannot open b");
  EXPECT_EQ(agent.Totals().trained, 630);
}

TEST(ClientJobTest, TooManyBadRecordsFailTheJob) {
  LedgerAgent agent(JobOf(1));
  Worker worker(&agent, "train");
  FakeTrainer::Options options;
  options.bad = [](const auto& record) { return record.first == "b"; };
  FakeTrainer trainer(worker.client.get(), options);
  EXPECT_EQ(trainer.Run().code(), Code::kFailedPrecondition);
}

}  // namespace
}  // namespace headrace::feed
