// Errors, the end of data, and sources that do not end together.
#include <atomic>
#include <memory>

#include "stage/stage.h"
#include "stage/testing.h"

namespace headrace::stage::testing {
namespace {

using std::make_shared;
using Texts = std::vector<std::string>;

constexpr char kEnd[] = "OUT_OF_RANGE: End of sequence";

class StageErrorsTest : public Test, public ::testing::WithParamInterface<bool> {
 protected:
  // Every test with the body's threads, and without a body, where other threads deliver.
  bool with_body() const { return GetParam(); }
  std::unique_ptr<Stage> MakeStage(StageConfig config,
                                   const std::vector<std::shared_ptr<Source>>& sources) {
    return domain_.MakeStage(std::move(config), sources,
                             with_body() ? MakeBody(make_shared<BodyControl>()) : nullptr);
  }
  std::string Result(std::int64_t k) const {
    return std::to_string(k) + (with_body() ? "=" + std::to_string(10 * k) : "");
  }

  FakeDomain domain_;
};

INSTANTIATE_TEST_SUITE_P(Body, StageErrorsTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "With" : "Without"; });

// Checks in each read after the one numbered `failed` that a take had begun for it.
class DemandCheck {
 public:
  DemandCheck(ReaderControl* reader, int failed) {
    reader->on_read = [this, reader, failed] {
      // Called after `started` was raised: this read is number started - 1.
      if (reader->started.value() - 1 > failed)
        not_asked_ += reader->started.value() > takes_.load();
    };
  }
  std::string Take(const std::unique_ptr<Stage>& stage) {
    ++takes_;
    return TakeOne(stage);
  }
  int reads_not_asked_for() const { return not_asked_; }

 private:
  std::atomic<int> takes_{0};
  std::atomic<int> not_asked_{0};
};

TEST_P(StageErrorsTest, ErrorIsDeliveredInItsPlaceThenTheSourceIsAskedOnDemand) {
  const auto reader = make_shared<ReaderControl>([](std::int64_t k) {
    return k >= 6 && k < 10 ? Failure(Code::kInvalidArgument, "bad record " + std::to_string(k))
                            : Number(k);
  });
  DemandCheck demand(reader.get(), 6);
  const auto source = domain_.MakeSource("it", reader);
  const auto stage = MakeStage(Config(8, 2), {source});
  ASSERT_TRUE(reader->finished.Await(7));  // six good ones and the error, ahead of every take
  for (int k = 0; k < 6; ++k) EXPECT_EQ(demand.Take(stage), Result(k));
  for (int k = 6; k < 10; ++k) {
    EXPECT_EQ(demand.Take(stage), "INVALID_ARGUMENT: bad record " + std::to_string(k));
    EXPECT_EQ(demand.reads_not_asked_for(), 0);
    EXPECT_EQ(reader->started.value(), k + 1);
  }
  EXPECT_EQ(demand.Take(stage), Result(10));
  ASSERT_TRUE(reader->finished.Await(12)) << "a read succeeded, and it does not read ahead again";
  EXPECT_EQ(demand.Take(stage), Result(11));
  EXPECT_EQ(stage->figures().failed, 4);
}

TEST_P(StageErrorsTest, EndOfDataComesAfterWhatIsBufferedAndEachTakeAsksAgain) {
  const auto reader = make_shared<ReaderControl>(Numbers(3));
  DemandCheck demand(reader.get(), 3);
  const auto source = domain_.MakeSource("it", reader);
  const auto stage = MakeStage(Config(8, 1), {source});
  ASSERT_TRUE(reader->finished.Await(4));
  for (int k = 0; k < 3; ++k) EXPECT_EQ(demand.Take(stage), Result(k));
  for (int k = 3; k < 8; ++k) {
    EXPECT_EQ(demand.Take(stage), kEnd);
    EXPECT_EQ(reader->started.value(), k + 1);
  }
  EXPECT_EQ(demand.reads_not_asked_for(), 0);
}

TEST_P(StageErrorsTest, TakesThatWaitAtTheEndOfDataEachGetIt) {
  const auto reader = make_shared<ReaderControl>(Numbers(2));
  reader->Hold();
  const auto source = domain_.MakeSource("it", reader);
  const auto stage = MakeStage(Config(2, 1), {source});
  std::vector<PendingTake> takes;
  for (int i = 0; i < 5; ++i) takes.emplace_back(stage.get());
  reader->AllowAll();
  EXPECT_EQ(takes[0].Await(), Result(0));
  EXPECT_EQ(takes[1].Await(), Result(1));
  for (std::size_t i = 2; i < 5; ++i) EXPECT_EQ(takes[i].Await(), kEnd);
  EXPECT_EQ(reader->started.value(), 5);
}

TEST_P(StageErrorsTest, IgnoredErrorsAreSkippedAndCounted) {
  const auto reader = make_shared<ReaderControl>([](std::int64_t k) {
    if (k == 8) return EndOfData();
    return k % 2 == 1 ? Failure(Code::kDataLoss, "corrupt " + std::to_string(k)) : Number(k);
  });
  const auto source = domain_.MakeSource("it", reader);
  StageConfig config = Config(2, 1);
  config.ignored_codes = {Code::kDataLoss};
  const auto stage = MakeStage(config, {source});
  EXPECT_EQ(TakeMany(stage, 5), (Texts{Result(0), Result(2), Result(4), Result(6), kEnd}));
  EXPECT_EQ(stage->figures().skipped, 4);
  EXPECT_EQ(stage->figures().failed, 1);
  EXPECT_EQ(stage->figures().taken, 4);
}

TEST_P(StageErrorsTest, IgnoringIsBounded) {
  const auto reader = make_shared<ReaderControl>([](std::int64_t k) {
    return k == 5 ? Number(k) : Failure(Code::kDataLoss, std::to_string(k));
  });
  const auto source = domain_.MakeSource("it", reader);
  StageConfig config = Config(2, 1);
  config.ignored_codes = {Code::kDataLoss};
  config.ignored_limit = 3;
  const auto stage = MakeStage(config, {source});
  // 0 1 2 skipped, 3 delivered, 4 skipped, 5 taken, then the count starts over: 6 7 8 skipped.
  EXPECT_EQ(TakeMany(stage, 3), (Texts{"DATA_LOSS: 3", Result(5), "DATA_LOSS: 9"}));
  EXPECT_EQ(stage->figures().skipped, 7);
  EXPECT_EQ(stage->figures().last_error, "DATA_LOSS: 9");
}

TEST_P(StageErrorsTest, IgnoringWithoutABound) {
  const auto reader = make_shared<ReaderControl>(
      [](std::int64_t k) { return k < 5000 ? Failure(Code::kDataLoss, "x") : Number(k); });
  const auto source = domain_.MakeSource("it", reader);
  StageConfig config = Config(2, 1);
  config.ignored_codes = {Code::kDataLoss};
  config.ignored_limit = 0;
  const auto stage = MakeStage(config, {source});
  EXPECT_EQ(TakeOne(stage), Result(5000));
  EXPECT_EQ(stage->figures().skipped, 5000);
}

TEST_P(StageErrorsTest, ClosedCodesMeanTheEndOfData) {
  const auto reader = make_shared<ReaderControl>([](std::int64_t k) {
    return k == 0 ? Failure(Code::kUnavailable, "the server has left")
                  : Failure(Code::kOutOfRange, "end");
  });
  const auto source = domain_.MakeSource("it", reader);
  StageConfig config = Config(2, 1);
  config.closed_codes = {Code::kUnavailable};
  const auto stage = MakeStage(config, {source});
  EXPECT_EQ(TakeMany(stage, 2), (Texts{"OUT_OF_RANGE: the server has left", "OUT_OF_RANGE: end"}));
}

// Each element of the other source that was consumed with an error is gone, as without a stage; the
// sources behind the failed one keep theirs.
TEST_P(StageErrorsTest, ErrorConsumesTheSourcesUpToTheOneThatFailed) {
  const auto a = make_shared<ReaderControl>();
  const auto b = make_shared<ReaderControl>(
      [](std::int64_t k) { return k == 1 ? Failure(Code::kDataLoss, "b1") : Number(100 + k); });
  const auto c = make_shared<ReaderControl>([](std::int64_t k) { return Number(200 + k); });
  const auto stage = domain_.MakeStage(
      Config(2, 1),
      {domain_.MakeSource("a", a), domain_.MakeSource("b", b), domain_.MakeSource("c", c)},
      with_body() ? MakeBody([](const auto&) { return Number(7); }) : nullptr);
  const std::string body = with_body() ? "=7" : "";
  EXPECT_EQ(TakeMany(stage, 4),
            (Texts{"0+100+200" + body, "DATA_LOSS: b1", "2+102+201" + body, "3+103+202" + body}));
}

TEST_P(StageErrorsTest, SourcesOfUnequalLength) {
  const auto a = make_shared<ReaderControl>(Numbers(10));
  const auto b = make_shared<ReaderControl>(Numbers(2));
  const auto source_a = domain_.MakeSource("a", a);
  const auto stage =
      domain_.MakeStage(Config(2, 1), {source_a, domain_.MakeSource("b", b)},
                        with_body() ? MakeBody([](const auto&) { return Number(7); }) : nullptr);
  const std::string body = with_body() ? "=7" : "";
  EXPECT_EQ(TakeMany(stage, 4), (Texts{"0+0" + body, "1+1" + body, kEnd, kEnd}));
  ASSERT_TRUE(a->finished.Await(5));
  ElementPtr element;  // two pairs and two errors took four of `a`
  ASSERT_EQ(source_a->TakeDirect(nullptr, &element), Source::Direct::kElement);
  EXPECT_EQ(element->sequence, 4u);
}

class StageBodyErrorsTest : public Test {
 protected:
  FakeDomain domain_;
};

TEST_F(StageBodyErrorsTest, BodyErrorIsDeliveredInItsPlaceAndStopsNothing) {
  const auto reader = make_shared<ReaderControl>();
  const auto body = make_shared<BodyControl>([](const auto& in) {
    const std::int64_t k = ValueOf(in[0]);
    return k == 2 || k == 3 ? Failure(Code::kInvalidArgument, "body " + std::to_string(k))
                            : Number(k);
  });
  const auto stage =
      domain_.MakeStage(Config(8, 4), {domain_.MakeSource("it", reader)}, MakeBody(body));
  ASSERT_TRUE(body->finished.Await(12));  // the error keeps nothing behind it from being computed
  EXPECT_EQ(TakeMany(stage, 5),
            (Texts{"0=0", "1=1", "INVALID_ARGUMENT: body 2", "INVALID_ARGUMENT: body 3", "4=4"}));
  EXPECT_EQ(stage->figures().failed, 2);
}

TEST_F(StageBodyErrorsTest, IgnoredBodyErrorsAreSkipped) {
  const auto stage = domain_.MakeStage(
      [] {
        StageConfig config = Config(4, 2);
        config.ignored_codes = {Code::kDataLoss};
        return config;
      }(),
      {domain_.MakeSource("it", make_shared<ReaderControl>(Numbers(6)))},
      MakeBody([](const auto& in) {
        return ValueOf(in[0]) < 5 ? Failure(Code::kDataLoss, "bad") : Number(ValueOf(in[0]));
      }));
  EXPECT_EQ(TakeMany(stage, 2), (Texts{"5=5", kEnd}));
  EXPECT_EQ(stage->figures().skipped, 5);
}

// An optional without an element is a value of its own, at each take anew.
TEST_F(StageBodyErrorsTest, AdaptTurnsTheEndOfDataIntoAValue) {
  const auto reader = make_shared<ReaderControl>(
      [](std::int64_t k) { return k == 1 ? Failure(Code::kDataLoss, "bad") : Numbers(3)(k); });
  const auto adapt = [](const ReadResult& read) {
    return read.status.code() == Code::kOutOfRange ? Number(-2) : read;
  };
  const auto body = make_shared<BodyControl>();
  Stage stage(domain_.get(), Config(4, 2), {{domain_.MakeSource("it", reader), adapt}},
              MakeBody(body));
  Texts got;
  for (int i = 0; i < 5; ++i) got.push_back(TakeOne(&stage));
  EXPECT_EQ(got, (Texts{"0=0", "DATA_LOSS: bad", "2=20", "-2=-20", "-2=-20"}));
  EXPECT_EQ(reader->started.value(), 5) << "not on demand";
  EXPECT_EQ(stage.figures().failed, 1);
}

}  // namespace
}  // namespace headrace::stage::testing
