// Stages that run nothing ahead, and stages that change their setting while they run.
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "stage/stage.h"
#include "stage/testing.h"

namespace headrace::stage::testing {
namespace {

using std::make_shared;

const Runner kStepThreads = [](const std::function<void()>& task) { task(); };

class InStepTest : public Test {
 protected:
  FakeDomain domain_;
  std::shared_ptr<ReaderControl> reader_ = make_shared<ReaderControl>();
  std::shared_ptr<BodyControl> body_ = make_shared<BodyControl>();
};

TEST_F(InStepTest, ResultsComeInOrderAndNothingIsReadBeforeATakeWaits) {
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(Config(0, 1), {source}, MakeBody(body_));
  for (int k = 0; k < 100; ++k) {
    ASSERT_EQ(TakeOne(stage), std::to_string(k) + "=" + std::to_string(10 * k));
    ASSERT_EQ(reader_->started.value(), k + 1);
    ASSERT_EQ(source->depth(), 0u);
  }
  EXPECT_EQ(stage->figures().capacity, 0);
}

TEST_F(InStepTest, WithoutABody) {
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(Config(0, 1), {source});
  for (int k = 0; k < 100; ++k) ASSERT_EQ(TakeOne(stage), std::to_string(k));
}

TEST_F(InStepTest, BodiesGetTheThreadsOfTheStepThatWaits) {
  const auto source = domain_.MakeSource("it", reader_);
  const auto in_step = domain_.MakeStage(Config(0, 1), {source}, MakeBody(body_));
  for (int k = 0; k < 10; ++k) PendingTake(in_step.get(), kStepThreads).Await();
  EXPECT_EQ(body_->in_steps.value(), 10);
  const auto ahead = domain_.MakeStage(Config(1, 1), {source}, MakeBody(body_));
  for (int k = 0; k < 10; ++k) PendingTake(ahead.get(), kStepThreads).Await();
  EXPECT_EQ(body_->in_steps.value(), 10);
}

TEST_F(InStepTest, AnElementOfATakeThatEndedIsForTheNext) {
  reader_->Hold();
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(Config(0, 1), {source}, MakeBody(body_));
  const PendingTake ended(stage.get());
  ASSERT_TRUE(reader_->started.Await(1));
  stage->EndWait(ended.id(), Status(Code::kCancelled, "the step was cancelled"));
  reader_->AllowAll();
  ASSERT_TRUE(AwaitTrue([&] { return source->depth() == 1; }));
  EXPECT_EQ(TakeOne(stage), "0=0");
  EXPECT_EQ(reader_->started.value(), 1);
  EXPECT_EQ(TakeOne(stage), "1=10");
}

TEST_F(InStepTest, SeveralTakesWaitAndAreServedInOrder) {
  body_->Hold(0);
  StageConfig config = Config(0, 2);
  config.num_clients = 2;
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(config, {source}, MakeBody(body_));
  const PendingTake first(stage.get());
  const PendingTake second(stage.get());
  ASSERT_TRUE(body_->finished.Await(1));  // the second's, beside the first's
  EXPECT_FALSE(first.finished() || second.finished());
  body_->Release(0);
  EXPECT_EQ(first.Await(), "0=0");
  EXPECT_EQ(second.Await(), "1=10");
  EXPECT_EQ(reader_->started.value(), 2);
}

TEST_F(InStepTest, ErrorsAndTheEndComeInTheirPlace) {
  reader_ = make_shared<ReaderControl>([](std::int64_t k) {
    if (k == 2) return Failure(Code::kDataLoss, "bad record");
    return k < 4 ? Number(k) : EndOfData();
  });
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(Config(0, 1), {source}, MakeBody(body_));
  const auto texts = TakeMany(stage, 6);
  EXPECT_EQ(texts, (std::vector<std::string>{"0=0", "1=10", "DATA_LOSS: bad record", "3=30",
                                             "OUT_OF_RANGE: End of sequence",
                                             "OUT_OF_RANGE: End of sequence"}));
}

TEST_F(InStepTest, DrawsAndResets) {
  const auto draws = make_shared<ReaderControl>([](std::int64_t k) { return Number(100 + k); });
  const auto source = domain_.MakeSource("it", reader_);
  const auto random = domain_.MakeSource("random", draws, Source::Mode::kOnDraw);
  const auto stage = domain_.MakeStage(Config(0, 1), {source, random}, MakeBody(body_));
  EXPECT_EQ(TakeMany(stage, 2), (std::vector<std::string>{"0+100=0", "1+101=10"}));
  ASSERT_TRUE(source->Reset(nullptr).ok());
  reader_->Rewind();
  source->Resume();
  EXPECT_EQ(TakeOne(stage), "0+102=0");
  EXPECT_EQ(draws->started.value(), 3);
}

// Elements that another stage of the source read ahead are used first.
TEST_F(InStepTest, BesideAStageThatReadsAhead) {
  const auto source = domain_.MakeSource("it", reader_);
  const auto ahead = domain_.MakeStage(Config(4, 1), {source}, MakeBody(body_));
  const auto in_step = domain_.MakeStage(Config(0, 1), {source}, MakeBody(body_));
  ASSERT_TRUE(AwaitTrue([&] { return source->depth() == 5; }));
  for (int k = 0; k < 30; k += 2) {
    ASSERT_EQ(TakeOne(in_step), std::to_string(k) + "=" + std::to_string(10 * k));
    ASSERT_EQ(TakeOne(ahead), std::to_string(k + 1) + "=" + std::to_string(10 * (k + 1)));
  }
}

TEST_F(InStepTest, AWaitTimesOutAndConsumesNothing) {
  reader_->Hold();
  const auto source = domain_.MakeSource("it", reader_);
  StageConfig config = Config(0, 1);
  config.timeout = std::chrono::seconds(5);
  const auto stage = domain_.MakeStage(config, {source}, MakeBody(body_));
  const PendingTake take(stage.get());
  ASSERT_TRUE(reader_->started.Await(1));
  domain_.Advance(std::chrono::seconds(6));
  EXPECT_EQ(take.Await().substr(0, 17), "DEADLINE_EXCEEDED");
  reader_->AllowAll();
  EXPECT_EQ(TakeOne(stage), "0=0");
}

class AutotuneTest : public InStepTest {
 protected:
  static StageConfig Auto(const char* name) {
    StageConfig config = Config(kAutotune, kAutotune);
    config.name = name;
    config.max_threads = 4;
    return config;
  }
  // A step: time passes as if one took `ahead` ms where the stage runs ahead, and else `in_step`.
  // A queue is never empty when a step comes, so it does not grow.
  void Step(const std::unique_ptr<Stage>& stage, int ahead, int in_step) {
    const bool runs_ahead = stage->figures().capacity > 0;
    ASSERT_TRUE(!runs_ahead || AwaitTrue([&] { return stage->figures().depth > 0; }));
    domain_.Advance(std::chrono::milliseconds(runs_ahead ? ahead : in_step));
    ASSERT_EQ(TakeOne(stage), std::to_string(next_) + "=" + std::to_string(10 * next_));
    ++next_;
  }

  std::int64_t next_ = 0;
};

TEST_F(AutotuneTest, RunsInTheStepWhereThatIsFasterAndSaysSo) {
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(Auto("s"), {source}, MakeBody(body_));
  std::set<int> capacities;
  for (int k = 0; k < 1000; ++k) {
    ASSERT_NO_FATAL_FAILURE(Step(stage, 12, 10));
    capacities.insert(stage->figures().capacity);
  }
  EXPECT_EQ(capacities, (std::set<int>{0, 2}));
  EXPECT_FALSE(stage->figures().measuring);
  EXPECT_EQ(stage->figures().capacity, 0);
  ASSERT_EQ(domain_.log().size(), 1u);
  EXPECT_EQ(domain_.log()[0].find("stage 's' runs in the step: ahead, a step takes 12 ms, in the "
                                  "step 10 ms"),
            0u)
      << domain_.log()[0];
  EXPECT_EQ(source->depth(), 0u);
}

TEST_F(AutotuneTest, RunsAheadWhereThatIsFaster) {
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(Auto("s"), {source}, MakeBody(body_));
  for (int k = 0; k < 1000; ++k) ASSERT_NO_FATAL_FAILURE(Step(stage, 10, 12));
  EXPECT_FALSE(stage->figures().measuring);
  EXPECT_EQ(stage->figures().capacity, 2);
  EXPECT_TRUE(domain_.log().empty());
  ASSERT_TRUE(AwaitTrue([&] { return stage->figures().depth == 3; }));
}

TEST_F(AutotuneTest, ItsThreadsLetOthersRunFirst) {
  const auto niceness = [&](const StageConfig& config) {
    std::atomic<int> found{-1};
    const auto body = [&](const std::vector<Payload>& inputs) {
      found = getpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)));
      return ReadResult{Status(), inputs[0], 0};
    };
    const auto source = domain_.MakeSource("it", make_shared<ReaderControl>());
    const auto stage = domain_.MakeStage(config, {source}, MakeBody(body));
    TakeOne(stage);
    stage->Close();
    return found.load();
  };
  const int mine = getpriority(PRIO_PROCESS, 0);
  EXPECT_EQ(niceness(Auto("s")), 19);
  EXPECT_EQ(niceness(Config(2, kAutotune)), mine) << "who says how far ahead gets what that costs";
  EXPECT_EQ(niceness(Config(2, 1)), mine);
}

// The first to take a step measures; the other waits for its turn, and loses nothing by it.
TEST_F(AutotuneTest, OneStageMeasuresAtATime) {
  const auto other_reader = make_shared<ReaderControl>();
  const auto source = domain_.MakeSource("it", reader_);
  const auto other_source = domain_.MakeSource("other", other_reader);
  const auto stage = domain_.MakeStage(Auto("s"), {source}, MakeBody(body_));
  const auto other = domain_.MakeStage(Auto("t"), {other_source}, MakeBody(body_));
  for (int k = 0; stage->figures().measuring; ++k) {
    ASSERT_LT(k, 1000);
    ASSERT_NO_FATAL_FAILURE(Step(stage, 12, 10));
    ASSERT_EQ(other->figures().capacity, 2) << "while the first one measures";
    ASSERT_EQ(TakeOne(other), std::to_string(k) + "=" + std::to_string(10 * k));
  }
  std::set<int> capacities;
  for (int k = 0; other->figures().measuring; ++k) {
    ASSERT_LT(k, 1000);
    ASSERT_NO_FATAL_FAILURE(Step(stage, 12, 10));
    TakeOne(other);
    capacities.insert(other->figures().capacity);
  }
  EXPECT_EQ(capacities, (std::set<int>{0, 2}));
}

// A stage that measures and is then used no more does not keep others from it.
TEST_F(AutotuneTest, MeasuringLapses) {
  const auto other_source = domain_.MakeSource("other", make_shared<ReaderControl>());
  const auto other = domain_.MakeStage(Auto("t"), {other_source}, MakeBody(body_));
  TakeMany(other, 10);
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(Auto("s"), {source}, MakeBody(body_));
  for (int k = 0; k < 1000; ++k) ASSERT_NO_FATAL_FAILURE(Step(stage, 12, 10));
  EXPECT_FALSE(stage->figures().measuring);
}

}  // namespace
}  // namespace headrace::stage::testing
