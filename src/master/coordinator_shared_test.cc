// Models on parameter servers: who restores, who is fenced off, who delivers.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "master/coordinator_testing.h"

namespace headrace::master {
namespace {

using testing::kLeaseMs;
using testing::TestJob;
using testing::World;

TEST(SharedModel, WhoMayBeAliveIsFencedOffUntilTheNextModel) {
  World world(TestJob(ModelKind::kShared));
  const auto one = world.Train("w-0"), two = world.Train("w-1");
  ASSERT_EQ(world.Lease(one, true, false).grants.size(), 4u);
  world.coordinator->TakeChanged();
  world.now += kLeaseMs;
  world.Say(two, 1);
  world.Tick();
  EXPECT_TRUE(world.coordinator->TakeChanged());
  EXPECT_EQ(world.OrdersFor(two).fenced, std::vector<std::uint64_t>{one});
  // It gets nothing any more, and nobody waits for it.
  EXPECT_FALSE(world.coordinator->MayLease(one).main);
  world.Say(one, 1);
  world.Say(two, 10);
  world.Say(two, 10, world.Hold(two));
  EXPECT_TRUE(world.OrdersFor(two).save.has_value());
  // Once, also by another way, and for the next master too.
  world.Must(Fenced{one});
  world.StartMaster();
  EXPECT_EQ(world.OrdersFor(two).fenced, std::vector<std::uint64_t>{one});
  world.Must(ModelLost{world.now});
  EXPECT_EQ(world.OrdersFor(two).fenced.size(), 1u);
  world.Must(RestoreOrdered{two, 2, world.now});
  world.Restore(two);
  EXPECT_TRUE(world.OrdersFor(two).fenced.empty());
  EXPECT_EQ(world.state.generation(), 2);
  ledger::Effects effects;
  bool changed = true;
  ASSERT_TRUE(world.state.Apply(ModelLost{world.now}, &effects, &changed).ok());
  ASSERT_TRUE(world.state.Apply(Fenced{one}, &effects, &changed).ok());
  EXPECT_FALSE(changed) << "there is no model to be spoiled";
}

TEST(SharedModel, OnlyWhoWasToldToMayRestore) {
  World world(TestJob(ModelKind::kShared));
  const auto one = world.Join("w-0"), two = world.Join("w-1");
  world.Must(RestoreOrdered{one, 1, world.now});
  EXPECT_EQ(world.WaitsFor(), "w-0 to restore the model");
  EXPECT_FALSE(world.coordinator->MayLease(two).main);
  world.Must(RestoreOrdered{two, 2, world.now});
  Restored restored;
  restored.worker = one;
  ledger::Effects effects;
  bool changed = false;
  EXPECT_EQ(world.state.Apply(restored, &effects, &changed).code(), Code::kAborted);
  EXPECT_FALSE(changed);
  world.Leave(two, "killed by signal 9 (KILL)");
  EXPECT_EQ(world.state.restoring().worker, 0u);
  EXPECT_EQ(world.state.last_generation(), 2);
  world.Attach(one);
  EXPECT_EQ(world.state.generation(), 3);
  EXPECT_TRUE(world.coordinator->MayLease(one).main);
  EXPECT_EQ(world.WaitsFor(), "");
}

TEST(SharedModel, AnExactJobsModelIsLostWithAWorker) {
  Job job = TestJob(ModelKind::kShared);
  job.exact = true;
  World world(job);
  const auto one = world.Train("w-0"), two = world.Train("w-1");
  const std::int64_t incarnation = world.state.ledger().incarnation();
  // One that holds nothing is no loss.
  world.Leave(world.Train("w-2"), "killed by signal 9 (KILL)");
  EXPECT_EQ(world.OrdersFor(two).incarnation, incarnation);
  world.Lease(one, true, false);
  world.Say(two, 10);
  EXPECT_NE(world.Hold(two), 0u);
  world.coordinator->TakeChanged();
  world.Leave(one, "killed by signal 9 (KILL)");
  EXPECT_TRUE(world.coordinator->TakeChanged());
  EXPECT_EQ(world.state.generation(), 0);
  EXPECT_EQ(world.OrdersFor(two).incarnation, incarnation + 1);
  EXPECT_FALSE(world.coordinator->MayLease(two).main);
  EXPECT_EQ(world.state.ledger().Totals().possibly_repeated, 40);
  // It is lost once.
  world.Leave(two, "the model was rewound");
  EXPECT_EQ(world.state.ledger().incarnation(), incarnation + 1);
  const auto three = world.Join("w-1");
  world.Attach(three);
  EXPECT_EQ(world.state.ledger().Totals().possibly_repeated, 0);
  EXPECT_EQ(world.state.generation(), 2);
  EXPECT_FALSE(world.state.repeated());
  EXPECT_EQ(world.Hold(three), 0u);
  EXPECT_TRUE(world.coordinator->MayLease(three).main);
}

TEST(SharedModel, AnyLossIsALossAlsoWhenItWasNamedBefore) {
  Job job = TestJob(ModelKind::kShared);
  job.exact = true;
  World world(job);
  const auto one = world.Train("w-0");
  const ledger::Grant grant = world.Lease(one, true, false).grants.at(0);
  ledger::Report report;
  report.worker = one;
  report.token = grant.token;
  report.repeated = {grant.ranges.at(0)};
  world.Must(ledger::Event(report));
  world.Settle();
  EXPECT_EQ(world.state.generation(), 0) << "a step may have been applied in part";
  world.StartMaster();
  EXPECT_EQ(world.state.ledger().incarnation(), 3);
}

// --- the end -------------------------------------------------------------------------------------

TEST(JobEnd, OneWorkerDeliversASharedModel) {
  World world(TestJob(ModelKind::kShared));
  const auto one = world.Train("w-0"), two = world.Train("w-1"), three = world.Train("w-2");
  world.coordinator->TakeChanged();
  world.FinishMain(two);
  EXPECT_TRUE(world.coordinator->TakeChanged());
  EXPECT_EQ(world.OrdersFor(one).state, JobState::kDone);
  EXPECT_TRUE(world.OrdersFor(one).deliver);
  EXPECT_EQ(world.OrdersFor(two).state, JobState::kRunning);
  EXPECT_FALSE(world.OrdersFor(two).deliver);
  EXPECT_TRUE(world.coordinator->AwaitsDelivery(two));
  EXPECT_FALSE(world.coordinator->AwaitsDelivery(one));
  EXPECT_EQ(world.coordinator->AnswerFor(ledger::Answer::kDone), ledger::Answer::kWait);
  EXPECT_EQ(world.WaitsFor(), "w-0 to write the model");
  // Nothing else is asked for meanwhile, and the next master has the same in mind.
  world.coordinator->AskCheckpoint();
  world.Settle();
  EXPECT_EQ(world.coordinator->TakeResult()->status.code(), Code::kFailedPrecondition);
  world.StartMaster();
  EXPECT_EQ(world.OrdersFor(one).state, JobState::kDone);
  EXPECT_EQ(world.OrdersFor(two).state, JobState::kRunning);
  // It dies; the next one is silent; the third does it.
  world.Leave(one, "killed by signal 9 (KILL)");
  EXPECT_EQ(world.OrdersFor(two).state, JobState::kDone);
  EXPECT_FALSE(world.state.delivered());
  world.now += kLeaseMs + 1;
  world.Say(three, 1);
  EXPECT_EQ(world.OrdersFor(two).state, JobState::kRunning);
  EXPECT_EQ(world.OrdersFor(three).state, JobState::kDone);
  world.Leave(two);
  EXPECT_FALSE(world.state.delivered()) << "it was not its turn any more";
  EXPECT_FALSE(world.coordinator->over(world.now));
  const auto four = world.Join("w-3");
  world.Leave(three);
  EXPECT_TRUE(world.state.delivered());
  EXPECT_EQ(world.OrdersFor(four).state, JobState::kDone);
  EXPECT_FALSE(world.OrdersFor(four).deliver);
  world.Leave(four);
  EXPECT_TRUE(world.coordinator->over(world.now));
}

TEST(JobEnd, ASharedModelWaitsForSomebodyToDeliverIt) {
  World world(TestJob(ModelKind::kShared));
  const auto one = world.Train("w-0");
  world.FinishMain(one);
  world.Leave(one, "killed by signal 9 (KILL)");
  EXPECT_FALSE(world.coordinator->over(world.now));
  EXPECT_EQ(world.WaitsFor(), "");
  const auto two = world.Join("w-0");
  EXPECT_EQ(world.OrdersFor(two).state, JobState::kRunning) << "it has not found the model so far";
  world.Attach(two);
  EXPECT_EQ(world.OrdersFor(two).state, JobState::kDone);
  EXPECT_TRUE(world.OrdersFor(two).deliver);
}

TEST(JobEnd, ASharedModelThatIsLostBeforeItIsDeliveredIsTrainedAgain) {
  World world(TestJob(ModelKind::kShared));
  const auto one = world.Train("w-0");
  world.FinishMain(one);
  world.Must(ModelLost{world.now});
  world.Settle();
  EXPECT_EQ(world.OrdersFor(one).state, JobState::kRunning);
  EXPECT_FALSE(world.coordinator->AwaitsDelivery(one));
  world.Leave(one);
  EXPECT_FALSE(world.state.delivered());
  const auto two = world.Join("w-0");
  world.Attach(two);
  EXPECT_EQ(world.state.ledger().verdict(), ledger::Verdict::kRunning);
  world.FinishMain(two);
  EXPECT_EQ(world.OrdersFor(two).state, JobState::kDone);
}

}  // namespace
}  // namespace headrace::master
