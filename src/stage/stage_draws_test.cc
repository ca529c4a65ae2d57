// Draws: sources that a ticket reads when its turn comes, such as seeded random ops.
#include <memory>

#include "stage/stage.h"
#include "stage/testing.h"

namespace headrace::stage::testing {
namespace {

using std::make_shared;
using Texts = std::vector<std::string>;

class StageDrawsTest : public Test {
 protected:
  void SetUp() override {
    Test::SetUp();
    source_ = domain_.MakeSource("it", reader_);
    draws_ = domain_.MakeSource("random", draw_reader_, Source::Mode::kOnDraw);
  }
  // "k+d" of a ticket that pairs element k with draw d; the body's result is 1000 k + d.
  static std::string Pair(std::int64_t k, std::int64_t d) {
    return std::to_string(k) + "+" + std::to_string(d) + "=" + std::to_string(1000 * k + d);
  }
  static std::unique_ptr<StageBody> Body() {
    return MakeBody([](const auto& in) { return Number(1000 * ValueOf(in[0]) + ValueOf(in[1])); });
  }

  FakeDomain domain_;
  std::shared_ptr<ReaderControl> reader_ = make_shared<ReaderControl>();
  std::shared_ptr<ReaderControl> draw_reader_ = make_shared<ReaderControl>();
  std::shared_ptr<Source> source_, draws_;
};

TEST_F(StageDrawsTest, EachTicketHasTheDrawOfItsPlace) {
  for (int threads : {1, 4}) {
    for (bool with_body : {true, false}) {
      const auto source = domain_.MakeSource("it", make_shared<ReaderControl>());
      const auto draws =
          domain_.MakeSource("random", make_shared<ReaderControl>(), Source::Mode::kOnDraw);
      const auto stage =
          domain_.MakeStage(Config(3, threads), {source, draws}, with_body ? Body() : nullptr);
      for (int k = 0; k < 200; ++k) {
        const std::string pair = Pair(k, k);
        ASSERT_EQ(TakeOne(stage), with_body ? pair : pair.substr(0, pair.find('=')));
      }
    }
  }
}

TEST_F(StageDrawsTest, SeveralDrawsATicket) {
  const auto more = domain_.MakeSource(
      "more", make_shared<ReaderControl>([](std::int64_t k) { return Number(100 + k); }),
      Source::Mode::kOnDraw);
  const auto stage = domain_.MakeStage(Config(3, 4), {draws_, source_, more});
  for (int k = 0; k < 100; ++k) {
    ASSERT_EQ(TakeOne(stage),
              std::to_string(k) + "+" + std::to_string(k) + "+" + std::to_string(100 + k));
  }
}

// Elements that went elsewhere take no draw with them: the next ticket has it.
TEST_F(StageDrawsTest, DrawsSurviveForeignTakes) {
  const auto stage = domain_.MakeStage(Config(3, 4), {source_, draws_}, Body());
  std::int64_t k = 0;
  for (std::int64_t d = 0; d < 100; ++d) {
    ASSERT_EQ(TakeOne(stage), Pair(k++, d));
    for (int i = 0; i < d % 4; ++i, ++k) {
      ElementPtr element;
      if (source_->TakeDirect(nullptr, &element) == Source::Direct::kReadNow) {
        ASSERT_EQ(ValueOf(reader_->ReadNow().value), k);
        source_->EndDirect();
      } else {
        ASSERT_EQ(ValueOf(element->read.value), k);
      }
    }
  }
  EXPECT_LE(draw_reader_->started.value(), 100 + 7) << "drawn and not used";
}

TEST_F(StageDrawsTest, DrawsSurviveAReset) {
  const auto stage = domain_.MakeStage(Config(3, 2), {source_, draws_}, Body());
  EXPECT_EQ(TakeMany(stage, 2), (Texts{Pair(0, 0), Pair(1, 1)}));
  ASSERT_TRUE(source_->Reset(nullptr).ok());
  reader_->Rewind();
  source_->Resume();
  EXPECT_EQ(TakeMany(stage, 3), (Texts{Pair(0, 2), Pair(1, 3), Pair(2, 4)}));
}

TEST_F(StageDrawsTest, DrawsSurviveTheirStage) {
  {
    const auto stage = domain_.MakeStage(Config(3, 2), {source_, draws_}, Body());
    EXPECT_EQ(TakeMany(stage, 2), (Texts{Pair(0, 0), Pair(1, 1)}));
    ASSERT_TRUE(draw_reader_->finished.Await(4));
  }
  const auto next = domain_.MakeStage(Config(1, 1), {source_, draws_}, Body());
  EXPECT_EQ(TakeMany(next, 3), (Texts{Pair(2, 2), Pair(3, 3), Pair(4, 4)}));
}

TEST_F(StageDrawsTest, TwoStagesShareTheDraws) {
  const auto a = domain_.MakeStage(Config(3, 4), {source_, draws_}, Body());
  const auto b = domain_.MakeStage(Config(1, 2), {source_, draws_}, Body());
  for (int k = 0; k < 200; ++k) ASSERT_EQ(TakeOne(k % 3 == 0 ? b : a), Pair(k, k));
}

TEST_F(StageDrawsTest, StagesOverDifferentSourcesShareTheDraws) {
  const auto other = domain_.MakeSource("other", make_shared<ReaderControl>());
  const auto a = domain_.MakeStage(Config(3, 4), {source_, draws_}, Body());
  const auto b = domain_.MakeStage(Config(1, 2), {other, draws_}, Body());
  for (int k = 0; k < 100; ++k) {
    ASSERT_EQ(TakeOne(a), Pair(k, 2 * k));
    ASSERT_EQ(TakeOne(b), Pair(k, 2 * k + 1));
  }
}

// As without a stage: a random op does not wait for the element, so it runs in every step.
TEST_F(StageDrawsTest, FailedReadsDrawToo) {
  const auto source =
      domain_.MakeSource("it", make_shared<ReaderControl>([](std::int64_t k) {
                           return k == 1 ? Failure(Code::kDataLoss, "bad") : Number(k);
                         }));
  const auto stage = domain_.MakeStage(Config(3, 2), {source, draws_}, Body());
  EXPECT_EQ(TakeMany(stage, 3), (Texts{Pair(0, 0), "DATA_LOSS: bad", Pair(2, 2)}));
}

TEST_F(StageDrawsTest, StepsPastTheEndDrawToo) {
  const auto source =
      domain_.MakeSource("it", make_shared<ReaderControl>([](std::int64_t k) {
                           return k % 5 >= 3 ? Failure(Code::kOutOfRange, "end") : Number(k);
                         }));
  for (int threads : {1, 4}) {
    const auto draws =
        domain_.MakeSource("random", make_shared<ReaderControl>(), Source::Mode::kOnDraw);
    const auto stage = domain_.MakeStage(Config(4, threads), {source, draws}, Body());
    for (std::int64_t d = 0; d < 20; ++d) {
      const std::string got = TakeOne(stage);
      if (d % 5 >= 3) {
        ASSERT_EQ(got, "OUT_OF_RANGE: end");
      } else {
        ASSERT_EQ(got.substr(got.find('+') + 1, got.find('=') - got.find('+') - 1),
                  std::to_string(d));
      }
    }
  }
}

TEST_F(StageDrawsTest, FailedDrawsAreTheirTicketsError) {
  const auto draws =
      domain_.MakeSource("random", make_shared<ReaderControl>([](std::int64_t k) {
                           return k == 1 ? Failure(Code::kInternal, "no entropy") : Number(k);
                         }),
                         Source::Mode::kOnDraw);
  const auto stage = domain_.MakeStage(Config(3, 2), {source_, draws}, Body());
  EXPECT_EQ(TakeMany(stage, 4),
            (Texts{Pair(0, 0), "INTERNAL: no entropy", Pair(2, 2), Pair(3, 3)}));
}

TEST_F(StageDrawsTest, ForeignTakeWhileATicketDraws) {
  draw_reader_->Hold();
  const auto stage = domain_.MakeStage(Config(2, 2), {source_, draws_}, Body());
  ASSERT_TRUE(draw_reader_->started.Await(1));
  PendingTake take(stage.get());
  ElementPtr element;
  ASSERT_EQ(source_->TakeDirect(nullptr, &element), Source::Direct::kElement);
  EXPECT_EQ(ValueOf(element->read.value), 0);
  draw_reader_->AllowAll();
  EXPECT_EQ(take.Await(), Pair(1, 0));
  EXPECT_EQ(TakeOne(stage), Pair(2, 1));
}

TEST_F(StageDrawsTest, ClosingWhileATicketDraws) {
  draw_reader_->Hold();
  auto stage = domain_.MakeStage(Config(2, 2), {source_, draws_}, Body());
  ASSERT_TRUE(draw_reader_->started.Await(1));
  PendingTake take(stage.get());
  draws_->Close();
  EXPECT_EQ(take.Await(), "CANCELLED: stage 'stage_0' is closed: its source 'random' was closed");
  EXPECT_TRUE(draw_reader_->cancelled.Await(1));
  stage.reset();
}

}  // namespace
}  // namespace headrace::stage::testing
