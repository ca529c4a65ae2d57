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

TEST(Holds, BeginAtTheStepThatCrossesTheInterval) {
  World world(TestJob(ModelKind::kShared));
  const auto one = world.Train("w-0"), two = world.Train("w-1");
  world.Say(one, 9);
  EXPECT_EQ(world.Hold(one), 0u);
  EXPECT_TRUE(world.coordinator->MayLease(two).main);
  world.Say(one, 11);
  EXPECT_NE(world.Hold(one), 0u);
  EXPECT_EQ(world.Hold(one), world.Hold(two));
  EXPECT_EQ(world.OrdersFor(two).hold_reason, "checkpoint");
  EXPECT_FALSE(world.coordinator->MayLease(two).main);
}

TEST(Holds, TheLowestSavesOnceAllStand) {
  World world(TestJob(ModelKind::kShared));
  const auto one = world.Train("w-0"), two = world.Train("w-1");
  world.Say(two, 10);
  const std::uint64_t hold = world.Hold(one);
  world.Say(two, 10, hold);
  EXPECT_FALSE(world.OrdersFor(one).save || world.OrdersFor(two).save);
  EXPECT_EQ(world.WaitsFor(), "w-0 to stand still, 1 of 2 workers do (checkpoint)");
  world.Say(one, 12, hold);
  const Orders orders = world.OrdersFor(one);
  ASSERT_TRUE(orders.save.has_value());
  EXPECT_FALSE(world.OrdersFor(two).save.has_value());
  EXPECT_EQ(orders.save->step, 12);
  EXPECT_EQ(orders.save->hold, hold);
  EXPECT_EQ(orders.save->directory, "/saved/step-12-5000");
  ledger::Position position;
  ASSERT_TRUE(ledger::Decode(orders.save->position, &position).ok());
  EXPECT_EQ(position.step, 12);
  world.Save(one);
  EXPECT_EQ(world.Hold(one), 0u);
  EXPECT_TRUE(world.coordinator->MayLease(one).main);
  world.Say(one, 19);
  EXPECT_EQ(world.Hold(one), 0u);
  world.Say(one, 20);
  EXPECT_GT(world.Hold(one), hold);
}

TEST(Holds, AWordForAnEarlierHoldDoesNotCount) {
  World world(TestJob(ModelKind::kShared));
  const auto one = world.Train("w-0");
  world.Say(one, 10);
  world.Say(one, 10, world.Hold(one));
  const std::uint64_t first = world.Hold(one);
  world.Save(one);
  world.Say(one, 20, first);
  EXPECT_FALSE(world.OrdersFor(one).save.has_value());
}

TEST(Holds, WhoJoinsMeanwhileDoesNotBlock) {
  World world(TestJob(ModelKind::kShared));
  const auto one = world.Train("w-0");
  world.Say(one, 10);
  const auto two = world.Join("w-1");
  EXPECT_NE(world.Hold(two), 0u);
  EXPECT_FALSE(world.coordinator->MayLease(two).main);
  world.Say(one, 10, world.Hold(one));
  EXPECT_TRUE(world.OrdersFor(one).save.has_value());
}

TEST(Holds, WhoLeavesDoesNotBlock) {
  World world(TestJob(ModelKind::kShared));
  const auto one = world.Train("w-0"), two = world.Train("w-1");
  world.Say(one, 10);
  world.Say(one, 10, world.Hold(one));
  EXPECT_FALSE(world.OrdersFor(one).save.has_value());
  world.Leave(two, "killed by signal 9 (KILL)");
  EXPECT_TRUE(world.OrdersFor(one).save.has_value());
}

TEST(Holds, WhoIsSilentForALeaseDoesNotBlock) {
  World world(TestJob(ModelKind::kShared));
  const auto one = world.Train("w-0");
  world.Train("w-1");
  world.Say(one, 10);
  world.now += kLeaseMs;
  world.Say(one, 10, world.Hold(one));
  EXPECT_FALSE(world.OrdersFor(one).save.has_value());
  world.now += 1;
  world.Settle();
  EXPECT_TRUE(world.OrdersFor(one).save.has_value());
}

TEST(Holds, ASaverThatDiesIsReplaced) {
  World world(TestJob(ModelKind::kShared));
  const auto one = world.Train("w-0"), two = world.Train("w-1");
  world.Say(one, 10);
  const std::uint64_t hold = world.Hold(one);
  world.Say(one, 10, hold);
  world.Say(two, 10, hold);
  world.now += 5;
  world.Leave(one, "died");
  ASSERT_TRUE(world.OrdersFor(two).save.has_value());
  EXPECT_EQ(world.OrdersFor(two).save->directory, "/saved/step-10-5005");
  EXPECT_EQ(world.coordinator->SaveOf(one, hold), nullptr);
  EXPECT_NE(world.coordinator->SaveOf(two, hold), nullptr);
  world.Leave(two, "died too");
  EXPECT_EQ(world.WaitsFor(), "a worker to join (checkpoint)");
  const auto three = world.Join("w-2");
  EXPECT_FALSE(world.OrdersFor(three).save.has_value()) << "it has not found the model so far";
  world.Attach(three);
  EXPECT_TRUE(world.OrdersFor(three).save.has_value());
}

TEST(Holds, AFailedSaveIsNotTriedAgainBeforeTheNextInterval) {
  World world(TestJob(ModelKind::kShared));
  const auto one = world.Train("w-0");
  world.coordinator->AskCheckpoint();
  world.Say(one, 10);
  world.Say(one, 10, world.Hold(one));
  world.coordinator->SaveFailed({Code::kUnavailable, "disk full"});
  world.Settle();
  EXPECT_EQ(world.Hold(one), 0u);
  const auto result = world.coordinator->TakeResult();
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->status.message(), "disk full");
  world.Say(one, 19);
  EXPECT_EQ(world.Hold(one), 0u);
  world.Say(one, 20);
  EXPECT_NE(world.Hold(one), 0u);
}

TEST(Holds, ACheckpointThatIsThereAnswersTheNextWish) {
  World world(TestJob(ModelKind::kShared));
  const auto one = world.Train("w-0");
  world.Say(one, 3);
  world.coordinator->AskCheckpoint();
  world.Settle();
  world.Say(one, 4, world.Hold(one));
  world.Save(one);
  const auto first = world.coordinator->TakeResult();
  ASSERT_TRUE(first.has_value() && first->status.ok());
  EXPECT_EQ(first->step, 4);
  EXPECT_FALSE(world.coordinator->TakeResult().has_value());

  world.coordinator->AskCheckpoint();
  world.Settle();
  world.Say(one, 4, world.Hold(one));
  EXPECT_FALSE(world.OrdersFor(one).save.has_value());
  const auto second = world.coordinator->TakeResult();
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->directory, first->directory);
  EXPECT_EQ(world.Hold(one), 0u);
}

TEST(Holds, ASecondMasterFindsWhatIsDue) {
  World world(TestJob(ModelKind::kShared));
  const auto one = world.Train("w-0"), two = world.Train("w-1");
  world.Say(one, 10);
  const std::uint64_t hold = world.Hold(one);
  const std::uint64_t version = world.OrdersFor(one).version;
  world.Say(one, 10, hold);
  world.StartMaster();
  EXPECT_EQ(world.Hold(one), hold);
  EXPECT_GT(world.OrdersFor(one).version, version);
  // Both had leases, for all that this master knows.
  EXPECT_FALSE(world.OrdersFor(one).save.has_value());
  world.Say(one, 10, world.Hold(one));
  world.Say(two, 10, world.Hold(two));
  ASSERT_TRUE(world.OrdersFor(one).save.has_value());
  // The order outlives the next one too, with all that belongs to it.
  const SaveOrder order = *world.OrdersFor(one).save;
  world.now += 10;
  world.StartMaster();
  ASSERT_TRUE(world.OrdersFor(one).save.has_value());
  EXPECT_EQ(world.OrdersFor(one).save->directory, order.directory);
  EXPECT_EQ(world.OrdersFor(one).save->position, order.position);
  world.Save(one);
  EXPECT_EQ(world.Hold(one), 0u);
}

TEST(Holds, AHoldThatIsNotDueAnyMoreIsNotAskedForAgain) {
  World world(TestJob(ModelKind::kShared));
  const auto one = world.Train("w-0");
  world.coordinator->AskCheckpoint();
  world.Settle();
  const std::uint64_t hold = world.Hold(one);
  ASSERT_NE(hold, 0u);
  world.StartMaster();  // who asked will ask again
  EXPECT_EQ(world.Hold(one), 0u);
  world.coordinator->AskCheckpoint();
  world.Settle();
  EXPECT_GT(world.Hold(one), hold);
}

TEST(Holds, ARestoredModelVoidsOrders) {
  World world(TestJob(ModelKind::kLocal));
  const auto one = world.Train("w-0");
  world.Restore(one);
  world.Say(one, 10);
  world.Say(one, 10, world.Hold(one));
  ASSERT_TRUE(world.OrdersFor(one).save.has_value());
  world.Leave(one, "died");
  const auto two = world.Join("w-0");
  // It has no model yet.
  EXPECT_FALSE(world.OrdersFor(two).save.has_value());
  world.Restore(two);
  EXPECT_EQ(world.Hold(two), 0u);
  EXPECT_EQ(world.OrdersFor(two).incarnation, 3);
}

TEST(Holds, AnExpiredLeaseSpoilsALocalModel) {
  World world(TestJob(ModelKind::kLocal));
  const auto one = world.Train("w-0");
  world.Restore(one);
  ASSERT_EQ(world.Lease(one, true, false).grants.size(), 4u);
  world.now += kLeaseMs;
  world.Tick();
  EXPECT_EQ(world.state.Find(one)->expired.size(), 4u);
  EXPECT_FALSE(world.coordinator->MayLease(one).main);
  world.Say(one, 10);
  world.Say(one, 10, world.Hold(one));
  EXPECT_FALSE(world.OrdersFor(one).save.has_value());
}

}  // namespace
}  // namespace headrace::master
