#include "trainer/shared/rounds.h"

#include <gtest/gtest.h>

namespace headrace::trainer {
namespace {

using Answer = Rounds::Answer;
using Kind = Push::Kind;

Push Gradients(std::uint64_t number, std::int64_t step, std::int64_t generation = 1) {
  return {Kind::kGradients, number, generation, step};
}

class RoundsTest : public ::testing::Test {
 protected:
  RoundsTest() { rounds_.Begin(1, 10); }

  // Two workers that have both worked.
  void WarmUp() {
    rounds_.Take(Gradients(1, 10));
    rounds_.Take(Gradients(2, 10));
    ASSERT_TRUE(rounds_.Ready().has_value());
    rounds_.Begin(1, 11);
  }

  Rounds rounds_{2};
};

TEST_F(RoundsTest, WaitsForAsManyAsItShould) {
  WarmUp();
  EXPECT_EQ(rounds_.Take(Gradients(1, 11)), Answer::kTaken);
  EXPECT_FALSE(rounds_.Ready().has_value());
  EXPECT_EQ(rounds_.Take(Gradients(2, 11)), Answer::kTaken);
  const auto ready = rounds_.Ready();
  ASSERT_TRUE(ready.has_value());
  ASSERT_EQ(ready->size(), 2);
  EXPECT_EQ((*ready)[0].number, 1);
  EXPECT_EQ((*ready)[1].number, 2);
  EXPECT_FALSE(rounds_.Ready().has_value()) << "once";
}

TEST_F(RoundsTest, DoesNotWaitForThoseWhoNeverWorked) {
  rounds_.Take(Gradients(1, 10));
  EXPECT_EQ(rounds_.wanted(), 1);
  EXPECT_TRUE(rounds_.Ready().has_value());
}

TEST_F(RoundsTest, DoesNotWaitForTheIdle) {
  WarmUp();
  rounds_.Take(Gradients(1, 11));
  EXPECT_EQ(rounds_.Take({Kind::kIdle, 2, 1, 0}), Answer::kNone);
  EXPECT_TRUE(rounds_.Ready().has_value());
}

TEST_F(RoundsTest, DoesNotWaitForTheDead) {
  WarmUp();
  rounds_.Take(Gradients(1, 11));
  EXPECT_EQ(rounds_.Take({Kind::kLive, 1, 1, 1}), Answer::kNone);
  EXPECT_EQ(rounds_.wanted(), 1);
  EXPECT_TRUE(rounds_.Ready().has_value());
  // It came back, as another process.
  rounds_.Begin(1, 12);
  rounds_.Take({Kind::kLive, 1, 1, 2});
  rounds_.Take(Gradients(1, 12));
  EXPECT_FALSE(rounds_.Ready().has_value());
  rounds_.Take(Gradients(3, 12));
  EXPECT_TRUE(rounds_.Ready().has_value());
}

TEST_F(RoundsTest, DoesNotWaitForTheDeadWhoseReplacementIsIdle) {
  rounds_.Take({Kind::kJoin, 1, 1, 100});
  rounds_.Take({Kind::kJoin, 2, 1, 200});
  WarmUp();
  rounds_.Take({Kind::kLive, 1, 1, 2});
  rounds_.Take({Kind::kJoin, 3, 1, 200});  // 2 died, and that was all that was heard of it
  rounds_.Take(Gradients(3, 11));
  rounds_.Take(Gradients(1, 11));
  EXPECT_EQ(rounds_.wanted(), 2);
  ASSERT_TRUE(rounds_.Ready().has_value());
  rounds_.Begin(1, 12);
  rounds_.Take({Kind::kIdle, 3, 1, 0});
  rounds_.Take(Gradients(1, 12));
  EXPECT_TRUE(rounds_.Ready().has_value());
}

TEST_F(RoundsTest, TheGradientsOfWhoWasReplacedAreNotApplied) {
  rounds_.Take({Kind::kJoin, 1, 1, 100});
  rounds_.Take({Kind::kJoin, 2, 1, 200});
  WarmUp();
  rounds_.Take(Gradients(2, 11));
  rounds_.Take({Kind::kJoin, 3, 1, 200});
  rounds_.Take(Gradients(1, 11));
  const auto ready = rounds_.Ready();
  ASSERT_TRUE(ready.has_value());
  ASSERT_EQ(ready->size(), 1);
  EXPECT_EQ((*ready)[0].number, 1);
}

TEST_F(RoundsTest, RefusesWhatComesTooLate) {
  WarmUp();
  EXPECT_EQ(rounds_.Take(Gradients(2, 10)), Answer::kRefused);
  EXPECT_EQ(rounds_.Take(Gradients(2, 12)), Answer::kRefused);
  EXPECT_EQ(rounds_.Take(Gradients(2, 11, 2)), Answer::kRefused);
  EXPECT_EQ(rounds_.refused(), 3);
  EXPECT_EQ(rounds_.wanted(), 2) << "who is late works";
}

TEST_F(RoundsTest, AFenceTakesBackWhatWasTaken) {
  WarmUp();
  rounds_.Take(Gradients(2, 11));
  EXPECT_EQ(rounds_.Take({Kind::kFence, 1, 1, 2}), Answer::kAnswered);
  EXPECT_EQ(rounds_.Take(Gradients(2, 11)), Answer::kRefused);
  rounds_.Take(Gradients(1, 11));
  const auto ready = rounds_.Ready();
  ASSERT_TRUE(ready.has_value());
  ASSERT_EQ(ready->size(), 1);
  EXPECT_EQ((*ready)[0].number, 1);
}

TEST_F(RoundsTest, AnotherModelForgetsTheLast) {
  WarmUp();
  rounds_.Take(Gradients(1, 11));
  rounds_.Take({Kind::kFence, 1, 1, 2});
  rounds_.Begin(2, 5);
  EXPECT_EQ(rounds_.Take(Gradients(1, 11)), Answer::kRefused);
  EXPECT_EQ(rounds_.Take(Gradients(2, 5, 2)), Answer::kTaken) << "fences were of the last one";
  const auto ready = rounds_.Ready();
  ASSERT_TRUE(ready.has_value());
  EXPECT_EQ(ready->size(), 1);
}

}  // namespace
}  // namespace headrace::trainer
