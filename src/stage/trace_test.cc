#include "stage/trace.h"

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "stage/stage.h"
#include "stage/testing.h"

namespace headrace::stage::testing {
namespace {

using nlohmann::json;
using std::chrono::microseconds;
using std::chrono::steady_clock;

const std::string kSource = "it";
const std::string kStage = "stage_0";

struct Span {
  double begin = 0, end = 0;
  std::int64_t thread = 0, ticket = 0;
};

std::vector<Span> SpansNamed(const json& trace, const std::string& name) {
  std::vector<Span> spans;
  for (const json& event : trace["traceEvents"]) {
    if (event["ph"] != "X" || event["name"] != name) continue;
    const double begin = event["ts"];
    spans.push_back(
        {begin, begin + event["dur"].get<double>(), event["tid"], event["args"]["ticket"]});
  }
  return spans;
}

double Overlap(const std::vector<Span>& a, const std::vector<Span>& b) {
  double overlap = 0;
  for (const Span& x : a) {
    for (const Span& y : b)
      overlap += std::max(0.0, std::min(x.end, y.end) - std::max(x.begin, y.begin));
  }
  return overlap;
}

class TraceTest : public Test {
 protected:
  void TearDown() override {
    Trace::Stop();
    Test::TearDown();
  }
};

TEST_F(TraceTest, NothingIsCollectedUnlessStarted) {
  EXPECT_FALSE(Trace::enabled());
  { TraceSpan span("read", kSource, 1); }
  Trace::Add("read", "it", 2, steady_clock::now(), steady_clock::now());
  EXPECT_TRUE(json::parse(Trace::Stop())["traceEvents"].empty());
}

TEST_F(TraceTest, SpansHaveKindNameTimeAndThread) {
  Trace::Start(10);
  EXPECT_TRUE(Trace::enabled());
  const auto begin = steady_clock::now();
  Trace::Add("read", "it", 7, begin, begin + microseconds(250));
  std::thread([] { TraceSpan span("body", kStage, 8); }).join();
  const json trace = json::parse(Trace::Stop());
  EXPECT_FALSE(Trace::enabled());
  EXPECT_EQ(trace["otherData"]["version"], 1);
  EXPECT_EQ(trace["otherData"]["dropped_events"], 0);
  const auto reads = SpansNamed(trace, "read it");
  const auto bodies = SpansNamed(trace, "body stage_0");
  ASSERT_EQ(reads.size(), 1u);
  ASSERT_EQ(bodies.size(), 1u);
  EXPECT_GE(reads[0].begin, 0);
  EXPECT_NEAR(reads[0].end - reads[0].begin, 250, 1e-6);
  EXPECT_EQ(reads[0].ticket, 7);
  EXPECT_EQ(reads[0].thread, ::gettid());
  EXPECT_NE(bodies[0].thread, reads[0].thread);
  EXPECT_EQ(trace["traceEvents"][0]["cat"], "read");
  EXPECT_EQ(trace["traceEvents"][0]["pid"], ::getpid());
}

TEST_F(TraceTest, KeepsTheFirstEventsAndCountsTheRest) {
  Trace::Start(3);
  for (int i = 0; i < 10; ++i) TraceSpan("read", kSource, static_cast<std::uint64_t>(i));
  const json trace = json::parse(Trace::Stop());
  const auto spans = SpansNamed(trace, "read it");
  ASSERT_EQ(spans.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(spans[i].ticket, static_cast<std::int64_t>(i));
  EXPECT_EQ(trace["otherData"]["dropped_events"], 7);
  Trace::Start(3);
  EXPECT_EQ(json::parse(Trace::Stop())["otherData"]["dropped_events"], 0)
      << "counted on from the last trace";
}

// A span that began before the trace counts from the trace's start on: there is no negative time.
TEST_F(TraceTest, SpanThatBeganEarlierIsCut) {
  const auto begin = steady_clock::now();
  Trace::Start(3);
  Trace::Add("step", "stage_0", 1, begin - microseconds(5000), begin + std::chrono::hours(1));
  const auto spans = SpansNamed(json::parse(Trace::Stop()), "step stage_0");
  ASSERT_EQ(spans.size(), 1u);
  EXPECT_EQ(spans[0].begin, 0);
  EXPECT_NEAR(spans[0].end, 3600e6, 1e6);
}

TEST_F(TraceTest, AnyNameGivesJson) {
  Trace::Start(3);
  Trace::Add("read", "quote \" backslash \\ not UTF-8 \xff", 1, steady_clock::now(),
             steady_clock::now());
  const json trace = json::parse(Trace::Stop());
  EXPECT_EQ(trace["traceEvents"].size(), 2u);  // the span, and its track's name
}

// The trace of a stage shows that it worked while the step did: the body of a later ticket begins
// and ends inside a step.
TEST_F(TraceTest, BodiesOverlapSteps) {
  const FakeDomain domain;
  const auto reader = std::make_shared<ReaderControl>();
  const auto body = std::make_shared<BodyControl>();
  for (int k = 1; k < 100; ++k) body->Hold(k);
  Trace::Start(1000);
  {
    const auto source = domain.MakeSource("it", reader);
    const auto stage = domain.MakeStage(Config(1, 1), {source}, MakeBody(body));
    for (int k = 0; k < 10; ++k) {
      ASSERT_EQ(TakeOne(stage), std::to_string(k) + "=" + std::to_string(10 * k));
      // The step: it lasts until the next body has finished.
      ASSERT_TRUE(body->started.Await(k + 2));
      body->Release(k + 1);
      ASSERT_TRUE(AwaitTrue([&] { return stage->figures().depth >= 1; }));
    }
    for (int k = 11; k < 100; ++k) body->Release(k);
    ASSERT_EQ(TakeOne(stage), "10=100");  // ends the tenth step
  }
  const json trace = json::parse(Trace::Stop());
  const auto bodies = SpansNamed(trace, "body stage_0");
  const auto steps = SpansNamed(trace, "step stage_0");
  const auto reads = SpansNamed(trace, "read it");
  ASSERT_GE(bodies.size(), 11u);
  ASSERT_GE(reads.size(), 11u);
  ASSERT_EQ(steps.size(), 10u);
  double in_bodies = 0;
  for (std::size_t k = 1; k <= 10; ++k) {
    in_bodies += bodies[k].end - bodies[k].begin;
    EXPECT_EQ(bodies[k].ticket, static_cast<std::int64_t>(k));
    EXPECT_EQ(steps[k - 1].ticket, static_cast<std::int64_t>(k - 1)) << "the step after take k - 1";
    EXPECT_LE(steps[k - 1].begin, bodies[k].end);
    EXPECT_LE(bodies[k].end, steps[k - 1].end) << k;
  }
  const std::vector<Span> ahead(bodies.begin() + 1, bodies.begin() + 11);
  EXPECT_GT(Overlap(ahead, steps), 0);
  EXPECT_LE(Overlap(ahead, steps), in_bodies * 1.0001);
  EXPECT_NE(bodies[0].thread, reads[0].thread);
  EXPECT_NE(steps[0].thread, reads[0].thread);
  std::map<std::int64_t, std::string> names;
  for (const json& event : trace["traceEvents"]) {
    if (event["ph"] != "M") continue;
    EXPECT_EQ(event["name"], "thread_name");
    const std::string name = event["args"]["name"];
    if (name == "waiting for stage_0") continue;  // the first take may have had to
    names[event["tid"]] = name;
  }
  EXPECT_EQ(names,
            (std::map<std::int64_t, std::string>{{reads[0].thread, "hr-read (it)"},
                                                 {bodies[0].thread, "hr-stage (stage_0)"},
                                                 {steps[0].thread, "training step (stage_0)"}}));
  EXPECT_GT(steps[0].thread, std::int64_t{1} << 22) << "may be a thread's id";
}

// The step that follows the last trace's end is no step of the next trace.
TEST_F(TraceTest, StepsEndWithTheirTrace) {
  const FakeDomain domain;
  const auto source = domain.MakeSource("it", std::make_shared<ReaderControl>());
  const auto stage = domain.MakeStage(Config(1, 1), {source});
  Trace::Start(1000);
  EXPECT_EQ(TakeOne(stage), "0");
  Trace::Stop();
  EXPECT_EQ(TakeOne(stage), "1");
  EXPECT_EQ(TakeOne(stage), "2");
  Trace::Start(1000);
  EXPECT_EQ(TakeOne(stage), "3");
  EXPECT_TRUE(SpansNamed(json::parse(Trace::Stop()), "step stage_0").empty());
}

}  // namespace
}  // namespace headrace::stage::testing
