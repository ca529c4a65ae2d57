// State that tickets carry: made one from the other ahead of the steps, written when a step takes
// its ticket.
#include <memory>
#include <optional>

#include "stage/stage.h"
#include "stage/testing.h"

namespace headrace::stage::testing {
namespace {

using std::make_shared;
using Texts = std::vector<std::string>;

// A number that each element finds and leaves one higher; others may write it, too.
class Variable {
 public:
  explicit Variable(std::int64_t value) : value_(value) {}
  std::int64_t Get() const {
    std::lock_guard<std::mutex> lock(mu_);
    return value_;
  }
  void Set(std::int64_t value) {
    std::lock_guard<std::mutex> lock(mu_);
    value_ = value;
  }

 private:
  mutable std::mutex mu_;
  std::int64_t value_;
};

class FakeState : public StateReader {
 public:
  FakeState(std::shared_ptr<Variable> variable, std::shared_ptr<ReaderControl> control)
      : variable_(std::move(variable)), control_(std::move(control)) {}

  ReadResult Read(Cancellation* cancel) override {
    std::int64_t before = 0;
    int rewinds = 0;
    {
      std::lock_guard<std::mutex> lock(mu_);
      before = next_.value_or(variable_->Get());
      rewinds = rewinds_;
    }
    const ReadResult read = control_->Read(cancel);  // as long as the test wants it to last
    if (!read.status.ok()) return read;
    std::lock_guard<std::mutex> lock(mu_);
    if (rewinds == rewinds_) next_ = before + 1;
    return Number(before);
  }
  bool Holds(const Payload& element) override { return variable_->Get() == ValueOf(element); }
  void Commit(const Payload& element) override { variable_->Set(ValueOf(element) + 1); }
  void Rewind() override {
    std::lock_guard<std::mutex> lock(mu_);
    next_.reset();
    ++rewinds_;
  }

 private:
  const std::shared_ptr<Variable> variable_;
  const std::shared_ptr<ReaderControl> control_;
  std::mutex mu_;
  std::optional<std::int64_t> next_;
  int rewinds_ = 0;
};

class StageStateTest : public Test {
 protected:
  std::shared_ptr<Source> MakeState() {
    return make_shared<Source>(domain_.get(), "seed",
                               std::make_unique<FakeState>(variable_, state_reader_));
  }
  std::unique_ptr<Stage> MakeStage(int capacity, int threads) {
    return domain_.MakeStage(
        Config(capacity, threads), {source_, MakeState()},
        MakeBody([](const auto& in) { return Number(1000 * ValueOf(in[0]) + ValueOf(in[1])); }));
  }
  static std::string Pair(std::int64_t k, std::int64_t state) {
    return std::to_string(k) + "+" + std::to_string(state) + "=" + std::to_string(1000 * k + state);
  }

  FakeDomain domain_;
  std::shared_ptr<ReaderControl> reader_ = make_shared<ReaderControl>();
  std::shared_ptr<ReaderControl> state_reader_ = make_shared<ReaderControl>();
  std::shared_ptr<Variable> variable_ = make_shared<Variable>(5);
  std::shared_ptr<Source> source_ = domain_.MakeSource("it", reader_);
};

TEST_F(StageStateTest, IsWrittenWhenAStepTakesItsTicket) {
  for (int capacity : {0, 1, 4}) {
    for (int threads : {1, 3}) {
      const auto source = domain_.MakeSource("it", make_shared<ReaderControl>());
      variable_->Set(5);
      const auto stage = domain_.MakeStage(
          Config(capacity, threads), {source, MakeState()},
          MakeBody([](const auto& in) { return Number(1000 * ValueOf(in[0]) + ValueOf(in[1])); }));
      EXPECT_EQ(variable_->Get(), 5) << "reading ahead writes nothing";
      for (int k = 0; k < 100; ++k) {
        ASSERT_EQ(TakeOne(stage), Pair(k, 5 + k));
        ASSERT_EQ(variable_->Get(), 6 + k);
      }
    }
  }
}

// Between any two steps: what ran ahead is made anew, of the same elements.
TEST_F(StageStateTest, FollowsWhatOthersWrite) {
  const auto stage = MakeStage(3, 2);
  EXPECT_EQ(TakeMany(stage, 2), (Texts{Pair(0, 5), Pair(1, 6)}));
  ASSERT_TRUE(AwaitTrue([&] { return stage->figures().depth >= 3; }))
      << "there is something to make anew";
  variable_->Set(70);
  EXPECT_EQ(TakeMany(stage, 3), (Texts{Pair(2, 70), Pair(3, 71), Pair(4, 72)}));
  for (int k = 5; k < 50; ++k) {
    variable_->Set(100 * k);
    ASSERT_EQ(TakeOne(stage), Pair(k, 100 * k));
  }
  EXPECT_EQ(variable_->Get(), 4901);
  EXPECT_GE(stage->figures().discarded, 3);
}

// The write comes while a ticket is made of the old state, in the first round or in the next.
TEST_F(StageStateTest, IsWrittenWhileATicketIsMadeOfIt) {
  state_reader_->Hold();
  const auto stage = MakeStage(2, 2);
  state_reader_->Allow(1);
  ASSERT_TRUE(state_reader_->started.Await(2));
  ASSERT_TRUE(AwaitTrue([&] { return stage->figures().depth == 1; }));
  variable_->Set(70);
  PendingTake take(stage.get());  // drops the first ticket; the second is being made
  EXPECT_FALSE(take.finished());
  state_reader_->Allow(1);  // what it returns is dropped
  ASSERT_TRUE(state_reader_->started.Await(3));
  EXPECT_FALSE(take.finished());
  state_reader_->AllowAll();
  EXPECT_EQ(take.Await(), Pair(0, 70));
  EXPECT_EQ(TakeOne(stage), Pair(1, 71));
}

// As random ops: the state does not wait for the element, so it moves in every step.
TEST_F(StageStateTest, StepsThatFailMoveItToo) {
  source_ = domain_.MakeSource("it", make_shared<ReaderControl>([](std::int64_t k) {
                                 return k % 3 == 1   ? Failure(Code::kDataLoss, "bad")
                                        : k % 3 == 2 ? Failure(Code::kOutOfRange, "end")
                                                     : Number(k);
                               }));
  const auto stage = MakeStage(3, 2);
  EXPECT_EQ(TakeMany(stage, 4),
            (Texts{Pair(0, 5), "DATA_LOSS: bad", "OUT_OF_RANGE: end", Pair(3, 8)}));
  EXPECT_EQ(variable_->Get(), 9);
}

TEST_F(StageStateTest, AFailedReadIsItsTicketsErrorAndMovesNothing) {
  state_reader_ = make_shared<ReaderControl>([](std::int64_t k) {
    return k == 1 ? Failure(Code::kFailedPrecondition, "not initialized") : Number(k);
  });
  const auto stage = MakeStage(3, 2);
  EXPECT_EQ(TakeMany(stage, 3),
            (Texts{Pair(0, 5), "FAILED_PRECONDITION: not initialized", Pair(2, 6)}));
}

// Elements that went elsewhere leave their state to the next ticket.
TEST_F(StageStateTest, SurvivesForeignTakesAndResets) {
  const auto stage = MakeStage(3, 2);
  EXPECT_EQ(TakeMany(stage, 2), (Texts{Pair(0, 5), Pair(1, 6)}));
  ASSERT_TRUE(AwaitTrue([&] { return source_->depth() > 0; }));
  ElementPtr element;
  ASSERT_EQ(source_->TakeDirect(nullptr, &element), Source::Direct::kElement);
  EXPECT_EQ(TakeOne(stage), Pair(3, 7));
  ASSERT_TRUE(source_->Reset(nullptr).ok());
  reader_->Rewind();
  source_->Resume();
  EXPECT_EQ(TakeMany(stage, 2), (Texts{Pair(0, 8), Pair(1, 9)}));
}

// Whoever writes it whenever a ticket is made does not keep a step waiting for ever.
TEST_F(StageStateTest, IsMadeAnewOnceForEachStep) {
  std::atomic<std::int64_t> reads{0};
  state_reader_->on_read = [&] { variable_->Set(1000 * ++reads); };
  const auto stage = MakeStage(2, 1);
  for (int k = 0; k < 20; ++k) {
    const std::string got = TakeOne(stage);
    ASSERT_EQ(got.substr(0, got.find('+')), std::to_string(k)) << got;
  }
}

// Several steps at a time, and a writer beside them: each ticket is of one state, and of the one
// that was there when it was taken.
TEST_F(StageStateTest, ManyTakersAndAWriter) {
  const auto stage = MakeStage(4, 3);
  constexpr int kTakes = 400;
  std::atomic<int> taken{0};
  std::vector<std::thread> takers;
  std::mutex mu;
  std::vector<std::int64_t> states;
  for (int t = 0; t < 3; ++t) {
    takers.emplace_back([&] {
      while (taken++ < kTakes) {
        const std::string got = TakeOne(stage);
        const std::size_t plus = got.find('+');
        std::lock_guard<std::mutex> lock(mu);
        states.push_back(std::stoll(got.substr(plus + 1)));
      }
    });
  }
  std::thread writer([&] {
    for (std::int64_t n = 1; taken < kTakes; ++n) variable_->Set(10000 * n);
  });
  for (std::thread& taker : takers) taker.join();
  writer.join();
  EXPECT_EQ(states.size(), std::size_t{kTakes});
  for (const std::int64_t state : states) {
    EXPECT_TRUE(state < 5 + kTakes || state % 10000 < kTakes) << state;
  }
}

}  // namespace
}  // namespace headrace::stage::testing
