// Several consumers of the same sources: other stages, and takes without a stage.
#include <atomic>
#include <memory>
#include <thread>

#include "stage/stage.h"
#include "stage/testing.h"

namespace headrace::stage::testing {
namespace {

using std::make_shared;
using Texts = std::vector<std::string>;

class StageSharingTest : public Test {
 protected:
  static StageConfig Named(const std::string& name, int capacity, int num_threads) {
    StageConfig config = Config(capacity, num_threads);
    config.name = name;
    return config;
  }
  // The next element, without a stage, as an unstaged op would get it.
  static std::int64_t TakeDirect(Source* source, ReaderControl* reader) {
    ElementPtr element;
    if (source->TakeDirect(nullptr, &element) == Source::Direct::kElement)
      return ValueOf(element->read.value);
    const ReadResult read = reader->ReadNow();
    source->EndDirect();
    return ValueOf(read.value);
  }

  FakeDomain domain_;
  std::shared_ptr<ReaderControl> reader_ = make_shared<ReaderControl>();
};

TEST_F(StageSharingTest, TwoStagesAlternate) {
  const auto source = domain_.MakeSource("it", reader_);
  const auto a =
      domain_.MakeStage(Named("a", 2, 2), {source}, MakeBody(make_shared<BodyControl>()));
  const auto b =
      domain_.MakeStage(Named("b", 4, 1), {source},
                        MakeBody([](const auto& in) { return Number(1000 + ValueOf(in[0])); }));
  for (int k = 0; k < 200; ++k) {
    const std::string text = std::to_string(k) + "=";
    if (k % 2 == 0) {
      ASSERT_EQ(TakeOne(a), text + std::to_string(10 * k));
    } else {
      ASSERT_EQ(TakeOne(b), text + std::to_string(1000 + k));
    }
  }
}

TEST_F(StageSharingTest, TwoStagesAndAnUnstagedConsumerTakeTurns) {
  const auto source = domain_.MakeSource("it", reader_);
  const auto a =
      domain_.MakeStage(Named("a", 2, 2), {source}, MakeBody(make_shared<BodyControl>()));
  const auto b = domain_.MakeStage(Named("b", 1, 1), {source});
  for (int k = 0; k < 300; k += 6) {
    ASSERT_EQ(TakeOne(a), std::to_string(k) + "=" + std::to_string(10 * k));
    ASSERT_EQ(TakeDirect(source.get(), reader_.get()), k + 1);
    ASSERT_EQ(TakeOne(b), std::to_string(k + 2));
    for (int i = 3; i < 6; ++i) ASSERT_EQ(TakeDirect(source.get(), reader_.get()), k + i);
  }
}

TEST_F(StageSharingTest, TakesWaitingOnTwoStagesAreServedInOrder) {
  reader_->Hold();
  const auto source = domain_.MakeSource("it", reader_);
  const auto a = domain_.MakeStage(Named("a", 2, 1), {source});
  const auto b = domain_.MakeStage(Named("b", 2, 1), {source});
  const PendingTake takes[] = {PendingTake(b.get()), PendingTake(a.get()), PendingTake(a.get()),
                               PendingTake(b.get()), PendingTake(a.get())};
  reader_->AllowAll();
  for (int k = 0; k < 5; ++k) EXPECT_EQ(takes[k].Await(), std::to_string(k)) << k;
}

// One delivery lets the other stage deliver, which lets the first deliver again, and so on.
TEST_F(StageSharingTest, ADeliveryThatLetsTheOtherStageDeliver) {
  const auto source = domain_.MakeSource("it", reader_);
  const auto body_a = make_shared<BodyControl>();
  const auto body_b = make_shared<BodyControl>();
  body_a->Hold(0);
  body_b->Hold(0);
  const auto a = domain_.MakeStage(Named("a", 2, 2), {source}, MakeBody(body_a));
  const auto b = domain_.MakeStage(Named("b", 2, 2), {source}, MakeBody(body_b));
  ASSERT_TRUE(AwaitTrue([&] { return a->figures().depth == 3 && b->figures().depth == 3; }));
  PendingTake first(a.get()), second(b.get()), third(a.get()), fourth(b.get());
  EXPECT_FALSE(first.finished() || second.finished() || third.finished() || fourth.finished());
  body_a->Release(0);
  EXPECT_EQ(first.Await(), "0=0");
  EXPECT_EQ(second.Await(), "1=10");
  EXPECT_EQ(third.Await(), "2=20");
  EXPECT_EQ(fourth.Await(), "3=30");
  body_b->Release(0);
  EXPECT_EQ(TakeOne(a), "4=40");
}

// A stage stops computing for nobody while others consume its source, and goes on when asked.
TEST_F(StageSharingTest, UnusedStageSleepsUntilItIsAsked) {
  const auto source = domain_.MakeSource("it", reader_);
  const auto body = make_shared<BodyControl>();
  body->Hold(0);
  const auto sleeper = domain_.MakeStage(Named("sleeper", 2, 1), {source}, MakeBody(body));
  ASSERT_TRUE(body->started.Await(1));
  const auto other = domain_.MakeStage(Named("other", 2, 1), {source});
  EXPECT_EQ(TakeMany(other, 5), (Texts{"0", "1", "2", "3", "4"}));
  body->Release(0);
  ASSERT_TRUE(body->finished.Await(1));
  for (int k = 5; k < 100; ++k) ASSERT_EQ(TakeOne(other), std::to_string(k));
  EXPECT_EQ(sleeper->figures().depth, 0);
  EXPECT_EQ(TakeOne(sleeper), "100=1000");
  EXPECT_EQ(body->order()[1], 100) << "computed while it should sleep";
  ASSERT_TRUE(body->finished.Await(4)) << "does not run ahead after it woke";
}

TEST_F(StageSharingTest, NobodyReadsAheadForSleepingStages) {
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(Named("sleeper", 2, 1), {source});
  ASSERT_TRUE(reader_->finished.Await(3));
  for (int k = 0; k < 20; ++k) ASSERT_EQ(TakeDirect(source.get(), reader_.get()), k);
  const int reads = reader_->started.value();
  EXPECT_LT(reads, 12);
  EXPECT_EQ(TakeOne(stage), "20");
}

// The body of an element that went elsewhere is still running: its result is counted and dropped.
TEST_F(StageSharingTest, ResultForAnElementThatWentElsewhereIsDropped) {
  reader_ = make_shared<ReaderControl>(Numbers(3));
  const auto source = domain_.MakeSource("it", reader_);
  const auto body = make_shared<BodyControl>();
  body->Hold(0);
  const auto stage = domain_.MakeStage(Named("a", 2, 2), {source}, MakeBody(body));
  ASSERT_TRUE(body->started.Await(1));
  ASSERT_TRUE(AwaitTrue([&] { return stage->figures().depth == 3; }));  // 1, 2, the end
  ASSERT_EQ(TakeDirect(source.get(), reader_.get()), 0);
  body->Release(0);
  ASSERT_TRUE(AwaitTrue([&] { return stage->figures().discarded == 1; }));
  EXPECT_EQ(TakeMany(stage, 3), (Texts{"1=10", "2=20", "OUT_OF_RANGE: End of sequence"}));
  EXPECT_EQ(stage->figures().produced, 3);
  EXPECT_EQ(stage->figures().discarded, 1);
  EXPECT_EQ(stage->figures().held_bytes, 0);
}

// A stage with a take that waits never sleeps, whoever else consumes.
TEST_F(StageSharingTest, WaitingTakeKeepsAStageAwake) {
  const auto source = domain_.MakeSource("it", reader_);
  const auto body = make_shared<BodyControl>();
  for (int k = 0; k < 10; ++k) body->Hold(k);
  const auto stage = domain_.MakeStage(Named("a", 2, 1), {source}, MakeBody(body));
  ASSERT_TRUE(body->started.Await(1));
  PendingTake take(stage.get());
  for (int k = 0; k < 10; ++k) ASSERT_EQ(TakeDirect(source.get(), reader_.get()), k);
  for (int k = 0; k < 10; ++k) body->Release(k);
  EXPECT_EQ(take.Await(), "10=100");
}

class ZipTest : public StageSharingTest {
 protected:
  void SetUp() override {
    StageSharingTest::SetUp();
    first_ = domain_.MakeSource("first", reader_);
    second_ = domain_.MakeSource("second", other_reader_);
  }
  std::unique_ptr<StageBody> Sum() {
    return MakeBody([](const auto& in) { return Number(ValueOf(in[0]) + ValueOf(in[1])); });
  }

  std::shared_ptr<ReaderControl> other_reader_ = make_shared<ReaderControl>();
  std::shared_ptr<Source> first_, second_;
};

// Each ticket pairs the next element of each source, as two unstaged reads would.
TEST_F(ZipTest, ForeignTakesOfOneSourceShiftThePairs) {
  const auto stage = domain_.MakeStage(Named("zip", 3, 2), {first_, second_}, Sum());
  std::int64_t f = 0, s = 0;
  for (int round = 0; round < 60; ++round) {
    const std::string pair = std::to_string(f) + "+" + std::to_string(s);
    ASSERT_EQ(TakeOne(stage), pair + "=" + std::to_string(f + s));
    ++f, ++s;
    for (int i = 0; i < round % 4; ++i) ASSERT_EQ(TakeDirect(first_.get(), reader_.get()), f++);
    if (round % 5 != 0) continue;
    ASSERT_EQ(TakeDirect(second_.get(), other_reader_.get()), s++);
  }
}

TEST_F(ZipTest, AnotherStageOverOneOfTheSources) {
  const auto zip = domain_.MakeStage(Named("zip", 2, 1), {first_, second_}, Sum());
  const auto single = domain_.MakeStage(Named("single", 2, 1), {second_});
  for (int k = 0; k < 50; ++k) {
    const std::string pair = std::to_string(k) + "+" + std::to_string(2 * k);
    ASSERT_EQ(TakeOne(zip), pair + "=" + std::to_string(3 * k));
    ASSERT_EQ(TakeOne(single), std::to_string(2 * k + 1));
  }
}

// Both stages wait for the same source; one delivery must take from both sources before the other
// stage looks at them.
TEST_F(ZipTest, ATicketIsTakenFromAllSourcesAtOnce) {
  other_reader_->Hold();
  const auto a = domain_.MakeStage(Named("a", 3, 1), {first_, second_});
  const auto b = domain_.MakeStage(Named("b", 3, 1), {first_, second_});
  ASSERT_TRUE(AwaitTrue([&] { return first_->depth() == 4; }));
  PendingTake one(a.get()), two(b.get()), three(a.get());
  other_reader_->Allow(1);
  EXPECT_EQ(one.Await(), "0+0");
  EXPECT_FALSE(two.finished() || three.finished());
  other_reader_->AllowAll();
  EXPECT_EQ(two.Await(), "1+1");
  EXPECT_EQ(three.Await(), "2+2");
}

// What the other stage takes as a whole moves this stage's tickets up; nothing is computed twice.
TEST_F(ZipTest, WholeTicketsOfAnotherStageKeepWhatWasComputed) {
  const auto body = make_shared<BodyControl>();
  const auto a = domain_.MakeStage(Named("a", 3, 1), {first_, second_}, MakeBody(body));
  const auto b = domain_.MakeStage(Named("b", 3, 1), {first_, second_});
  ASSERT_TRUE(AwaitTrue([&] { return a->figures().depth == 4; }));
  EXPECT_EQ(TakeOne(b), "0+0");
  EXPECT_EQ(TakeMany(a, 3), (Texts{"1+1=10", "2+2=20", "3+3=30"}));
  const auto order = body->order();
  for (std::size_t k = 0; k < 4; ++k) EXPECT_EQ(order[k], static_cast<std::int64_t>(k));
  EXPECT_EQ(a->figures().discarded, 1);
}

TEST_F(ZipTest, ResetOfOneSourceKeepsTheOther) {
  const auto stage = domain_.MakeStage(Named("zip", 2, 2), {first_, second_}, Sum());
  EXPECT_EQ(TakeMany(stage, 3), (Texts{"0+0=0", "1+1=2", "2+2=4"}));
  ASSERT_TRUE(first_->Reset(nullptr).ok());
  PendingTake take(stage.get());
  reader_->Rewind();
  first_->Resume();
  EXPECT_EQ(take.Await(), "0+3=3");
  EXPECT_EQ(TakeMany(stage, 2), (Texts{"1+4=5", "2+5=7"}));
}

TEST_F(ZipTest, ClosingOneSourceEndsTheStageAndKeepsTheOther) {
  const auto stage = domain_.MakeStage(Named("zip", 2, 2), {first_, second_}, Sum());
  EXPECT_EQ(TakeOne(stage), "0+0=0");
  first_->Close();
  EXPECT_EQ(TakeOne(stage), "CANCELLED: stage 'zip' is closed: its source 'first' was closed");
  EXPECT_EQ(TakeDirect(second_.get(), other_reader_.get()), 1);
}

}  // namespace
}  // namespace headrace::stage::testing
