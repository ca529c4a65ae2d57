// Records that kill whoever reads them.
#include <gtest/gtest.h>

#include <deque>

#include "ledger/testing.h"

namespace headrace::ledger {
namespace {

using testing::Master;
using testing::SmallJob;

JobSpec Killing() {
  JobSpec spec = SmallJob();
  spec.files = {{"a.rec", 60}};
  spec.max_losses = 4;
  spec.max_quarantined = 1;
  return spec;
}

// One worker after another, each with leases in hand beside the one that it reads, until the job
// ends. How many died.
int RunJob(Master* master, std::int64_t bad, const Position* goes_back) {
  int deaths = 0;
  for (std::uint64_t worker = 10; master->ledger.verdict() == Verdict::kRunning; ++worker) {
    EXPECT_LT(deaths, 50);
    if (deaths >= 50) break;
    master->Must(Join{worker, "w"});
    if (goes_back != nullptr) master->Must(RewindTo{*goes_back});
    std::deque<Grant> held;
    while (true) {
      master->now += 50;
      const std::int64_t wanted = 3 - static_cast<std::int64_t>(held.size());
      for (const Grant& grant : master->Ask(worker, wanted).grants) held.push_back(grant);
      if (held.empty() && master->ledger.verdict() == Verdict::kRunning) continue;
      if (held.empty()) break;
      if (Covers(held.front().ranges, {bad, bad + 1})) {
        master->Must(Disconnect{worker});
        ++deaths;
        break;
      }
      EXPECT_TRUE(master->Finish(worker, held.front()).ok());
      held.pop_front();
    }
  }
  return deaths;
}

void ExpectFound(const Master& master, std::int64_t bad) {
  EXPECT_EQ(master.ledger.verdict(), Verdict::kDoneWithQuarantined);
  EXPECT_EQ(master.ledger.Totals().trained, 59);
  ASSERT_EQ(master.ledger.quarantine().size(), 1u);
  EXPECT_EQ(master.ledger.quarantine()[0].index, bad);
}

TEST(Losses, TheRecordIsFoundAndNothingThatWasHeldBesideIt) {
  for (const std::int64_t bad : {0, 13, 27, 59}) {
    SCOPED_TRACE(bad);
    Master master(Killing());
    // Four with the task, at most one for each half, two more alone.
    EXPECT_LE(RunJob(&master, bad, nullptr), 4 + 4 + 2);
    ExpectFound(master, bad);
  }
}

TEST(Losses, ARecordThatIsAloneIsNotBlamedAtOnce) {
  Master master(Killing());
  // Of ten, five, three and two records, and two with the record.
  EXPECT_EQ(RunJob(&master, 13, nullptr), 4 + 1 + 1 + 1 + 2);
}

TEST(Losses, GoingBackToACheckpointDoesNotForgetThem) {
  for (const std::int64_t bad : {0, 13, 27, 59}) {
    SCOPED_TRACE(bad);
    Master master(Killing());
    const Position begin = master.ledger.TakePosition();
    EXPECT_LE(RunJob(&master, bad, &begin), 4 + 4 + 2);
    ExpectFound(master, bad);
    EXPECT_EQ(master.ledger.Totals().pending, 0);
  }
}

TEST(Losses, WhatWasLostOftenIsLeasedToAWorkerThatHasNothingElse) {
  JobSpec spec = Killing();
  spec.files = {{"a.rec", 30}};
  Master master(spec);
  for (const std::uint64_t worker : {10, 11}) {
    master.Must(Join{worker, "w"});
    EXPECT_EQ(master.Lease(worker).ranges, (Ranges{{0, 10}}));
    master.Must(Disconnect{worker});
  }
  master.now += 1000;
  const Grant others = master.Lease(1);  // has nothing, so it gets it
  EXPECT_TRUE(others.isolate);
  EXPECT_EQ(others.ranges, (Ranges{{0, 10}}));
  EXPECT_EQ(master.Ask(1, 5).answer, Answer::kFlush) << "and nothing beside it";
  EXPECT_EQ(master.Lease(2).ranges, (Ranges{{10, 20}})) << "others go on";
  ASSERT_TRUE(master.Finish(1, others).ok());
  EXPECT_EQ(master.Lease(1).ranges, (Ranges{{20, 30}}));
}

TEST(Losses, ItComesBeforeAllElse) {
  JobSpec spec = Killing();
  spec.files = {{"a.rec", 40}};
  Master master(spec);
  const Grant first = master.Lease(1);
  for (const std::uint64_t worker : {10, 11}) {
    master.Must(Join{worker, "w"});
    EXPECT_EQ(master.Lease(worker).ranges, (Ranges{{10, 20}}));
    master.Must(Disconnect{worker});
  }
  master.now += 100;
  EXPECT_EQ(master.Ask(1).answer, Answer::kFlush) << "it has something";
  ASSERT_TRUE(master.Finish(1, first).ok());
  EXPECT_EQ(master.Lease(1).ranges, (Ranges{{10, 20}}));
}

TEST(Losses, WhoEvaluatesIsNotLostWithWhatStoodStill) {
  JobSpec spec = Killing();
  spec.evaluation_files = {{"e.rec", 1}};
  spec.evaluation_every_steps = 5;
  Master master(spec);
  Position begin = master.ledger.TakePosition();
  master.Must(Progress{5, 1});
  master.Must(PinEvaluation{1, 5});
  begin.step = 5;
  std::uint64_t worker = 10;
  for (int i = 0; i < 8 && master.ledger.quarantine().empty(); ++i) {
    master.Must(Join{++worker, "w"});
    master.now += 20000;
    const Grant standing = master.Lease(worker);
    EXPECT_FALSE(standing.isolate) << i;
    EXPECT_EQ(master.Lease(worker, /*evaluation=*/true).round, 1) << i;
    master.Must(Disconnect{worker});
    master.Must(RewindTo{begin});
  }
  ASSERT_EQ(master.ledger.quarantine().size(), 1u);
  EXPECT_TRUE(master.ledger.quarantine()[0].evaluation);
}

// With and without a report that makes it suspect.
TEST(Losses, WhereNobodyLooksForTheRecordTheJobIsGivenUp) {
  for (const bool suspect : {false, true}) {
    SCOPED_TRACE(suspect);
    JobSpec spec = Killing();
    spec.max_losses = 0;
    Master master(spec);
    if (suspect) {
      ASSERT_TRUE(master.Failed(1, master.Lease(1)).ok());
    }
    int deaths = 0;
    for (std::uint64_t worker = 10; master.ledger.verdict() == Verdict::kRunning; ++worker) {
      ASSERT_LE(++deaths, 20);
      master.Must(Join{worker, "w"});
      master.now += 1000;
      EXPECT_EQ(master.Lease(worker).ranges, (Ranges{{0, 10}}));
      master.Must(Disconnect{worker});
    }
    EXPECT_EQ(deaths, 20);
    EXPECT_EQ(master.ledger.failure(),
              "a.rec, records [0, 10): 20 workers were lost while they held it, and max_losses 0 "
              "says that nobody looks for the record that is to blame");
  }
}

TEST(Losses, NoEpochBeginsWithThem) {
  JobSpec spec = Killing();
  spec.files = {{"a.rec", 10}};
  spec.epochs = 2;
  spec.strict_epochs = true;
  Master master(spec);
  RewindTo begin{master.ledger.TakePosition()};
  ASSERT_TRUE(master.Finish(1, master.Lease(1)).ok());
  EXPECT_EQ(master.Lease(1).epoch, 1);
  master.Must(Disconnect{1});
  master.Must(begin);
  const Grant first = master.Lease(2);
  EXPECT_EQ(first.epoch, 0);
  EXPECT_TRUE(master.Ask(3).grants.empty());
  ASSERT_TRUE(master.Finish(2, first).ok());
  const Grant second = master.Lease(2);
  EXPECT_EQ(second.epoch, 1);
  ASSERT_TRUE(master.Finish(2, second).ok());
  EXPECT_EQ(master.ledger.verdict(), Verdict::kDone);
}

}  // namespace
}  // namespace headrace::ledger
