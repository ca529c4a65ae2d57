// What a stage promises while nothing goes wrong: order, bounds, running ahead.
#include "stage/stage.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

#include "stage/testing.h"

namespace headrace::stage::testing {
namespace {

using std::make_shared;
using Texts = std::vector<std::string>;

class StageTest : public Test {
 protected:
  FakeDomain domain_;
  std::shared_ptr<ReaderControl> reader_ = make_shared<ReaderControl>();
  std::shared_ptr<BodyControl> body_ = make_shared<BodyControl>();
};

struct Shape {
  int capacity;
  int num_threads;
};

class StageShapeTest : public StageTest, public ::testing::WithParamInterface<Shape> {
 protected:
  StageConfig config() const { return Config(GetParam().capacity, GetParam().num_threads); }
  int limit() const { return GetParam().capacity + GetParam().num_threads; }
};

INSTANTIATE_TEST_SUITE_P(CapacityAndThreads, StageShapeTest,
                         ::testing::Values(Shape{1, 1}, Shape{2, 1}, Shape{8, 1}, Shape{1, 4},
                                           Shape{2, 4}, Shape{8, 4}),
                         [](const auto& shape) {
                           return "Capacity" + std::to_string(shape.param.capacity) + "Threads" +
                                  std::to_string(shape.param.num_threads);
                         });

TEST_P(StageShapeTest, ResultsComeInTheOrderOfTheElements) {
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(config(), {source}, MakeBody(body_));
  for (int k = 0; k < 200; ++k) {
    ASSERT_EQ(TakeOne(stage), std::to_string(k) + "=" + std::to_string(10 * k));
  }
}

TEST_P(StageShapeTest, ElementsComeInOrderWithoutABody) {
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(config(), {source});
  for (int k = 0; k < 200; ++k) ASSERT_EQ(TakeOne(stage), std::to_string(k));
}

TEST_P(StageShapeTest, BlockingTakesComeInOrder) {
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(config(), {source}, MakeBody(body_));
  for (int k = 0; k < 200; ++k) {
    Taken taken;
    ASSERT_TRUE(stage->Take(&taken).ok());
    ASSERT_EQ(ValueOf(taken.body), 10 * k);
  }
}

// No read begins while as many elements as the bound says are read and not taken.
TEST_P(StageShapeTest, ReadsAheadUpToTheBoundAndNoFurther) {
  std::atomic<int> takes{0};
  std::atomic<int> reads{0};
  std::atomic<int> too_early{0};
  reader_->on_read = [&] { too_early += ++reads > takes.load() + limit(); };
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(config(), {source}, MakeBody(body_));
  for (int k = 0; k < 100; ++k) {
    ASSERT_TRUE(reader_->finished.Await(k + limit()));  // up to the bound
    ++takes;
    ASSERT_EQ(TakeOne(stage), std::to_string(k) + "=" + std::to_string(10 * k));
  }
  EXPECT_EQ(too_early.load(), 0);
}

// At the gate of the first take everything that may be done ahead is done.
TEST_P(StageShapeTest, RunsAheadOfTheFirstTake) {
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(config(), {source}, MakeBody(body_));
  ASSERT_TRUE(body_->finished.Await(limit()));
  EXPECT_EQ(stage->figures().taken, 0);
  EXPECT_EQ(static_cast<int>(source->depth()), limit());
}

TEST_F(StageTest, BodiesThatFinishOutOfOrderAreDeliveredInOrder) {
  body_->Hold(0);
  body_->Hold(2);
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(Config(4, 4), {source}, MakeBody(body_));
  PendingTake first(stage.get());
  PendingTake second(stage.get());
  PendingTake third(stage.get());
  // Two of the four threads are held; the others finish 1, 3 and what else is allowed ahead.
  ASSERT_TRUE(body_->finished.Await(6));
  EXPECT_FALSE(first.finished() || second.finished() || third.finished());
  body_->Release(0);
  EXPECT_EQ(first.Await(), "0=0");
  EXPECT_EQ(second.Await(), "1=10");
  EXPECT_FALSE(third.finished());
  body_->Release(2);
  EXPECT_EQ(third.Await(), "2=20");
  EXPECT_EQ(TakeOne(stage), "3=30");
}

TEST_F(StageTest, BodiesRunOnAsManyThreadsAsAsked) {
  for (int k = 0; k < 3; ++k) body_->Hold(k);
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(Config(8, 3), {source}, MakeBody(body_));
  ASSERT_TRUE(body_->started.Await(3));
  EXPECT_EQ(body_->started.value(), 3);
  for (int k = 0; k < 3; ++k) body_->Release(k);
  EXPECT_EQ(TakeOne(stage), "0=0");
}

// With more consumers than capacity, none of them waits for another's take.
TEST_F(StageTest, ClientsAreServedEachElementOnce) {
  constexpr int kClients = 4, kEach = 250;
  StageConfig config = Config(1, 2);
  config.num_clients = kClients;
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(config, {source}, MakeBody(body_));
  EXPECT_EQ(stage->figures().depth_limit, kClients + 2);
  ASSERT_TRUE(body_->finished.Await(kClients + 2));
  std::vector<std::vector<std::int64_t>> got(kClients);
  std::vector<std::thread> clients;
  for (auto& mine : got) {
    clients.emplace_back([&stage, &mine] {
      for (int i = 0; i < kEach; ++i) {
        Taken taken;
        ASSERT_TRUE(stage->Take(&taken).ok());
        ASSERT_EQ(ValueOf(taken.body), 10 * ValueOf(taken.inputs[0]));
        mine.push_back(ValueOf(taken.inputs[0]));
      }
    });
  }
  for (auto& client : clients) client.join();
  std::vector<std::int64_t> all;
  for (const auto& mine : got) {
    EXPECT_TRUE(std::is_sorted(mine.begin(), mine.end()));
    all.insert(all.end(), mine.begin(), mine.end());
  }
  std::sort(all.begin(), all.end());
  for (int k = 0; k < kClients * kEach; ++k) ASSERT_EQ(all[static_cast<std::size_t>(k)], k);
}

TEST_F(StageTest, WaitingTakesAreServedFirstComeFirstServed) {
  reader_->Hold();
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(Config(2, 1), {source});
  std::vector<PendingTake> takes;
  for (int k = 0; k < 5; ++k) takes.emplace_back(stage.get());
  EXPECT_EQ(stage->figures().waiting, 5);
  Status status;
  Taken taken;
  EXPECT_FALSE(stage->TryTake(&status, &taken));
  reader_->AllowAll();
  for (std::size_t k = 0; k < 5; ++k) EXPECT_EQ(takes[k].Await(), std::to_string(k));
}

TEST_F(StageTest, TryTakeNeverWaits) {
  reader_->Hold();
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(Config(1, 1), {source});
  Status status;
  Taken taken;
  EXPECT_FALSE(stage->TryTake(&status, &taken));
  reader_->Allow(1);
  ASSERT_TRUE(reader_->started.Await(2));  // the first is in the stage
  ASSERT_TRUE(stage->TryTake(&status, &taken));
  EXPECT_EQ(Describe(status, taken), "0");
  EXPECT_FALSE(stage->TryTake(&status, &taken));
}

ReadResult Sized(std::int64_t k, std::size_t bytes) {
  return {Status(), Value(k), bytes};
}

TEST_F(StageTest, BudgetBoundsWhatIsHeld) {
  reader_ = make_shared<ReaderControl>([](std::int64_t k) { return Sized(k, 100); });
  std::shared_ptr<Source> source;
  std::atomic<std::size_t> deepest{0};
  reader_->on_read = [&] { deepest = std::max(deepest.load(), source->depth()); };
  source = domain_.MakeSource("it", reader_);
  StageConfig config = Config(8, 1);
  config.budget_bytes = 250;
  const auto stage = domain_.MakeStage(config, {source});
  for (int k = 0; k < 100; ++k) {
    ASSERT_TRUE(reader_->finished.Await(k + 3));
    ASSERT_EQ(TakeOne(stage), std::to_string(k));
  }
  // 200 bytes leave room; the read that begins then brings it to 300.
  EXPECT_EQ(deepest.load(), 2u);
}

TEST_F(StageTest, BudgetCountsRawAndStaged) {
  reader_ = make_shared<ReaderControl>([](std::int64_t k) { return Sized(k, 100); });
  reader_->Hold();
  std::atomic<int> takes{0};
  std::atomic<int> takes_before_fourth{-1};
  reader_->on_read = [&] {
    if (reader_->started.value() == 4) takes_before_fourth = takes.load();
  };
  const auto source = domain_.MakeSource("it", reader_);
  StageConfig config = Config(8, 1);
  config.budget_bytes = 1000;
  const auto stage = domain_.MakeStage(
      config, {source}, MakeBody([](const auto& in) { return Sized(ValueOf(in[0]), 700); }));
  for (int k = 0; k < 3; ++k) {
    reader_->Allow(1);
    ASSERT_TRUE(AwaitTrue([&] { return stage->figures().depth == k + 1; }));
  }
  EXPECT_EQ(stage->figures().held_bytes, 2400);
  ++takes;
  EXPECT_EQ(TakeOne(stage), "0=0");  // 1600 are left
  ++takes;
  EXPECT_EQ(TakeOne(stage), "1=1");  // 800 are left, which is room
  ASSERT_TRUE(reader_->started.Await(4));
  EXPECT_TRUE(AwaitTrue([&] { return takes_before_fourth.load() >= 0; }));
  EXPECT_EQ(takes_before_fourth.load(), 2);
}

TEST_F(StageTest, BudgetSmallerThanABatchHoldsOne) {
  reader_ = make_shared<ReaderControl>([](std::int64_t k) { return Sized(k, 100); });
  std::shared_ptr<Source> source;
  std::atomic<std::size_t> deepest{0};
  reader_->on_read = [&] { deepest = std::max(deepest.load(), source->depth()); };
  source = domain_.MakeSource("it", reader_);
  StageConfig config = Config(8, 2);
  config.budget_bytes = 1;
  const auto stage = domain_.MakeStage(config, {source}, MakeBody(body_));
  for (int k = 0; k < 50; ++k) {
    ASSERT_TRUE(reader_->finished.Await(k + 1));  // one is held ahead nevertheless
    ASSERT_EQ(TakeOne(stage), std::to_string(k) + "=" + std::to_string(10 * k));
  }
  EXPECT_EQ(deepest.load(), 0u);
}

// Bytes that one source gives up are room for the other.
TEST_F(StageTest, BudgetIsSharedByTheSources) {
  const auto small = make_shared<ReaderControl>([](std::int64_t k) { return Sized(k, 10); });
  const auto large = make_shared<ReaderControl>([](std::int64_t k) { return Sized(k, 1000); });
  large->Hold();
  const auto first = domain_.MakeSource("small", small);
  const auto second = domain_.MakeSource("large", large);
  StageConfig config = Config(1, 1);
  config.budget_bytes = 1000;
  const auto stage = domain_.MakeStage(config, {first, second});
  ASSERT_TRUE(small->finished.Await(2));  // its bound in elements
  large->Allow(1);
  EXPECT_EQ(TakeOne(stage), "0+0");
  // The budget was exceeded while the small element was taken and the large one not yet.
  EXPECT_TRUE(small->finished.Await(3));
}

TEST_F(StageTest, FiguresAddUp) {
  const auto source = domain_.MakeSource("it", make_shared<ReaderControl>(Numbers(6)));
  StageConfig config = Config(2, 1);
  config.tag = "session_1";
  body_ = make_shared<BodyControl>([](const std::vector<Payload>& in) {
    return ValueOf(in[0]) == 3 ? Failure(Code::kInvalidArgument, "three")
                               : Sized(ValueOf(in[0]), 5);
  });
  const auto stage = domain_.MakeStage(config, {source}, MakeBody(body_));
  EXPECT_EQ(TakeMany(stage, 7), (Texts{"0=0", "1=1", "2=2", "INVALID_ARGUMENT: three", "4=4", "5=5",
                                       "OUT_OF_RANGE: End of sequence"}));
  const StageFigures figures = stage->figures();
  EXPECT_EQ(figures.name, "stage_0");
  EXPECT_EQ(figures.tag, "session_1");
  EXPECT_EQ(figures.produced, 5);
  EXPECT_EQ(figures.taken, 5);
  EXPECT_EQ(figures.failed, 2);
  EXPECT_EQ(figures.skipped, 0);
  EXPECT_EQ(figures.discarded, 0);
  EXPECT_EQ(figures.depth, 0);
  EXPECT_EQ(figures.depth_limit, 3);
  EXPECT_EQ(figures.waiting, 0);
  EXPECT_EQ(figures.held_bytes, 0);
  EXPECT_EQ(figures.last_error, "OUT_OF_RANGE: End of sequence");
  const auto all = domain_.get()->Figures();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].taken, 5);
}

TEST_F(StageTest, FiguresOfWaitingAndComputing) {
  reader_->Hold();
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(Config(2, 1), {source}, MakeBody([&](const auto& in) {
                                         domain_.Advance(std::chrono::milliseconds(3));
                                         return Number(ValueOf(in[0]));
                                       }));
  PendingTake take(stage.get());
  ASSERT_TRUE(reader_->started.Await(1));
  domain_.Advance(std::chrono::milliseconds(40));
  EXPECT_EQ(stage->figures().waiting, 1);
  reader_->Allow(1);
  EXPECT_EQ(take.Await(), "0=0");
  EXPECT_EQ(stage->figures().waiting, 0);
  EXPECT_EQ(stage->figures().consumer_wait_us, 43000);
  EXPECT_EQ(stage->figures().read_us, 40000);
  EXPECT_EQ(stage->figures().body_us, 3000);
}

TEST_F(StageTest, FiguresOfBodyThreadsThatWait) {
  reader_->Hold();
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(Config(2, 1), {source}, MakeBody(body_));
  // A round counts if the thread waited already when time passed.
  EXPECT_TRUE(AwaitTrue([&] {
    domain_.Advance(std::chrono::milliseconds(40));
    reader_->Allow(1);
    TakeOne(stage);
    return stage->figures().producer_wait_us >= 40000;
  }));
}

TEST_F(StageTest, FiguresOfWhatIsHeld) {
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(
      Config(2, 1), {source}, MakeBody([](const auto& in) { return Sized(ValueOf(in[0]), 5); }));
  ASSERT_TRUE(AwaitTrue([&] { return stage->figures().depth == 3; }));
  EXPECT_EQ(stage->figures().held_bytes, 3 * (8 + 5));
  EXPECT_EQ(stage->figures().produced, 3);
}

}  // namespace
}  // namespace headrace::stage::testing
