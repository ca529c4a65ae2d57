#include <gtest/gtest.h>

#include "ledger/testing.h"

namespace headrace::ledger {
namespace {

using testing::Master;
using testing::SmallJob;

JobSpec WithEvaluation() {
  JobSpec spec = SmallJob();
  spec.evaluation_files = {{"eval.rec", 6}};
  spec.evaluation_task_records = 3;
  return spec;
}

TEST(Evaluation, EveryNSteps) {
  JobSpec spec = WithEvaluation();
  spec.evaluation_every_steps = 10;
  Master master(spec);
  EXPECT_TRUE(master.Must(Progress{9, 1}).evaluations_due.empty());
  EXPECT_EQ(master.Must(Progress{21, 1}).evaluations_due, (std::vector<std::int64_t>{1}));
  EXPECT_TRUE(master.Must(Progress{35, 1}).evaluations_due.empty()) << "one waits already";
  EXPECT_TRUE(master.Must(Progress{30, 1}).evaluations_due.empty()) << "steps do not go back";
  EXPECT_EQ(master.Try(Progress{50, 2}).code(), Code::kAborted);
  // Not leased before its model version is there; then before the main work.
  EXPECT_EQ(master.Lease(1, true).type, TaskType::kTrain);
  master.Must(PinEvaluation{1, 21});
  EXPECT_EQ(master.Try(PinEvaluation{1, 22}).code(), Code::kFailedPrecondition);
  EXPECT_EQ(master.Try(PinEvaluation{5, 22}).code(), Code::kNotFound);
  const Grant grant = master.Lease(1, true);
  EXPECT_EQ(grant.type, TaskType::kEvaluate);
  EXPECT_EQ(grant.model_version, 21);
  EXPECT_EQ(grant.round, 1);
  EXPECT_EQ(master.Lease(2).type, TaskType::kTrain) << "did not ask for evaluation";
}

TEST(Evaluation, EveryTSecondsFromTheEndOfTheRoundBefore) {
  JobSpec spec = WithEvaluation();
  spec.evaluation_every_ms = 1000;
  spec.lease_ms = 100000;
  Master master(spec);
  EXPECT_TRUE(master.TickAt(999).evaluations_due.empty());
  EXPECT_EQ(master.TickAt(1000).evaluations_due.size(), 1u);
  master.Must(PinEvaluation{1, 7});
  EXPECT_TRUE(master.TickAt(9000).evaluations_due.empty());
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(master.Finish(1, master.Lease(1, true), {3}).ok());
  EXPECT_EQ(master.effects.evaluations_done, (std::vector<std::int64_t>{1}));
  EXPECT_TRUE(master.TickAt(9999).evaluations_due.empty());
  EXPECT_EQ(master.TickAt(10000).evaluations_due.size(), 1u);
}

TEST(Evaluation, AtTheEndBeforeDone) {
  JobSpec spec = WithEvaluation();
  spec.evaluation_at_end = true;
  Master master(spec);
  ASSERT_TRUE(master.Finish(1, master.Lease(1)).ok());
  ASSERT_TRUE(master.Finish(1, master.Lease(1)).ok());
  EXPECT_EQ(master.effects.evaluations_due, (std::vector<std::int64_t>{1}));
  EXPECT_EQ(master.Ask(1, 1, true).answer, Answer::kWait);
  master.Must(PinEvaluation{1, 2});
  ASSERT_TRUE(master.Finish(1, master.Lease(1, true), {3, 0.5}).ok());
  const Grant last = master.Lease(2, true);
  EXPECT_EQ(master.Ask(1, 1, true).answer, Answer::kWait);
  EXPECT_EQ(master.Finish(2, last, {3}).code(), Code::kInvalidArgument) << "another number of sums";
  ASSERT_TRUE(master.Finish(2, last, {3, 0.25}).ok());
  EXPECT_EQ(master.ledger.rounds().at(1).pool.metrics, (std::vector<double>{6, 0.75}));
  EXPECT_EQ(master.Ask(1, 1, true).answer, Answer::kDone);
}

TEST(Evaluation, AResultCountsOnce) {
  JobSpec spec = SmallJob();
  spec.type = TaskType::kEvaluate;
  spec.task_records = 20;
  spec.model_version = 4;
  Master master(spec);
  const Grant one = master.Lease(1);
  EXPECT_EQ(one.model_version, 4);
  master.now = 200;
  const Grant backup = master.Lease(2);
  ASSERT_TRUE(backup.backup);
  ASSERT_TRUE(master.Finish(2, backup, {20}).ok());
  EXPECT_TRUE(master.Finish(2, backup, {20}).ok()) << "repeated: no error";
  EXPECT_EQ(master.Finish(1, one, {20}).code(), Code::kAborted);
  EXPECT_EQ(master.ledger.main().metrics, (std::vector<double>{20}));
  EXPECT_EQ(master.ledger.verdict(), Verdict::kDone);
}

TEST(Evaluation, AResultHoldsForAllItsRecordsOrNone) {
  JobSpec spec = SmallJob();
  spec.type = TaskType::kEvaluate;
  Master master(spec);
  const Grant grant = master.Lease(1);
  Report report = Master::ReportOf(1, grant, End::kOpen);
  report.acknowledged = {{{0, 4}, Outcome::kTrained, ""}};
  report.metrics = {4};
  master.Must(report);
  master.Must(report);
  EXPECT_FALSE(master.effects.changed);
  EXPECT_EQ(master.Finish(1, grant, {10}).code(), Code::kAborted);
  EXPECT_EQ(master.ledger.main().metrics, (std::vector<double>{4}));
}

}  // namespace
}  // namespace headrace::ledger
