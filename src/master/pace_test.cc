#include "master/pace.h"

#include <gtest/gtest.h>

#include <random>

namespace headrace::master {
namespace {

// Workers 0, 1, ... at these paces, as they told over ten seconds.
Pace Paces(const std::vector<double>& per_s) {
  Pace pace;
  for (int second = 0; second <= 10; ++second) {
    for (std::size_t i = 0; i < per_s.size(); ++i) {
      pace.Told(i, static_cast<std::int64_t>(per_s[i] * second), true, second * 1000);
    }
  }
  return pace;
}

Pace::Left Left(std::int64_t records, std::int64_t task, std::vector<std::int64_t> held) {
  return {records, task, [held = std::move(held)](std::uint64_t worker) { return held[worker]; }};
}

TEST(Pace, IsOfTheLastTenSecondsOfWork) {
  Pace pace;
  EXPECT_FALSE(pace.Of(7).has_value());
  pace.Told(7, 100, true, 0);
  EXPECT_FALSE(pace.Of(7).has_value()) << "one word says nothing";
  pace.Told(7, 150, true, 500);
  EXPECT_FALSE(pace.Of(7).has_value()) << "too soon after the first";
  pace.Told(7, 300, true, 1000);
  EXPECT_DOUBLE_EQ(pace.Of(7).value(), 200);
  for (int second = 2; second <= 30; ++second) pace.Told(7, 300 + second, true, second * 1000);
  EXPECT_DOUBLE_EQ(pace.Of(7).value(), 1);
  pace.Forget(7);
  EXPECT_FALSE(pace.Of(7).has_value());
}

TEST(Pace, TimeWithoutLeasesDoesNotCount) {
  Pace pace;
  pace.Told(7, 0, true, 0);
  pace.Told(7, 100, true, 1000);
  pace.Told(7, 100, false, 60000);
  EXPECT_DOUBLE_EQ(pace.Of(7).value(), 100);
  pace.Told(7, 200, true, 61000);
  EXPECT_DOUBLE_EQ(pace.Of(7).value(), 100);
  pace.Told(7, 200, true, 63000);
  EXPECT_DOUBLE_EQ(pace.Of(7).value(), 50) << "it hangs";
}

TEST(Pace, AProcessThatBeginsAnewIsMeasuredAnew) {
  Pace pace;
  pace.Told(7, 1000, true, 0);
  pace.Told(7, 2000, true, 1000);
  pace.Told(7, 10, true, 2000);
  EXPECT_FALSE(pace.Of(7).has_value());
}

TEST(Pace, TheSlowOnePassesWhenTheOthersWouldBeDoneFirst) {
  const Pace pace = Paces({100, 10});
  // 1 holds 50 and would need (50 + 50) / 10 = 10 s: the other one does 1,000 in that time.
  EXPECT_FALSE(pace.ShouldPass(1, Left(1051, 50, {100, 50})));
  EXPECT_TRUE(pace.ShouldPass(1, Left(1049, 50, {100, 50})));
  EXPECT_FALSE(pace.ShouldPass(0, Left(1049, 50, {100, 50})));
}

TEST(Pace, EqualOnesShareTheLastTasks) {
  const Pace pace = Paces({100, 100});
  EXPECT_FALSE(pace.ShouldPass(1, Left(100 + 60, 100, {60, 0})));
  EXPECT_FALSE(pace.ShouldPass(0, Left(100, 100, {0, 0})));
  EXPECT_FALSE(pace.ShouldPass(1, Left(100, 100, {0, 0})));
}

TEST(Pace, WhoIsNotMeasuredYetIsNeitherHeldBackNorCountedOn) {
  Pace pace = Paces({100});
  EXPECT_FALSE(pace.ShouldPass(5, Left(100, 50, {0, 0, 0, 0, 0, 0})));
  EXPECT_FALSE(pace.ShouldPass(0, Left(100, 50, {0})));
}

TEST(Pace, WhoHangsPassesWhileOthersWork) {
  const Pace pace = Paces({100, 0});
  EXPECT_TRUE(pace.ShouldPass(1, Left(1000000, 50, {100, 50})));
  EXPECT_FALSE(pace.ShouldPass(0, Left(1000000, 50, {100, 50})));
  EXPECT_FALSE(Paces({0, 0}).ShouldPass(1, Left(1000, 50, {100, 50})));
}

TEST(Pace, SomebodyAlwaysTakesTheTask) {
  std::mt19937 random(1);
  const auto draw = [&random](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  for (int round = 0; round < 20000; ++round) {
    const int workers = draw(1, 6);
    std::vector<double> paces;
    std::vector<std::int64_t> held;
    std::int64_t left = draw(1, 200);
    const std::int64_t task = std::min<std::int64_t>(draw(1, 100), left);
    for (int i = 0; i < workers; ++i) {
      paces.push_back(draw(0, 3) == 0 ? draw(0, 2) : draw(1, 100));
      held.push_back(draw(0, 300));
      left += held.back();
    }
    const Pace pace = Paces(paces);
    int passing = 0;
    for (int i = 0; i < workers; ++i) passing += pace.ShouldPass(i, Left(left, task, held)) ? 1 : 0;
    ASSERT_LT(passing, workers) << "round " << round;
  }
}

}  // namespace
}  // namespace headrace::master
