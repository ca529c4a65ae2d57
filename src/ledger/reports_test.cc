// Acknowledging, failing, halving, quarantine.
#include <gtest/gtest.h>

#include <set>

#include "ledger/testing.h"

namespace headrace::ledger {
namespace {

using testing::Master;
using testing::SmallJob;

TEST(Reports, EveryOutcomeIsCounted) {
  Master master;
  const Grant grant = master.Lease(1);
  Report report = Master::ReportOf(1, grant, End::kFinished);
  report.acknowledged = {{{4, 9}, Outcome::kTrained, ""},
                         {{0, 2}, Outcome::kFiltered, ""},
                         {{9, 10}, Outcome::kDropped, "batch"},
                         {{2, 4}, Outcome::kTrained, ""}};
  report.repeated = {{4, 5}};
  master.Must(report);
  const FileCoverage file = master.ledger.Coverage()[0];
  EXPECT_EQ(file.trained, 7);
  EXPECT_EQ(file.filtered, 2);
  EXPECT_EQ(file.dropped.at("batch"), 1);
  EXPECT_EQ(file.pending, 10);
  EXPECT_EQ(file.possibly_repeated, (Ranges{{4, 5}}));
  // The answer was lost: the same again is no error, and nothing new.
  EXPECT_TRUE(master.Try(report).ok());
  EXPECT_FALSE(master.effects.changed);
}

TEST(Reports, NonsenseIsRefusedAndChangesNothing) {
  Master master;
  const Grant grant = master.Lease(1);
  const std::uint64_t digest = master.ledger.Digest();
  const auto refused = [&](Code code, auto change) {
    Report report = Master::ReportOf(1, grant, End::kOpen);
    change(&report);
    EXPECT_EQ(master.Try(report).code(), code) << master.Try(report).ToString();
    EXPECT_EQ(master.ledger.Digest(), digest);
  };
  refused(Code::kInvalidArgument, [](Report* r) { r->acknowledged = {{{5, 11}, {}, ""}}; });
  refused(Code::kInvalidArgument, [](Report* r) { r->acknowledged = {{{-1, 3}, {}, ""}}; });
  refused(Code::kInvalidArgument, [](Report* r) { r->acknowledged = {{{3, 3}, {}, ""}}; });
  refused(Code::kInvalidArgument, [](Report* r) {
    r->acknowledged = {{{3, 6}, {}, ""}, {{5, 7}, {}, ""}};
  });
  refused(Code::kInvalidArgument, [](Report* r) {
    r->acknowledged = {{{3, 6}, {}, ""}};
    r->returned = {{4, 5}};
  });
  refused(Code::kInvalidArgument, [](Report* r) {
    r->acknowledged = {{{3, 6}, Outcome::kDropped, ""}};
  });
  refused(Code::kInvalidArgument, [](Report* r) {
    r->end = End::kFailed;
    r->culprit = 10;
  });
  refused(Code::kInvalidArgument, [](Report* r) {
    r->acknowledged = {{{3, 6}, {}, ""}};
    r->metrics = {1};
  });
  refused(Code::kFailedPrecondition, [](Report* r) {
    r->acknowledged = {{{3, 10}, {}, ""}};
    r->end = End::kFinished;
  });
  refused(Code::kPermissionDenied, [](Report* r) { r->worker = 2; });
  refused(Code::kAborted, [](Report* r) { r->token = 77; });
}

TEST(Reports, DrainingHandsBackWithoutBlame) {
  Master master;
  const Grant grant = master.Lease(1);
  ASSERT_TRUE(master.Trained(1, grant, {0, 4}, End::kReleased).ok());
  const Grant rest = master.Lease(2);
  EXPECT_EQ(rest.ranges, (Ranges{{4, 10}}));
  EXPECT_FALSE(rest.isolate);
  EXPECT_TRUE(master.ledger.Coverage()[0].possibly_repeated.empty());
}

TEST(Reports, TrainedAfterItWasHandedBackIsNamed) {
  Master master;
  const Grant grant = master.Lease(1);
  Report report = Master::ReportOf(1, grant, End::kOpen);
  report.returned = {{8, 10}};
  master.Must(report);
  ASSERT_TRUE(master.Trained(1, grant, {8, 9}).ok());
  EXPECT_EQ(master.ledger.Coverage()[0].possibly_repeated, (Ranges{{8, 9}}));
  EXPECT_EQ(master.ledger.Totals().trained, 0);
}

// Runs the job to its end with a worker that fails on `bad`; returns the failures reported.
int RunWithBad(Master* master, const std::set<std::int64_t>& bad, bool knows) {
  int failures = 0;
  for (int i = 0; i < 1000; ++i) {
    const Effects got = master->Ask(1);
    if (got.answer == Answer::kDone || got.answer == Answer::kFailed) return failures;
    if (got.grants.empty()) {
      master->now += 20000;
      continue;
    }
    const Grant& grant = got.grants[0];
    std::int64_t culprit = -1;
    for (const Range& range : grant.ranges) {
      const auto it = bad.lower_bound(range.begin);
      if (it != bad.end() && *it < range.end) culprit = *it;
    }
    if (culprit < 0) {
      EXPECT_TRUE(master->Finish(1, grant).ok());
    } else {
      ++failures;
      EXPECT_TRUE(master->Failed(1, grant, knows ? culprit : -1).ok());
    }
  }
  ADD_FAILURE() << "the job does not end";
  return failures;
}

TEST(Quarantine, HalvingLeavesTheBadRecordAlone) {
  for (const bool knows : {false, true}) {
    JobSpec spec = SmallJob();
    spec.max_quarantined = 2;
    spec.epochs = 2;
    Master master(spec);
    const int failures = RunWithBad(&master, {3, 17}, knows);
    EXPECT_EQ(failures, knows ? 6 : (3 + 3 + 3) + (3 + 2 + 3)) << "all, halves, alone";
    EXPECT_EQ(master.ledger.verdict(), Verdict::kDoneWithQuarantined);
    ASSERT_EQ(master.ledger.quarantine().size(), 2u) << "found once, left out of the next epoch";
    EXPECT_EQ(master.ledger.quarantine()[0].error, "bad bytes");
    for (const FileCoverage& file : master.ledger.Coverage()) {
      EXPECT_EQ(file.trained, 18);
      EXPECT_EQ(file.quarantined, 2);
    }
  }
}

TEST(Quarantine, OneMoreThanAllowedFailsTheJob) {
  JobSpec spec = SmallJob();
  spec.max_quarantined = 1;
  Master master(spec);
  RunWithBad(&master, {3, 17}, true);
  EXPECT_EQ(master.ledger.verdict(), Verdict::kFailed);
  EXPECT_NE(master.ledger.failure().find("a.rec, record 17: bad bytes"), std::string::npos)
      << master.ledger.failure();
  EXPECT_TRUE(master.ledger.leases().all().empty());
}

TEST(Quarantine, FailedTasksBackOffAndComeAlone) {
  JobSpec spec = SmallJob();
  spec.backoff_ms = 100;
  Master master(spec);
  ASSERT_TRUE(master.Failed(1, master.Lease(1)).ok());
  EXPECT_EQ(master.Lease(1).ranges, (Ranges{{10, 20}})) << "others are not held up";
  EXPECT_EQ(master.Ask(2).answer, Answer::kWait);
  master.now = 100;
  const Effects got = master.Ask(2, 5);
  ASSERT_EQ(got.grants.size(), 1u);
  EXPECT_TRUE(got.grants[0].isolate);
  EXPECT_EQ(got.grants[0].ranges, (Ranges{{0, 10}}));
}

TEST(Quarantine, ATaskThatKillsEveryWorkerIsFound) {
  JobSpec spec = SmallJob();
  spec.files = {{"a.rec", 4}};
  spec.task_records = 4;
  spec.max_losses = 3;
  spec.max_quarantined = 1;
  Master master(spec);
  std::uint64_t worker = 10;
  for (int i = 0; i < 100 && master.ledger.verdict() == Verdict::kRunning; ++i) {
    master.now += 20000;
    master.Must(Join{++worker, "w"});
    const Grant grant = master.Lease(worker);
    if (Covers(grant.ranges, {2, 3})) {
      master.Must(Disconnect{worker});
    } else {
      ASSERT_TRUE(master.Finish(worker, grant).ok());
    }
  }
  EXPECT_EQ(master.ledger.verdict(), Verdict::kDoneWithQuarantined);
  EXPECT_EQ(master.ledger.Totals().trained, 3);
  EXPECT_EQ(master.ledger.quarantine().at(0).index, 2);
}

}  // namespace
}  // namespace headrace::ledger
