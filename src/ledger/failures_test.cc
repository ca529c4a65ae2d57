// Bad records that are counted before they are known, and jobs that end for it.
#include "ledger/failures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ledger/testing.h"

namespace headrace::ledger {
namespace {

using ::testing::HasSubstr;
using testing::Master;
using testing::SmallJob;

TEST(Failures, AWholeAndItsPartsAreOneUntilTwoPartsFailed) {
  Failures failures;
  const auto after = [&](Range range) {
    failures.Add(range);
    return failures.size();
  };
  EXPECT_EQ(after({0, 16}), 1);
  EXPECT_EQ(after({8, 16}), 1) << "a part of it";
  EXPECT_EQ(after({8, 16}), 1) << "again";
  EXPECT_EQ(after({0, 8}), 2) << "the other part";
  EXPECT_EQ(after({0, 16}), 2) << "known of its parts";
  EXPECT_EQ(after({4, 12}), 2) << "of which it is not known";
  EXPECT_EQ(after({12, 13}), 2);
  EXPECT_EQ(after({8, 12}), 3);
  EXPECT_EQ(after({16, 17}), 4);
  failures.Clear();
  EXPECT_EQ(failures.size(), 0);
  EXPECT_EQ(after({8, 16}), 1);
  EXPECT_EQ(after({0, 16}), 1) << "known of a part of it";
}

JobSpec Job(std::int64_t records, std::int64_t max_quarantined) {
  JobSpec spec = SmallJob();
  spec.files = {{"a.rec", records}};
  spec.task_records = 100;
  spec.max_quarantined = max_quarantined;
  return spec;
}

// Until nothing is left or the job has failed: what holds a bad record fails. How many leases.
template <class IsBad>
int RunJob(Master* master, const IsBad& is_bad) {
  int leases = 0;
  for (; master->ledger.verdict() == Verdict::kRunning && leases < 100000; ++leases) {
    const Effects got = master->Ask(1);
    if (got.grants.empty()) break;
    const Grant& grant = got.grants[0];
    bool bad = false;
    for (const Range& range : grant.ranges) {
      for (std::int64_t i = range.begin; i < range.end; ++i) bad |= is_bad(i);
    }
    EXPECT_TRUE((bad ? master->Failed(1, grant) : master->Finish(1, grant)).ok());
  }
  return leases;
}

TEST(Failures, AJobWhoseEveryRecordFailsEndsSoon) {
  for (const std::int64_t allowed : {0, 7, 20}) {
    SCOPED_TRACE(allowed);
    Master master(Job(100000, allowed));
    EXPECT_LT(RunJob(&master, [](std::int64_t) { return true; }), 3 * (allowed + 10));
    EXPECT_EQ(master.ledger.verdict(), Verdict::kFailed);
    EXPECT_THAT(master.ledger.failure(), HasSubstr("nothing was trained: "));
    EXPECT_THAT(master.ledger.failure(), HasSubstr("a.rec, records "));
    EXPECT_THAT(master.ledger.failure(), HasSubstr(": bad bytes"));
    EXPECT_TRUE(master.ledger.leases().all().empty());
  }
}

TEST(Failures, SmallJobsToo) {
  Master master(Job(10, 0));
  RunJob(&master, [](std::int64_t) { return true; });
  EXPECT_EQ(master.ledger.verdict(), Verdict::kFailed);
}

TEST(Failures, AsManyAsAreAllowedAreFound) {
  for (const std::int64_t bad : {1, 9, 40}) {
    SCOPED_TRACE(bad);
    Master master(Job(1000, bad));
    // At the beginning of the job, one beside the other.
    RunJob(&master, [&](std::int64_t i) { return i < bad; });
    EXPECT_EQ(master.ledger.verdict(), Verdict::kDoneWithQuarantined);
    EXPECT_EQ(master.ledger.Totals().trained, 1000 - bad);
    EXPECT_EQ(master.ledger.Totals().quarantined, bad);
  }
}

TEST(Failures, OnceAnythingWasTrainedTheRecordsAreLookedFor) {
  Master master(Job(1000, 0));
  RunJob(&master, [](std::int64_t i) { return i >= 100; });
  EXPECT_EQ(master.ledger.verdict(), Verdict::kFailed);
  EXPECT_THAT(master.ledger.failure(), HasSubstr("more than 0 records in quarantine; the last is"));
}

TEST(Failures, AnEvaluationBesideATraining) {
  JobSpec spec = Job(10, 0);
  spec.evaluation_files = {{"e.rec", 1000}};
  spec.evaluation_task_records = 100;
  spec.evaluation_at_end = true;
  Master master(spec);
  ASSERT_TRUE(master.Finish(1, master.Lease(1)).ok());
  master.Must(PinEvaluation{1, 5});
  int leases = 0;
  for (; master.ledger.verdict() == Verdict::kRunning && leases < 1000; ++leases) {
    ASSERT_TRUE(master.Failed(1, master.Lease(1, /*evaluation=*/true)).ok());
  }
  EXPECT_LT(leases, 30);
  EXPECT_THAT(master.ledger.failure(), HasSubstr("nothing was evaluated: "));
  EXPECT_THAT(master.ledger.failure(), HasSubstr("e.rec, records "));
}

// It goes to quarantine by itself in the next epoch, and is the last there: the evaluation at the
// end is still to come, and nobody may leave.
TEST(Failures, ARecordThatIsKnownToBeBadIsTheLast) {
  JobSpec spec = Job(2, 1);
  spec.task_records = 1;
  spec.epochs = 2;
  spec.evaluation_files = {{"e.rec", 1}};
  spec.evaluation_at_end = true;
  Master master(spec);
  int leases = 0;
  for (;; ++leases) {
    ASSERT_LT(leases, 10);
    const Effects got = master.Ask(1);
    if (got.grants.empty()) {
      EXPECT_NE(got.answer, Answer::kDone);
      break;
    }
    const bool bad = got.grants[0].ranges[0].begin == 1;
    ASSERT_TRUE((bad ? master.Failed(1, got.grants[0]) : master.Finish(1, got.grants[0])).ok());
  }
  EXPECT_EQ(master.ledger.quarantine().size(), 1u);
  EXPECT_TRUE(master.ledger.main().Complete(master.ledger.line(0)));
  EXPECT_EQ(master.ledger.verdict(), Verdict::kRunning);
}

}  // namespace
}  // namespace headrace::ledger
