// What the tuner decides on simulated pipelines whose best setting is known.
#include "stage/tuner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <string>

namespace headrace::stage {
namespace {

using std::chrono::duration;
using std::chrono::duration_cast;

// A pipeline in its steady state: how long a step takes follows from the setting alone, but for
// noise. Times in milliseconds.
struct Pipeline {
  double read = 1;
  double body = 1;
  double main = 1;
  int cores = 2;
  double overhead = 0.01;  // of a step that runs ahead: hand-over between threads
  double noise = 0;        // a share of the time, drawn for each step
  double drift = 0;        // a share of the time, more with each second
  double contention = 0;   // what a core that is busy already costs, as a share

  double Step(const Setting& s) const {
    if (!s.ahead()) return read + body + main;
    const double limit = std::max({main, read, body / s.num_threads});
    const double busy = (read + body + main) / limit;  // cores
    const double slowed = busy > cores ? busy / cores : 1;
    return limit * slowed * (1 + contention) + overhead;
  }
  double Wait(const Setting& s) const {
    return s.ahead() ? std::max(0.0, Step(s) - main) : read + body;
  }
};

class Simulation {
 public:
  Simulation(const Pipeline& pipeline, TunerConfig config) : pipeline_(pipeline) {
    config.max_threads = pipeline.cores;
    tuner_ = std::make_unique<Tuner>(config);
  }

  // Milliseconds that the step took.
  double Step(double pause = 0) {
    const Setting s = tuner_->setting();
    const double noise = 1 + pipeline_.noise * std::normal_distribution<double>()(random_);
    const double seconds = duration<double>(now_.time_since_epoch()).count() - 1000;
    double took = pipeline_.Step(s) * std::max(0.5, noise) * (1 + pipeline_.drift * seconds);
    took += pause;
    now_ += duration_cast<Tuner::Duration>(duration<double, std::milli>(took));
    observed_.read_us += std::lround(1e3 * pipeline_.read);
    observed_.body_us += std::lround(1e3 * pipeline_.body);
    observed_.wait_us += std::lround(1e3 * pipeline_.Wait(s));
    ++observed_.results;
    observed_.waited = waited;
    observed_.full = full;
    observed_.held_bytes = held_bytes;
    ++steps_;
    tuner_->OnStep(now_, observed_);
    const std::string report = tuner_->TakeReport();
    if (!report.empty()) reports_ += report + "\n";
    return took;
  }

  // False if it still measures after 400 steps and 12 s more.
  bool Settle() {
    const int steps = steps_;
    const double since = seconds();
    while (tuner_->measuring()) {
      if (steps_ - steps > 400 && seconds() - since > 12) return false;
      Step();
    }
    return true;
  }

  double seconds() const { return duration<double>(now_.time_since_epoch()).count() - 1000; }
  int steps() const { return steps_; }
  Tuner& tuner() { return *tuner_; }
  const std::string& reports() const { return reports_; }
  Pipeline& pipeline() { return pipeline_; }
  // The best time of a step that any setting has.
  double Best() const {
    double best = pipeline_.Step({0, 1});
    for (int t = 1; t <= pipeline_.cores; ++t) best = std::min(best, pipeline_.Step({2, t}));
    return best;
  }

  bool waited = false;
  bool full = false;
  std::size_t held_bytes = 0;

 private:
  Pipeline pipeline_;
  std::unique_ptr<Tuner> tuner_;
  Tuner::TimePoint now_{std::chrono::seconds(1000)};
  Tuner::Observed observed_;
  int steps_ = 0;
  std::mt19937 random_{7};
  std::string reports_;
};

TEST(TunerTest, AheadOnOneThreadWhereThatKeepsUp) {
  Simulation s({/*read=*/2, /*body=*/3, /*main=*/6, /*cores=*/4}, {});
  ASSERT_TRUE(s.Settle());
  EXPECT_EQ(s.tuner().setting(), (Setting{2, 1}));
  EXPECT_EQ(s.reports(), "");
}

TEST(TunerTest, AsManyThreadsAsTheBodyNeeds) {
  Simulation s({/*read=*/1, /*body=*/17, /*main=*/6, /*cores=*/16}, {});
  ASSERT_TRUE(s.Settle());
  EXPECT_TRUE(s.tuner().setting().ahead());
  EXPECT_GE(s.tuner().setting().num_threads, 3);
  EXPECT_LE(s.tuner().setting().num_threads, 4);
}

TEST(TunerTest, InTheStepWhereRunningAheadCosts) {
  Pipeline slow{/*read=*/0.1, /*body=*/0.4, /*main=*/6, /*cores=*/2};
  slow.contention = 0.15;
  Simulation s(slow, {});
  ASSERT_TRUE(s.Settle());
  EXPECT_FALSE(s.tuner().setting().ahead());
  EXPECT_NE(s.reports().find("runs in the step: ahead, a step takes 6.91 ms, in the step 6.5 ms"),
            std::string::npos)
      << s.reports();
}

TEST(TunerTest, AheadWhereBothTakeTheSame) {
  Simulation s({/*read=*/0, /*body=*/0.01, /*main=*/6, /*cores=*/2, /*overhead=*/0.01}, {});
  ASSERT_TRUE(s.Settle());
  EXPECT_TRUE(s.tuner().setting().ahead());
}

// The later of 100 steps and 3 s, with at most a round more.
TEST(TunerTest, DecidesInTime) {
  for (const double main : {0.2, 2.0, 20.0, 200.0, 2000.0}) {
    Simulation s({0.1 * main, 0.5 * main, main, 2}, {});
    ASSERT_TRUE(s.Settle());
    EXPECT_TRUE(s.steps() <= 135 || s.seconds() <= 3.5) << main << " " << s.steps() << " steps";
  }
}

// Whatever the pipeline, what stays is within 3% of the best, with noise, drift and pauses.
TEST(TunerTest, WithinThreePercentOfTheBest) {
  std::mt19937 random(3);
  std::uniform_real_distribution<double> exponent(-1, 1.5);
  int bad = 0;
  constexpr int kPipelines = 300;
  for (int i = 0; i < kPipelines; ++i) {
    Pipeline p;
    p.read = std::pow(10, exponent(random));
    p.body = std::pow(10, exponent(random));
    p.main = std::pow(10, exponent(random));
    p.cores = 1 << std::uniform_int_distribution<int>(0, 5)(random);
    p.noise = 0.05;
    p.drift = 0.02;
    p.contention = i % 3 == 0 ? 0.05 : 0;
    Simulation s(p, {});
    int step = 0;
    while (s.tuner().measuring()) {
      s.Step(++step % 97 == 0 ? 50 * p.main : 0);
      ASSERT_LT(step, 100000);
    }
    const double got = s.pipeline().Step(s.tuner().setting());
    if (got > s.Best() / 0.97) {
      ++bad;
      std::printf("read %.3g body %.3g main %.3g cores %d: %d x %d takes %.3g, best %.3g\n", p.read,
                  p.body, p.main, p.cores, s.tuner().setting().capacity,
                  s.tuner().setting().num_threads, got, s.Best());
    }
  }
  EXPECT_LE(bad, kPipelines / 100);
}

TEST(TunerTest, FixedThreadsStay) {
  TunerConfig config;
  config.num_threads = 3;
  Simulation s({1, 30, 2, 8}, config);
  ASSERT_TRUE(s.Settle());
  EXPECT_EQ(s.tuner().setting(), (Setting{2, 3}));
}

TEST(TunerTest, AFixedCapacityStaysAhead) {
  TunerConfig config;
  config.capacity = 5;
  Pipeline slow{0.1, 0.1, 6, 2};
  slow.contention = 0.5;
  Simulation s(slow, config);
  ASSERT_TRUE(s.Settle());
  EXPECT_EQ(s.tuner().setting(), (Setting{5, 1}));
}

// Slow at first, since its files are cold; the second measurement finds that running ahead pays.
TEST(TunerTest, MeasuresAgain) {
  Pipeline p{0.1, 0.4, 6, 2};
  p.contention = 0.5;
  Simulation s(p, {});
  ASSERT_TRUE(s.Settle());
  ASSERT_FALSE(s.tuner().setting().ahead());
  s.pipeline() = {3, 3, 6, 4};
  const double settled = s.seconds();
  while (!s.tuner().measuring()) {
    s.Step();
    ASSERT_LT(s.seconds(), 100);
  }
  EXPECT_GT(s.seconds() - settled, 25);
  ASSERT_TRUE(s.Settle());
  EXPECT_TRUE(s.tuner().setting().ahead());
  EXPECT_NE(s.reports().find("runs ahead again"), std::string::npos) << s.reports();
}

// Others take the processors: threads that let them run first get next to nothing.
TEST(TunerTest, MeasuresAgainWhenStepsWaitLonger) {
  Simulation s({1, 1, 5, 2}, {});
  ASSERT_TRUE(s.Settle());
  ASSERT_TRUE(s.tuner().setting().ahead());
  s.waited = true;
  for (int i = 0; i < 100; ++i) s.Step();
  EXPECT_FALSE(s.tuner().measuring()) << "waits alone are no news";
  s.waited = false;
  for (int i = 0; i < 100; ++i) s.Step();
  s.pipeline().overhead = 40;
  for (int i = 0; i < 100; ++i) s.Step();
  EXPECT_FALSE(s.tuner().measuring()) << "steps that do not wait are not the stage's to mend";
  s.waited = true;
  for (int i = 0; i < 33 && !s.tuner().measuring(); ++i) s.Step();
  EXPECT_TRUE(s.tuner().measuring());
  ASSERT_TRUE(s.Settle());
  EXPECT_FALSE(s.tuner().setting().ahead());
  const double settled = s.seconds();
  s.pipeline().overhead = 0.01;
  while (!s.tuner().measuring()) {
    s.Step();
    ASSERT_LT(s.seconds() - settled, 200) << "soon again, however long all went well";
  }
  ASSERT_TRUE(s.Settle());
  EXPECT_TRUE(s.tuner().setting().ahead());
}

// Most steps take no time at all, and what is left are pauses.
TEST(TunerTest, AClockThatStandsStill) {
  Tuner tuner({kAutotune, kAutotune, 4});
  Tuner::TimePoint now;
  for (int i = 0; i < 1000; ++i) {
    if (i % 4 == 0) now += std::chrono::seconds(1);
    tuner.OnStep(now, {});
  }
  EXPECT_FALSE(tuner.measuring());
  EXPECT_TRUE(tuner.setting().ahead());
}

// No step is timed over an error, an end of data, or the wait of a stage that may not measure.
TEST(TunerTest, ABreakIsNoStep) {
  Simulation s({1, 1, 5, 2}, {});
  for (int i = 0; i < 3000 && s.tuner().measuring(); ++i) {
    s.tuner().OnBreak();
    s.Step();
  }
  EXPECT_TRUE(s.tuner().measuring());
}

TEST(TunerTest, TheQueueGrowsWhereItRunsEmptyAfterItWasFull) {
  Simulation s({2, 3, 6, 4}, {});
  ASSERT_TRUE(s.Settle());
  s.waited = true;  // never full: reads are too slow, and a longer queue would not help
  for (int i = 0; i < 10; ++i) s.Step();
  EXPECT_EQ(s.tuner().setting().capacity, 2);
  s.waited = false;
  s.full = true;
  s.Step();
  s.waited = true;
  s.full = false;
  for (int i = 0; i < 10; ++i) s.Step();
  EXPECT_EQ(s.tuner().setting().capacity, 4);
}

TEST(TunerTest, TheQueueGrowsWithinItsBudget) {
  TunerConfig config;
  config.budget_bytes = 1000;
  Simulation s({2, 3, 6, 4}, config);
  ASSERT_TRUE(s.Settle());
  for (int i = 0; i < 20; ++i) {
    s.held_bytes = static_cast<std::size_t>(s.tuner().setting().capacity) * 100;
    s.full = i % 2 == 0;
    s.waited = !s.full;
    s.Step();
  }
  EXPECT_EQ(s.tuner().setting().capacity, 8);
}

}  // namespace
}  // namespace headrace::stage
