// Holds, orders, and when a job is over.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "master/coordinator_testing.h"

namespace headrace::master {
namespace {

using testing::EvaluatingJob;
using testing::kLeaseMs;
using testing::TestJob;
using testing::World;

// --- evaluation --------------------------------------------------------------------------------

TEST(Evaluation, PinsTheStepAtWhichAllStandAndAsksForMetrics) {
  World world(EvaluatingJob(ModelKind::kShared));
  const auto one = world.Train("w-0"), two = world.Train("w-1");
  world.Say(one, 10);
  const std::uint64_t hold = world.Hold(one);
  EXPECT_EQ(world.OrdersFor(one).hold_reason, "evaluation of step 10");
  world.Say(one, 10, hold);
  EXPECT_FALSE(world.coordinator->MayLease(two).evaluation);
  world.Say(two, 12, hold);
  const ledger::Round& round = world.state.ledger().rounds().at(1);
  EXPECT_EQ(round.state, ledger::RoundState::kOpen);
  EXPECT_EQ(round.model_version, 12);
  EXPECT_FALSE(world.coordinator->MayLease(two).main);
  ASSERT_TRUE(world.coordinator->MayLease(two).evaluation);
  const ledger::Effects effects = world.Lease(two, false, true);
  ASSERT_EQ(effects.grants.size(), 1u);
  EXPECT_EQ(world.coordinator->AnswerFor(ledger::Answer::kFlush), ledger::Answer::kWait);
  world.Finish(two, effects.grants[0], {20, 5});

  const Orders orders = world.OrdersFor(one);
  ASSERT_TRUE(orders.evaluated.has_value());
  EXPECT_EQ(orders.evaluated->round, 1);
  EXPECT_EQ(orders.evaluated->step, 12);
  EXPECT_EQ(orders.evaluated->sums, (std::vector<double>{20, 5}));
  EXPECT_FALSE(world.OrdersFor(two).evaluated.has_value());
  EXPECT_EQ(orders.hold, hold);
  world.Leave(one, "died");
  EXPECT_TRUE(world.OrdersFor(two).evaluated.has_value());
  world.Must(Measured{1, 12, {{"accuracy", 0.25}}});
  world.Settle();
  EXPECT_EQ(world.Hold(two), 0u);
}

TEST(Evaluation, SharesOneHoldWithTheCheckpoint) {
  Job job = EvaluatingJob(ModelKind::kShared);
  job.checkpoint_every_steps = 10;
  World world(job);
  const auto one = world.Train("w-0");
  world.Say(one, 10);
  const std::uint64_t hold = world.Hold(one);
  EXPECT_EQ(world.OrdersFor(one).hold_reason, "checkpoint, evaluation of step 10");
  world.Say(one, 10, hold);
  ASSERT_TRUE(world.OrdersFor(one).save.has_value());
  EXPECT_EQ(world.state.ledger().rounds().at(1).state, ledger::RoundState::kDue);
  world.Save(one);
  EXPECT_EQ(world.state.ledger().rounds().at(1).state, ledger::RoundState::kOpen);
  EXPECT_EQ(world.Hold(one), hold);
}

TEST(Evaluation, WithoutSumsNobodyIsAsked) {
  World world(EvaluatingJob(ModelKind::kNone));
  const auto one = world.Train("w-0");
  world.Say(one, 10);
  world.Say(one, 10, world.Hold(one));
  world.Finish(one, world.Lease(one, false, true).grants.at(0));
  EXPECT_EQ(world.Hold(one), 0u);
}

TEST(Evaluation, ARoundOfARewoundModelWaitsForItsStep) {
  World world(EvaluatingJob(ModelKind::kLocal));
  const auto one = world.Train("w-0");
  world.Restore(one);
  world.Say(one, 10);
  world.Say(one, 10, world.Hold(one));
  ASSERT_EQ(world.state.ledger().rounds().at(1).state, ledger::RoundState::kOpen);
  world.Leave(one, "died");
  const auto two = world.Join("w-0");
  world.Restore(two);
  world.coordinator->Leased(two);
  EXPECT_EQ(world.Hold(two), 0u);
  world.Say(two, 9);
  EXPECT_EQ(world.Hold(two), 0u);
  world.Say(two, 10);
  EXPECT_NE(world.Hold(two), 0u);
  EXPECT_EQ(world.state.ledger().rounds().size(), 1u);
}

TEST(Evaluation, AnEvaluationJobEndsWithItsMetrics) {
  Job job = TestJob(ModelKind::kNone);
  job.type = JobType::kEvaluation;
  job.spec.type = ledger::TaskType::kEvaluate;
  job.spec.model_version = 7;
  World world(job);
  const auto one = world.Train("w-0");
  for (const ledger::Grant& grant : world.Lease(one, true, true).grants) {
    world.Finish(one, grant, {10});
  }
  EXPECT_EQ(world.coordinator->job_state(), JobState::kRunning);
  EXPECT_EQ(world.coordinator->AnswerFor(ledger::Answer::kDone), ledger::Answer::kWait);
  world.Say(one, 0, world.Hold(one));
  const Orders orders = world.OrdersFor(one);
  ASSERT_TRUE(orders.evaluated.has_value());
  EXPECT_EQ(orders.evaluated->round, 0);
  EXPECT_EQ(orders.evaluated->step, 7);
  EXPECT_EQ(orders.evaluated->sums, std::vector<double>{40});
  world.Must(Measured{0, 7, {}});
  world.Settle();
  EXPECT_EQ(world.coordinator->job_state(), JobState::kDone);
}

// --- the end -------------------------------------------------------------------------------------

TEST(JobEnd, StopSavesThenSendsAllAway) {
  World world(TestJob(ModelKind::kLocal));
  const auto one = world.Train("w-0");
  world.Restore(one);
  world.Say(one, 3);
  world.Must(StopAsked{"enough", false});
  world.Settle();
  EXPECT_EQ(world.coordinator->job_state(), JobState::kRunning);
  world.Say(one, 4, world.Hold(one));
  world.Save(one);
  const Orders orders = world.OrdersFor(one);
  EXPECT_EQ(orders.state, JobState::kStopping);
  EXPECT_EQ(orders.reason, "enough");
  EXPECT_EQ(orders.hold, 0u);
  EXPECT_FALSE(world.coordinator->MayLease(one).main);
  EXPECT_FALSE(world.coordinator->over(world.now));
  world.Leave(one);
  EXPECT_TRUE(world.coordinator->over(world.now));
  // The next master goes on.
  world.Must(Closed{world.now});
  world.StartMaster();
  EXPECT_EQ(world.coordinator->job_state(), JobState::kRunning);
}

TEST(JobEnd, StepsOnTheWayOutNeedNoCheckpoint) {
  World world(TestJob(ModelKind::kLocal));  // a checkpoint every 10 steps
  const auto one = world.Train("w-0");
  world.Restore(one);
  world.Say(one, 3);
  world.Must(StopAsked{"enough", false});
  world.Settle();
  world.Say(one, 4, world.Hold(one));
  world.Save(one);
  world.Say(one, 12);
  EXPECT_EQ(world.OrdersFor(one).hold, 0u);
  EXPECT_EQ(world.coordinator->job_state(), JobState::kStopping);
  world.Leave(one);
  EXPECT_TRUE(world.coordinator->over(world.now));
}

TEST(JobEnd, StopGoesOnWithoutTheCheckpointIfNobodyCanSave) {
  World world(TestJob(ModelKind::kLocal));
  world.Must(StopAsked{"enough", false});
  world.Settle();
  EXPECT_EQ(world.coordinator->job_state(), JobState::kStopping);
  EXPECT_TRUE(world.coordinator->over(world.now));
}

TEST(JobEnd, ASecondStopMayDiscard) {
  World world(TestJob(ModelKind::kLocal));
  const auto one = world.Train("w-0");
  world.Restore(one);
  world.Must(StopAsked{"enough", false});
  world.Settle();
  EXPECT_NE(world.Hold(one), 0u);
  world.Must(StopAsked{"now", true});
  world.Settle();
  EXPECT_EQ(world.OrdersFor(one).state, JobState::kStopping);
}

TEST(JobEnd, WithoutAModelWhenTheLedgerIsDone) {
  World world(TestJob(ModelKind::kNone));
  const auto one = world.Train("w-0");
  world.FinishMain(one);
  EXPECT_EQ(world.OrdersFor(one).state, JobState::kDone);
  EXPECT_FALSE(world.coordinator->over(world.now));
  world.Leave(one, "killed");
  EXPECT_TRUE(world.coordinator->over(world.now));
}

TEST(JobEnd, NobodyWaitsForAWorkerThatIsSilent) {
  World world(TestJob(ModelKind::kNone));
  const auto dead = world.Train("w-0");
  const auto one = world.Train("w-1");
  world.now += TestJob(ModelKind::kNone).spec.lease_ms;
  world.FinishMain(one);
  EXPECT_EQ(world.OrdersFor(one).state, JobState::kDone);
  world.Leave(one);
  EXPECT_FALSE(world.coordinator->over(world.now)) << "it may come to be told";
  world.now += 1;
  EXPECT_TRUE(world.coordinator->over(world.now)) << dead;
}

TEST(JobEnd, ALocalModelThatDiesBeforeItIsDeliveredIsTrainedAgain) {
  World world(TestJob(ModelKind::kLocal));
  const auto one = world.Train("w-0");
  world.Restore(one);
  world.FinishMain(one);
  EXPECT_EQ(world.OrdersFor(one).state, JobState::kDone);
  world.Leave(one, "killed by signal 9 (KILL)");
  EXPECT_EQ(world.coordinator->job_state(), JobState::kRunning);
  EXPECT_FALSE(world.coordinator->over(world.now));
  const auto two = world.Join("w-0");
  world.Restore(two);
  EXPECT_EQ(world.state.ledger().verdict(), ledger::Verdict::kRunning);
  world.FinishMain(two);
  world.Leave(two);
  EXPECT_EQ(world.coordinator->job_state(), JobState::kDone);
  EXPECT_TRUE(world.coordinator->over(world.now));
  world.StartMaster();
  EXPECT_TRUE(world.coordinator->over(world.now));
}

TEST(JobEnd, TheCheckpointOfTheLastStepComesBeforeDone) {
  World world(TestJob(ModelKind::kLocal));
  const auto one = world.Train("w-0");
  world.Restore(one);
  const ledger::Effects leased = world.Lease(one, true, false);
  for (const ledger::Grant& grant : leased.grants) {
    if (&grant == &leased.grants.back()) world.Say(one, 10);
    world.Finish(one, grant);
  }
  EXPECT_EQ(world.coordinator->AnswerFor(ledger::Answer::kDone), ledger::Answer::kWait);
  world.Say(one, 10, world.Hold(one));
  world.Save(one);
  EXPECT_EQ(world.coordinator->job_state(), JobState::kDone);
  // A late word about steps makes nothing due any more.
  world.Say(one, 20);
  EXPECT_EQ(world.coordinator->job_state(), JobState::kDone);
  EXPECT_EQ(world.Hold(one), 0u);
}

TEST(JobEnd, AFailedJobHoldsNobody) {
  Job job = TestJob(ModelKind::kShared);
  job.spec.max_attempts = 1;
  World world(job);
  const auto one = world.Train("w-0");
  const ledger::Grant grant = world.Lease(one, true, false).grants.at(0);
  world.Say(one, 10);
  EXPECT_NE(world.Hold(one), 0u);
  ledger::Report report;
  report.worker = one;
  report.token = grant.token;
  report.end = ledger::End::kFailed;
  report.error = "bad bytes";
  report.culprit = grant.ranges.at(0).begin;
  world.Must(ledger::Event(report));
  world.Settle();
  const Orders orders = world.OrdersFor(one);
  EXPECT_EQ(orders.state, JobState::kFailed);
  EXPECT_NE(orders.reason.find("bad bytes"), std::string::npos);
  EXPECT_EQ(orders.hold, 0u);
}

TEST(Orders, HaveANewVersionExactlyWhenTheyChange) {
  World world(TestJob(ModelKind::kShared));
  const auto one = world.Train("w-0");
  const Orders first = world.OrdersFor(one);
  EXPECT_EQ(world.OrdersFor(one).version, first.version);
  world.coordinator->TakeChanged();
  world.Say(one, 5);
  EXPECT_FALSE(world.coordinator->TakeChanged());
  world.Say(one, 10);
  EXPECT_TRUE(world.coordinator->TakeChanged());
  EXPECT_GT(world.OrdersFor(one).version, first.version);
  EXPECT_EQ(first.live, 1);
  world.Join("w-1");
  EXPECT_TRUE(world.coordinator->TakeChanged());
  EXPECT_EQ(world.OrdersFor(one).live, 2);
  world.now += kLeaseMs + 1;
  world.Say(one, 10);
  EXPECT_EQ(world.OrdersFor(one).live, 1);
}

}  // namespace
}  // namespace headrace::master
