// Staging beside an accelerator: the stage is on the host, what crosses is copied by the stage.
// A fake GPU (src/tensorflow/testing/fake_gpu.h) tells who asked for each copy.
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "session_testing.h"
#include "tensorflow/core/common_runtime/graph_constructor.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/protobuf/config.pb.h"
#include "tensorflow/core/public/session.h"
#include "tensorflow/device_copies.h"
#include "tensorflow/explain.h"
#include "tensorflow/test_graph.h"
#include "tensorflow/testing/fake_gpu.h"

namespace headrace {
namespace {

using ::tensorflow::DataType;
using ::tensorflow::DT_FLOAT;
using ::tensorflow::DT_INT64;
using ::tensorflow::Session;
using ::tensorflow::SessionOptions;
using ::tensorflow::Tensor;

constexpr char kGpu[] = "/device:GPU:0";
constexpr char kCpu[] = "/device:CPU:0";
constexpr char kTask[] = "/job:localhost/replica:0/task:0";

// Name of the threads that run a stage's body.
constexpr char kStageThread[] = "hr-stage";

//   it/next ─▶ text ─▶ hash ─▶ weights (float)
//
// "train" takes all three numbers on `device`; "count" takes `hash` on the host.
TestGraph Training(const std::string& device) {
  TestGraph graph;
  graph.AddIterator("it").AddInitializer("it");
  graph.Add("text", "AsString", {"it/next"}, {{"T", Attr(DT_INT64)}})
      .Add("hash", "StringToHashBucketFast", {"text"}, {{"num_buckets", Attr(std::int64_t{1000})}})
      .Add("weights", "Cast", {"hash"}, {{"SrcT", Attr(DT_INT64)}, {"DstT", Attr(DT_FLOAT)}})
      .Add("train", "Headrace>FakeTrain", {"it/next", "hash", "weights"},
           {{"T", Attr(std::vector<DataType>{DT_INT64, DT_INT64, DT_FLOAT})}})
      .Add("count", "Headrace>FakeTrain", {"hash"}, {{"T", Attr(std::vector<DataType>{DT_INT64})}});
  graph.SetDevice("train", device).SetDevice("count", kCpu);
  return graph;
}

using Values = std::vector<std::pair<std::string, std::int64_t>>;

SessionOptions Staged(const std::string& tag, const Values& values = {}) {
  SessionOptions options = StagedOptions(/*capacity=*/2, /*num_threads=*/2, tag);
  auto& map = *options.config.mutable_graph_options()
                   ->mutable_rewrite_options()
                   ->mutable_custom_optimizers(0)
                   ->mutable_parameter_map();
  map["cut"].set_s("largest");
  for (const auto& [key, value] : values) map[key].set_i(value);
  return options;
}

std::unique_ptr<Session> Open(const TestGraph& graph, const SessionOptions& options) {
  std::unique_ptr<Session> session(tensorflow::NewSession(options));
  TF_CHECK_OK(session->Create(graph.def()));
  TF_CHECK_OK(session->Run({}, {}, {"it/init"}, nullptr));
  return session;
}

absl::StatusOr<std::vector<float>> Step(Session* session, const std::vector<std::string>& fetches) {
  std::vector<Tensor> out;
  TF_RETURN_IF_ERROR(session->Run({}, fetches, {}, &out));
  std::vector<float> values;
  for (const Tensor& tensor : out) values.push_back(tensor.scalar<float>()());
  return values;
}

// Copies to devices, asked by threads of stages or by others.
struct Counted {
  int by_stage = 0;
  int by_step = 0;
  int pinned = 0;
};
Counted CopiesToDevices() {
  Counted counted;
  for (const fake_gpu::Copy& copy : fake_gpu::Copies()) {
    if (!copy.to_device) continue;
    ++(copy.asked_by == kStageThread ? counted.by_stage : counted.by_step);
    counted.pinned += copy.pinned ? 1 : 0;
  }
  return counted;
}

class AcceleratorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fake_gpu::SetPhysical(1);
    fake_gpu::Forget();
  }
  void TearDown() override {
    fake_gpu::Release();
    EXPECT_EQ(fake_gpu::LiveBuffers(), 0) << "device memory outlived the sessions";
    EXPECT_FALSE(fake_gpu::DiedTooEarly());
  }
};

TEST_F(AcceleratorTest, TheUnstagedStepCopiesByItself) {
  auto session = Open(Training(kGpu), SessionOptions());
  for (int step = 0; step < 3; ++step) ASSERT_TRUE(Step(session.get(), {"train:0"}).ok());
  EXPECT_EQ(CopiesToDevices().by_step, 9);
}

TEST_F(AcceleratorTest, GivesTheSameValuesToTheEndOfData) {
  auto plain = Open(Training(""), [] {
    SessionOptions options;
    (*options.config.mutable_device_count())["GPU"] = 0;
    return options;
  }());
  auto unstaged = Open(Training(kGpu), SessionOptions());
  auto staged = Open(Training(kGpu), Staged("values"));
  for (int step = 0; step < 50; ++step) {
    const auto values = Step(staged.get(), {"train:0", "count:0"});
    ASSERT_TRUE(values.ok()) << values.status();
    EXPECT_EQ(*values, *Step(unstaged.get(), {"train:0", "count:0"}));
    EXPECT_EQ(*values, *Step(plain.get(), {"train:0", "count:0"}));
  }
  EXPECT_TRUE(absl::IsOutOfRange(Step(staged.get(), {"train:0"}).status()));
}

TEST_F(AcceleratorTest, TheStageCopiesAndTheStepDoesNot) {
  auto session = Open(Training(kGpu), Staged("copies"));
  for (int step = 0; step < 50; ++step) {
    ASSERT_TRUE(Step(session.get(), {"train:0", "count:0"}).ok());
  }
  EXPECT_TRUE(absl::IsOutOfRange(Step(session.get(), {"train:0"}).status()));
  const Counted copies = CopiesToDevices();
  EXPECT_EQ(copies.by_step, 0);
  EXPECT_EQ(copies.by_stage, 3 * 50) << "crossing tensors times steps";
  EXPECT_EQ(copies.pinned, 3 * 50);
  EXPECT_EQ(StatsOf("copies")[0]["copied_tensors"], 3 * 50);
}

TEST_F(AcceleratorTest, ACopyForEachDevice) {
  fake_gpu::SetPhysical(2);
  TestGraph graph = Training(kGpu);
  graph
      .Add("other", "Headrace>FakeTrain", {"weights"},
           {{"T", Attr(std::vector<DataType>{DT_FLOAT})}})
      .SetDevice("other", "/device:GPU:1");
  auto unstaged = Open(graph, SessionOptions());
  auto session = Open(graph, Staged("devices"));
  for (int step = 0; step < 10; ++step) {
    const auto values = Step(session.get(), {"train:0", "other:0", "count:0"});
    ASSERT_TRUE(values.ok()) << values.status();
    EXPECT_EQ(*values, *Step(unstaged.get(), {"train:0", "other:0", "count:0"}));
  }
  int to_other = 0;
  for (const fake_gpu::Copy& copy : fake_gpu::Copies()) {
    const bool by_stage = copy.asked_by == kStageThread;
    if (by_stage && absl::EndsWith(copy.device, "GPU:1")) ++to_other;
  }
  EXPECT_GE(to_other, 10);
}

TEST_F(AcceleratorTest, ElementsAloneAreCopiedToo) {
  TestGraph graph;
  graph.AddIterator("it").AddInitializer("it");
  graph
      .Add("train", "Headrace>FakeTrain", {"it/next"},
           {{"T", Attr(std::vector<DataType>{DT_INT64})}})
      .SetDevice("train", kGpu);
  auto unstaged = Open(graph, SessionOptions());
  auto session = Open(graph, Staged("elements"));
  fake_gpu::Forget();
  for (int step = 0; step < 50; ++step) {
    const auto values = Step(session.get(), {"train:0"});
    ASSERT_TRUE(values.ok()) << values.status();
  }
  EXPECT_EQ(CopiesToDevices().by_step, 0);
  EXPECT_EQ(CopiesToDevices().by_stage, 50);
}

TEST_F(AcceleratorTest, WithoutRunningAheadTheStageCopiesToo) {
  auto session = Open(Training(kGpu), Staged("zero", {{"capacity", 0}, {"num_threads", 1}}));
  for (int step = 0; step < 5; ++step) {
    ASSERT_TRUE(Step(session.get(), {"train:0", "count:0"}).ok());
  }
  EXPECT_EQ(CopiesToDevices().by_step, 0);
  EXPECT_EQ(CopiesToDevices().by_stage, 15);
}

TEST_F(AcceleratorTest, StepsOnTheCallersThread) {
  auto unstaged = Open(Training(kGpu), SessionOptions());
  auto session = Open(Training(kGpu), Staged("inline"));
  tensorflow::CallableOptions options;
  options.add_fetch("train:0");
  options.mutable_run_options()->set_inter_op_thread_pool(-1);
  Session::CallableHandle callable;
  TF_CHECK_OK(session->MakeCallable(options, &callable));
  for (int step = 0; step < 50; ++step) {
    std::vector<Tensor> out;
    TF_CHECK_OK(session->RunCallable(callable, {}, &out, nullptr));
    EXPECT_EQ(out[0].scalar<float>()(), (*Step(unstaged.get(), {"train:0"}))[0]);
  }
}

// The name of a crossing tensor is an op on the host, which the device does not read from.
TEST_F(AcceleratorTest, FeedsAndFetchesStayExact) {
  auto unstaged = Open(Training(kGpu), SessionOptions());
  auto session = Open(Training(kGpu), Staged("feeds"));
  Tensor fed(DT_FLOAT, {2});
  fed.flat<float>().setValues({1000.0F, 2000.0F});
  for (int step = 0; step < 5; ++step) {
    std::vector<Tensor> expected, found;
    TF_CHECK_OK(unstaged->Run({{"weights:0", fed}}, {"train:0"}, {}, &expected));
    TF_CHECK_OK(session->Run({{"weights:0", fed}}, {"train:0"}, {}, &found));
    EXPECT_EQ(found[0].scalar<float>()(), expected[0].scalar<float>()());
    TF_CHECK_OK(unstaged->Run({}, {"weights:0", "train:0"}, {}, &expected));
    TF_CHECK_OK(session->Run({}, {"weights:0", "train:0"}, {}, &found));
    EXPECT_EQ(found[0].flat<float>()(0), expected[0].flat<float>()(0));
    EXPECT_EQ(found[0].flat<float>()(1), expected[0].flat<float>()(1));
    EXPECT_EQ(found[1].scalar<float>()(), expected[1].scalar<float>()());
  }
}

TEST_F(AcceleratorTest, ACopyThatFailsOnceIsMadeByTheStep) {
  auto unstaged = Open(Training(kGpu), SessionOptions());
  auto session = Open(Training(kGpu), Staged("once"));
  fake_gpu::FailCopies(1);
  std::vector<float> found;
  for (int step = 0; step < 10; ++step) {
    const auto values = Step(session.get(), {"train:0", "count:0"});
    ASSERT_TRUE(values.ok()) << values.status();
    found.insert(found.end(), values->begin(), values->end());
  }
  std::vector<float> expected;
  for (int step = 0; step < 10; ++step) {
    const auto values = Step(unstaged.get(), {"train:0", "count:0"});
    expected.insert(expected.end(), values->begin(), values->end());
  }
  EXPECT_EQ(found, expected);
}

TEST_F(AcceleratorTest, AFailedCopyIsThatStepsError) {
  auto session = Open(Training(kGpu), Staged("fails"));
  fake_gpu::FailCopies(1 << 30);
  const absl::Status status = Step(session.get(), {"train:0"}).status();
  EXPECT_TRUE(absl::IsInternal(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "copying a staged tensor to")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "device:GPU:0")) << status;
  fake_gpu::FailCopies(0);
  for (int step = 1; step < 50; ++step) {
    ASSERT_TRUE(Step(session.get(), {"train:0", "count:0"}).ok()) << "nothing else is lost";
  }
  EXPECT_TRUE(absl::IsOutOfRange(Step(session.get(), {"train:0"}).status()));
}

// A step that starts the stage, and gives up while its copies do not end.
void GiveUp(Session* session) {
  fake_gpu::Hold();
  tensorflow::RunOptions options;
  options.set_timeout_in_ms(50);
  std::vector<Tensor> out;
  EXPECT_FALSE(session->Run(options, {}, {"train:0"}, {}, &out, nullptr).ok());
  ASSERT_TRUE(Eventually([] { return fake_gpu::Held() > 0; }));
}

TEST_F(AcceleratorTest, AStepThatGivesUpOnACopyTakesNothing) {
  auto unstaged = Open(Training(kGpu), SessionOptions());
  const auto first = Step(unstaged.get(), {"train:0"});
  auto session = Open(Training(kGpu), Staged("cancelled"));
  GiveUp(session.get());
  fake_gpu::Release();
  EXPECT_EQ(*Step(session.get(), {"train:0"}), *first);
}

TEST_F(AcceleratorTest, ASessionClosesWhileACopyIsInFlight) {
  auto session = Open(Training(kGpu), Staged("closing"));
  GiveUp(session.get());
  std::thread closer([&session] {
    session->Close().IgnoreError();
    session.reset();
  });
  // The stage is closed, and awaits its copies: the device is still there.
  EXPECT_TRUE(Eventually([] { return StatsOf("closing").empty(); }));
  EXPECT_GT(fake_gpu::Held(), 0);
  EXPECT_GT(fake_gpu::LiveBuffers(), 0);
  fake_gpu::Release();
  closer.join();
}

TEST_F(AcceleratorTest, TheBudgetCountsCopies) {
  auto session = Open(Training(kGpu), Staged("budget", {{"num_threads", 1}}));
  ASSERT_TRUE(session->Run({}, {}, {"headrace/start"}, nullptr).ok());
  // An element of 16 bytes; hash and weights, 24; copies of all three, 40.
  EXPECT_TRUE(Eventually([] {
    const auto stages = StatsOf("budget");
    return stages.size() == 1 && stages[0]["held_bytes"] == 3 * (16 + 24 + 40);
  })) << StatsOf("budget");
}

TEST_F(AcceleratorTest, WithoutAGpuNothingIsCopied) {
  SessionOptions options = Staged("none");
  (*options.config.mutable_device_count())["GPU"] = 0;
  auto session = Open(Training(""), options);
  for (int step = 0; step < 5; ++step) {
    ASSERT_TRUE(Step(session.get(), {"train:0", "count:0"}).ok());
  }
  EXPECT_TRUE(fake_gpu::Copies().empty());
  EXPECT_EQ(StatsOf("none")[0]["copied_tensors"], 0);
}

TEST_F(AcceleratorTest, WithoutAGpuTheGraphIsTheSame) {
  const SessionOptions options = Staged("same");
  tensorflow::GraphDef rewritten;
  TF_CHECK_OK(RewriteGraphDef(Training("").def(),
                              options.config.graph_options().rewrite_options().custom_optimizers(0),
                              &rewritten));
  for (auto& node : *rewritten.mutable_node()) node.set_device(std::string(kTask) + kCpu);
  tensorflow::Graph graph(tensorflow::OpRegistry::Global());
  tensorflow::GraphConstructorOptions constructor;
  constructor.allow_internal_ops = true;
  TF_CHECK_OK(tensorflow::ConvertGraphDefToGraph(constructor, rewritten, &graph));
  tensorflow::GraphDef before, after;
  graph.ToGraphDef(&before);
  TF_CHECK_OK(MarkCopies(&graph));
  TF_CHECK_OK(TakeCopies(/*is_function_graph=*/false, &graph));
  graph.ToGraphDef(&after);
  EXPECT_EQ(before.DebugString(), after.DebugString());
}

// FakeDouble is staged: with a stream of its own it runs on that stream's logical device.
TestGraph Doubling() {
  TestGraph graph;
  graph.AddIterator("it").AddInitializer("it");
  graph.Add("number", "Cast", {"it/next"}, {{"SrcT", Attr(DT_INT64)}, {"DstT", Attr(DT_FLOAT)}})
      .Add("double", "Headrace>FakeDouble", {"number"})
      .Add("train", "Headrace>FakeTrain", {"double"},
           {{"T", Attr(std::vector<DataType>{DT_FLOAT})}})
      .SetDevice("train", kGpu);
  return graph;
}

SessionOptions Divided(SessionOptions options, int parts) {
  auto* gpu = options.config.mutable_gpu_options()->mutable_experimental()->add_virtual_devices();
  for (int part = 0; part < parts; ++part) gpu->add_memory_limit_mb(16);
  options.config.set_allow_soft_placement(true);
  return options;
}

TEST_F(AcceleratorTest, AStageWithAStreamRunsOnItsLogicalDevice) {
  auto plain = Open(Doubling(), SessionOptions());
  auto session = Open(
      Doubling(), Divided(Staged("stream", {{"streams", 2}, {"stage_subgraph_stream_id", 1}}), 2));
  fake_gpu::Forget();
  std::vector<float> found;
  for (int step = 0; step < 50; ++step) {
    const auto values = Step(session.get(), {"train:0"});
    ASSERT_TRUE(values.ok()) << values.status();
    found.push_back((*values)[0]);
  }
  EXPECT_EQ(fake_gpu::RunOn(), std::set<std::string>{std::string(kTask) + "/device:GPU:1"});
  for (const fake_gpu::Copy& copy : fake_gpu::Copies()) {
    if (copy.to_device && absl::EndsWith(copy.device, "GPU:0")) {
      EXPECT_EQ(copy.asked_by, kStageThread);
    }
  }
  for (const float value : found) EXPECT_EQ(value, (*Step(plain.get(), {"train:0"}))[0]);
}

TEST_F(AcceleratorTest, OnTheCpuWinsOverAStream) {
  auto session = Open(Doubling(), [] {
    SessionOptions options = Staged("cpu", {{"streams", 2}, {"stage_subgraph_stream_id", 1}});
    auto& entry = *options.config.mutable_graph_options()
                       ->mutable_rewrite_options()
                       ->mutable_custom_optimizers(0);
    (*entry.mutable_parameter_map())["stage_subgraph_on_cpu"].set_b(true);
    return options;
  }());
  ASSERT_TRUE(Step(session.get(), {"train:0"}).ok());
  EXPECT_EQ(fake_gpu::RunOn(), std::set<std::string>{std::string(kTask) + "/device:CPU:0"});
}

std::string RefusalOf(const SessionOptions& options) {
  std::unique_ptr<Session> session(tensorflow::NewSession(options));
  absl::Status status = session->Create(Doubling().def());
  if (status.ok()) status = session->Run({}, {}, {"it/init"}, nullptr);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  return std::string(status.message());
}

TEST_F(AcceleratorTest, AStreamWithoutALogicalDeviceIsRefused) {
  const SessionOptions options =
      Staged("refused", {{"streams", 2}, {"stage_subgraph_stream_id", 1}});
  const std::string message = RefusalOf(options);
  EXPECT_TRUE(absl::StrContains(
      message, "GPU:1 is not there. There are: '" + std::string(kTask) + "/device:GPU:0'"))
      << message;
}

TEST_F(AcceleratorTest, AnotherGpuIsNoStream) {
  fake_gpu::SetPhysical(2);
  const std::string message =
      RefusalOf(Staged("another", {{"streams", 2}, {"stage_subgraph_stream_id", 1}}));
  EXPECT_TRUE(absl::StrContains(message, "GPU:1 is another GPU than GPU:0")) << message;
}

}  // namespace
}  // namespace headrace
