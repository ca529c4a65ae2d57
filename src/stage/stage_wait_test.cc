// Takes that wait: time-outs, reports, cancellation, closing.
#include <filesystem>
#include <iterator>
#include <memory>
#include <thread>

#include "stage/stage.h"
#include "stage/testing.h"

namespace headrace::stage::testing {
namespace {

using std::make_shared;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Texts = std::vector<std::string>;

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::ptrdiff_t ThreadCount() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return std::distance(begin(tasks), end(tasks));
}

class StageWaitTest : public Test {
 protected:
  StageConfig WithTimeout(milliseconds timeout) {
    StageConfig config = Config(2, 1);
    config.timeout = timeout;
    return config;
  }

  FakeDomain domain_;
  std::shared_ptr<ReaderControl> reader_ = make_shared<ReaderControl>();
};

TEST_F(StageWaitTest, TimeoutSaysWhatStalledAndTheNextTakeGetsTheBatch) {
  reader_->Hold();
  const auto source = domain_.MakeSource("IteratorGetNext", reader_);
  const auto stage = domain_.MakeStage(WithTimeout(seconds(5)), {source});
  reader_->Allow(1);
  EXPECT_EQ(TakeOne(stage), "0");
  ASSERT_TRUE(reader_->started.Await(2));
  PendingTake take(stage.get());
  domain_.Advance(milliseconds(4999));
  EXPECT_FALSE(take.finished());
  domain_.Advance(milliseconds(1));
  EXPECT_EQ(
      take.Await(),
      "DEADLINE_EXCEEDED: stage 'stage_0' made no progress for 5 s (timeout_millis = 5000): source "
      "'IteratorGetNext' is being read since 5 s and holds 0 elements; 0 bodies run; depth 0 of 3; "
      "1 "
      "taken; last error: none. Nothing was consumed: the next take gets this batch.");
  reader_->AllowAll();
  EXPECT_EQ(TakeMany(stage, 2), (Texts{"1", "2"}));
}

TEST_F(StageWaitTest, TimeoutNamesABodyThatDoesNotEnd) {
  const auto body = make_shared<BodyControl>();
  body->Hold(0);
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(WithTimeout(seconds(5)), {source}, MakeBody(body));
  PendingTake take(stage.get());
  ASSERT_TRUE(body->started.Await(1));
  ASSERT_TRUE(AwaitTrue([&] { return source->depth() == 3; }));
  domain_.Advance(seconds(6));
  const std::string text = take.Await();
  EXPECT_TRUE(Contains(text, "is idle and holds 3 elements; 1 bodies run; depth 0 of 3")) << text;
  body->Release(0);
  EXPECT_EQ(TakeMany(stage, 2), (Texts{"0=0", "1=10"}));
}

// The time-out is of a stage that makes no progress, not of a slow one.
TEST_F(StageWaitTest, ProgressPutsTheTimeoutOff) {
  const auto body = make_shared<BodyControl>();
  body->Hold(0);
  reader_->Hold();
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(WithTimeout(seconds(5)), {source}, MakeBody(body));
  PendingTake take(stage.get());
  domain_.Advance(seconds(4));
  reader_->Allow(1);
  ASSERT_TRUE(body->started.Await(1));
  domain_.Advance(seconds(4));
  EXPECT_FALSE(take.finished());
  domain_.Advance(seconds(1));
  EXPECT_TRUE(Contains(take.Await(), "DEADLINE_EXCEEDED"));
  body->Release(0);
}

TEST_F(StageWaitTest, EachTakeHasItsOwnTimeout) {
  reader_->Hold();
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(WithTimeout(seconds(5)), {source});
  PendingTake first(stage.get());
  domain_.Advance(seconds(3));
  PendingTake second(stage.get());
  domain_.Advance(seconds(2));
  EXPECT_TRUE(Contains(first.Await(), "DEADLINE_EXCEEDED"));
  EXPECT_FALSE(second.finished());
  reader_->AllowAll();
  EXPECT_EQ(second.Await(), "0");
}

TEST_F(StageWaitTest, ZeroMeansNever) {
  reader_->Hold();
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(WithTimeout(milliseconds(0)), {source});
  PendingTake take(stage.get());
  domain_.Advance(std::chrono::hours(1000));
  EXPECT_FALSE(take.finished());
  reader_->AllowAll();
  EXPECT_EQ(take.Await(), "0");
}

TEST_F(StageWaitTest, LongWaitsAreReportedEachTimeTheyDoubled) {
  reader_->Hold();
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(WithTimeout(seconds(300)), {source});
  ASSERT_TRUE(reader_->started.Await(1));
  PendingTake take(stage.get());
  domain_.Advance(milliseconds(9999));
  EXPECT_EQ(domain_.log(), Texts());
  domain_.Advance(milliseconds(1));
  EXPECT_EQ(domain_.log(),
            Texts{"a step is still waiting on stage 'stage_0' after 10 s: source 'it' is being "
                  "read since 10 s "
                  "and holds 0 elements; 0 bodies run; depth 0 of 3; 0 taken; last error: none"});
  for (int s = 11; s <= 90; ++s) domain_.Advance(seconds(1));
  const Texts log = domain_.log();
  ASSERT_EQ(log.size(), 4u);
  EXPECT_TRUE(Contains(log[1], " after 20 s: "));
  EXPECT_TRUE(Contains(log[2], " after 40 s: "));
  EXPECT_TRUE(Contains(log[3], " after 80 s: "));
  reader_->AllowAll();
  EXPECT_EQ(take.Await(), "0");
}

// What a cancelled step does.
TEST_F(StageWaitTest, EndWaitConsumesNothing) {
  reader_->Hold();
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(Config(2, 1), {source});
  PendingTake first(stage.get());
  PendingTake second(stage.get());
  stage->EndWait(first.id(), Status(Code::kCancelled, "the step was cancelled"));
  EXPECT_EQ(first.Await(), "CANCELLED: the step was cancelled");
  stage->EndWait(first.id(), Status(Code::kInternal, "again"));
  reader_->AllowAll();
  EXPECT_EQ(second.Await(), "0");
  stage->EndWait(second.id(), Status(Code::kInternal, "too late"));
  EXPECT_EQ(TakeOne(stage), "1");
  EXPECT_EQ(first.Await(), "CANCELLED: the step was cancelled") << "called twice";
  EXPECT_EQ(reader_->cancelled.value(), 0);
}

TEST_F(StageWaitTest, BlockingTakeCanBeEndedByItsId) {
  reader_->Hold();
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage = domain_.MakeStage(Config(2, 1), {source});
  Taken taken;
  const Status status = stage->Take(&taken, [&](Stage::TakeId id) {
    stage->EndWait(id, Status(Code::kCancelled, "the step was cancelled"));
  });
  EXPECT_EQ(status.ToString(), "CANCELLED: the step was cancelled");
  reader_->AllowAll();
  EXPECT_EQ(TakeOne(stage), "0");
}

TEST_F(StageWaitTest, CloseFailsWaitsAndLeavesElementsToTheNextStage) {
  const auto body = make_shared<BodyControl>();
  for (int k = 1; k < 8; ++k) body->Hold(k);
  const auto source = domain_.MakeSource("it", reader_);
  auto stage = domain_.MakeStage(Config(2, 2), {source}, MakeBody(body));
  EXPECT_EQ(TakeOne(stage), "0=0");
  ASSERT_TRUE(body->started.Await(3));
  PendingTake waiting(stage.get());
  std::thread closing([&] { stage->Close(); });
  EXPECT_EQ(waiting.Await(), "CANCELLED: stage 'stage_0' is closed");
  for (int k = 1; k < 8; ++k) body->Release(k);
  closing.join();
  EXPECT_EQ(TakeOne(stage), "CANCELLED: stage 'stage_0' is closed");
  Taken taken;
  EXPECT_EQ(stage->Take(&taken).code(), Code::kCancelled);
  EXPECT_EQ(body->started.value(), body->finished.value()) << "a body outlived Close()";
  EXPECT_FALSE(stage->source_closed());
  EXPECT_TRUE(domain_.get()->Figures().empty());
  stage->Close();
  stage.reset();

  const auto next = domain_.MakeStage(Config(2, 1), {source}, MakeBody(make_shared<BodyControl>()));
  EXPECT_EQ(TakeMany(next, 3), (Texts{"1=10", "2=20", "3=30"}));
}

TEST_F(StageWaitTest, ClosedSourceEndsItsStages) {
  reader_->Hold();
  const auto source = domain_.MakeSource("it", reader_);
  const auto stage =
      domain_.MakeStage(Config(2, 1), {source}, MakeBody(make_shared<BodyControl>()));
  PendingTake waiting(stage.get());
  EXPECT_FALSE(stage->source_closed());
  source->Close();
  const std::string closed = "CANCELLED: stage 'stage_0' is closed: its source 'it' was closed";
  EXPECT_EQ(waiting.Await(), closed);
  EXPECT_EQ(TakeOne(stage), closed);
  EXPECT_TRUE(stage->source_closed());
  const auto late = domain_.MakeStage(Config(2, 1), {source});
  EXPECT_EQ(TakeOne(late), "CANCELLED: stage 'stage_0' is closed: its source 'it' is closed");
  EXPECT_TRUE(late->source_closed());
}

// A served take may be called back after its stage is gone: it owns what it needs.
TEST_F(StageWaitTest, StageMayGoWhileACallbackRuns) {
  reader_->Hold();
  const auto source = domain_.MakeSource("it", reader_);
  auto stage = domain_.MakeStage(Config(2, 1), {source});
  Counter called, gone;
  std::string text;
  Status status;
  Taken taken;
  Stage::TakeId id;
  ASSERT_FALSE(stage->TakeOrWait(&status, &taken, &id, [&](const Status& s, Taken what) {
    called.Add();
    EXPECT_TRUE(gone.Await(1));
    text = Describe(s, what);
  }));
  reader_->Allow(1);
  ASSERT_TRUE(called.Await(1));
  stage.reset();
  gone.Add();
  source->Close();  // joins the thread that calls
  EXPECT_EQ(text, "0");
}

TEST_F(StageWaitTest, NoThreadIsLeft) {
  const auto open_and_close = [this] {
    const auto source = domain_.MakeSource("it", make_shared<ReaderControl>());
    const auto stage =
        domain_.MakeStage(Config(2, 3), {source}, MakeBody(make_shared<BodyControl>()));
    EXPECT_EQ(TakeOne(stage), "0=0");
  };
  open_and_close();  // a sanitizer starts its own thread with the first
  const std::ptrdiff_t before = ThreadCount();
  for (int i = 0; i < 50; ++i) open_and_close();
  EXPECT_TRUE(
      AwaitTrue([&] { return ThreadCount() == before; }));  // the kernel may lag behind a join
}

// With the domain's own thread, in real time.
TEST(WatchTest, WaitsAreWatched) {
  Domain::Options options;
  Counter logged;
  options.log = [&](const std::string&) { logged.Add(); };
  options.report_after = milliseconds(1);
  const auto reader = make_shared<ReaderControl>();
  reader->Hold();
  const auto domain = make_shared<Domain>(options);
  const auto source =
      make_shared<Source>(domain, "it", std::make_unique<FakeReader>(reader), Source::Mode::kAhead);
  StageConfig config = Config(1, 1);
  config.timeout = milliseconds(20);
  Stage hasty(domain, config, {{source, nullptr}}, nullptr);
  for (int i = 0; i < 2; ++i) {
    Taken taken;
    EXPECT_EQ(hasty.Take(&taken).code(), Code::kDeadlineExceeded);
  }
  config.timeout = milliseconds(0);
  Stage patient(domain, config, {{source, nullptr}}, nullptr);
  PendingTake take(&patient);
  EXPECT_TRUE(logged.Await(logged.value() + 2));
  reader->AllowAll();
  EXPECT_EQ(take.Await(), "0");
}

// The last reference to a domain may be dropped while its watcher writes a line.
TEST(WatchTest, DomainMayGoWhileTheWatcherReports) {
  const auto reader = make_shared<ReaderControl>();
  reader->Hold();
  Counter reporting, dropped;
  Domain::Options options;
  options.report_after = milliseconds(1);
  options.log = [&](const std::string&) {
    reporting.Add();
    EXPECT_TRUE(dropped.Await(1));
  };
  auto domain = make_shared<Domain>(options);
  auto source =
      make_shared<Source>(domain, "it", std::make_unique<FakeReader>(reader), Source::Mode::kAhead);
  StageConfig config = Config(1, 1);
  auto stage = std::make_unique<Stage>(domain, config, std::vector<Stage::Input>{{source, nullptr}},
                                       nullptr);
  // Let go of the line only when the test's own references are gone or are being waited for.
  PendingTake take(stage.get());
  ASSERT_TRUE(reporting.Await(1));
  stage.reset();
  source.reset();
  std::weak_ptr<Domain> weak = domain;
  std::thread dropping([&] {
    ASSERT_TRUE(AwaitTrue([&] { return weak.expired() || weak.use_count() == 1; }));
    dropped.Add();
  });
  domain.reset();
  dropping.join();
}

}  // namespace
}  // namespace headrace::stage::testing
