// Staging in C++ sessions: what a trainer without Python relies on.
#include "tensorflow/core/public/session.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "counting_graph.h"
#include "session_testing.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/protobuf/config.pb.h"

namespace headrace {
namespace {

using ::tensorflow::CallableOptions;
using ::tensorflow::Session;
using ::tensorflow::SessionOptions;
using ::tensorflow::Tensor;

std::unique_ptr<Session> Open(const SessionOptions& options, std::int64_t elements) {
  std::unique_ptr<Session> session(tensorflow::NewSession(options));
  TF_CHECK_OK(session->Create(CountingGraph(elements)));
  TF_CHECK_OK(session->Run({}, {}, {"init"}, nullptr));
  return session;
}

std::int64_t RunOne(Session* session, const std::string& fetch, const std::string& target = "") {
  std::vector<Tensor> out;
  const std::vector<std::string> targets =
      target.empty() ? std::vector<std::string>() : std::vector{target};
  TF_CHECK_OK(session->Run({}, {fetch}, targets, &out));
  return out[0].scalar<std::int64_t>()();
}

Session::CallableHandle Callable(Session* session, const std::vector<std::string>& fetches,
                                 int pool) {
  CallableOptions options;
  for (const std::string& fetch : fetches) options.add_fetch(fetch);
  options.mutable_run_options()->set_inter_op_thread_pool(pool);
  Session::CallableHandle handle;
  TF_CHECK_OK(session->MakeCallable(options, &handle));
  return handle;
}

std::vector<std::int64_t> Call(Session* session, Session::CallableHandle callable) {
  std::vector<Tensor> out;
  TF_CHECK_OK(session->RunCallable(callable, {}, &out, nullptr));
  std::vector<std::int64_t> values;
  for (const Tensor& tensor : out) values.push_back(tensor.scalar<std::int64_t>()());
  return values;
}

class EveryConfiguration : public ::testing::TestWithParam<std::pair<int, int>> {};

TEST_P(EveryConfiguration, TrainsAsUnstagedToTheEndOfDataAndAgain) {
  const auto [capacity, threads] = GetParam();
  auto staged = Open(StagedOptions(capacity, threads, "every"), 20);
  auto stock = Open(SessionOptions(), 20);
  for (int epoch = 0; epoch < 2; ++epoch) {
    for (int step = 0; step < 20; ++step) {
      ASSERT_EQ(RunOne(staged.get(), "out:0", "train"), RunOne(stock.get(), "out:0", "train"));
    }
    for (int again = 0; again < 2; ++again) {
      std::vector<Tensor> out;
      EXPECT_TRUE(absl::IsOutOfRange(staged->Run({}, {"out:0"}, {}, &out)));
    }
    ASSERT_TRUE(staged->Run({}, {}, {"make"}, nullptr).ok());
    ASSERT_TRUE(stock->Run({}, {}, {"make"}, nullptr).ok());
  }
}

INSTANTIATE_TEST_SUITE_P(Bounds, EveryConfiguration,
                         ::testing::Values(std::pair(1, 1), std::pair(2, 1), std::pair(8, 1),
                                           std::pair(1, 4), std::pair(2, 4), std::pair(8, 4)));

TEST(SessionTest, RunsAheadUpToItsBound) {
  auto session = Open(StagedOptions(3, 2, "ahead"), 100);
  EXPECT_EQ(RunOne(session.get(), "out:0"), 0);
  EXPECT_TRUE(Eventually([] {
    const auto stages = StatsOf("ahead");
    return stages.size() == 1 && stages[0]["produced"] == 6 && stages[0]["taken"] == 1;
  }));
  EXPECT_EQ(StatsOf("ahead")[0]["depth"], 5);
}

TEST(SessionTest, StartsBeforeTheFirstStep) {
  auto session = Open(StagedOptions(3, 2, "start"), 100);
  ASSERT_TRUE(session->Run({}, {}, {"headrace/start"}, nullptr).ok());
  EXPECT_TRUE(Eventually([] {
    const auto stages = StatsOf("start");
    return stages.size() == 1 && stages[0]["produced"] == 5 && stages[0]["taken"] == 0;
  }));
  EXPECT_EQ(RunOne(session.get(), "out:0"), 0);
  EXPECT_EQ(StatsOf("start").size(), 1) << "the step takes from the stage that was started";
}

TEST(SessionTest, StagedTensorsAreGoneAndCrossingOnesStay) {
  auto session = Open(StagedOptions(1, 1, "names"), 100);
  std::vector<Tensor> out;
  EXPECT_FALSE(session->Run({}, {"text:0"}, {}, &out).ok());
  EXPECT_FALSE(session->Run({{"next:0", Tensor(std::int64_t{5})}}, {"out:0"}, {}, &out).ok());
  EXPECT_EQ(RunOne(session.get(), "number:0"), 0);
  ASSERT_TRUE(session->Run({{"number:0", Tensor(std::int64_t{50})}}, {"out:0"}, {}, &out).ok());
  EXPECT_EQ(out[0].scalar<std::int64_t>()(), 50);
  EXPECT_EQ(RunOne(session.get(), "out:0"), 1) << "a fed step must not consume an element";
}

// A kernel that kept the function runtime of the callable that ran it first would crash here.
TEST(SessionTest, CallablesComeAndGo) {
  auto session = Open(StagedOptions(2, 1, "callables"), 100);
  const auto first = Callable(session.get(), {"out:0"}, 0);
  EXPECT_EQ(Call(session.get(), first)[0], 0);
  EXPECT_EQ(Call(session.get(), first)[0], 1);
  ASSERT_TRUE(session->ReleaseCallable(first).ok());
  const auto second = Callable(session.get(), {"out:0", "number:0"}, 0);
  for (std::int64_t i = 2; i < 40; ++i) EXPECT_EQ(Call(session.get(), second)[0], i);
}

TEST(SessionTest, InlineStepsStayOnTheCallersThread) {
  auto session = Open(StagedOptions(1, 1, "inline"), 1000);
  const auto callable = Callable(session.get(), {"out:0", "thread:0"}, -1);
  for (std::int64_t i = 0; i < 200; ++i) {
    const auto values = Call(session.get(), callable);
    EXPECT_EQ(values[0], i);
    ASSERT_EQ(values[1], ::syscall(SYS_gettid));
  }
}

TEST(SessionTest, ExtendingPlansAgainAndLosesNothing) {
  auto session = Open(StagedOptions(4, 2, "extend"), 100);
  EXPECT_EQ(RunOne(session.get(), "out:0"), 0);
  EXPECT_EQ(RunOne(session.get(), "out:0"), 1);
  const absl::Status extended = session->Extend(TwiceExtension());
  ASSERT_TRUE(extended.ok()) << extended;
  EXPECT_EQ(RunOne(session.get(), "twice:0"), 4);
  EXPECT_EQ(RunOne(session.get(), "out:0"), 3) << "the old plan's step takes the next element";
  EXPECT_EQ(RunOne(session.get(), "twice:0"), 8);
  std::vector<Tensor> out;
  ASSERT_TRUE(session->Run({}, {"out:0", "twice:0"}, {}, &out).ok());
  EXPECT_EQ(out[0].scalar<std::int64_t>()(), 5);
  EXPECT_EQ(out[1].scalar<std::int64_t>()(), 10);
}

TEST(SessionTest, ManyTakersGetEachElementOnce) {
  auto session = Open(StagedOptions(4, 2, "takers"), 400);
  std::vector<std::vector<std::int64_t>> got(4);
  std::vector<std::thread> takers;
  for (auto& mine : got) {
    takers.emplace_back([&session, &mine] {
      while (true) {
        std::vector<Tensor> out;
        if (!session->Run({}, {"number:0"}, {}, &out).ok()) break;
        mine.push_back(out[0].scalar<std::int64_t>()());
      }
    });
  }
  for (std::thread& taker : takers) taker.join();
  std::vector<std::int64_t> all;
  for (const auto& mine : got) {
    EXPECT_TRUE(std::is_sorted(mine.begin(), mine.end()));
    all.insert(all.end(), mine.begin(), mine.end());
  }
  std::sort(all.begin(), all.end());
  std::vector<std::int64_t> expected(400);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(all, expected);
}

TEST(SessionTest, WithoutOptionsNothingIsStaged) {
  auto session = Open(SessionOptions(), 100);
  EXPECT_EQ(RunOne(session.get(), "out:0"), 0);
  EXPECT_EQ(RunOne(session.get(), "next:0"), 1);
  EXPECT_TRUE(StatsOf("").empty());
}

TEST(SessionTest, BadOptionsFailTheSessionAndSayWhy) {
  std::unique_ptr<Session> session(tensorflow::NewSession(StagedOptions(-2, 1, "bad")));
  absl::Status status = session->Create(CountingGraph(5));
  if (status.ok()) status = session->Run({}, {}, {"init"}, nullptr);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_NE(status.message().find("capacity"), std::string::npos) << status;
}

}  // namespace
}  // namespace headrace
