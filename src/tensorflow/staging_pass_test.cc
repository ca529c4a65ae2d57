// The pass as TensorFlow runs it, on graphs alone and in sessions.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tensorflow/attributes.h"
#include "tensorflow/c/c_api.h"
#include "tensorflow/c_api.h"
#include "tensorflow/core/common_runtime/device_factory.h"
#include "tensorflow/core/common_runtime/device_set.h"
#include "tensorflow/core/common_runtime/optimization_registry.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/public/session.h"
#include "tensorflow/dump_graph.h"
#include "tensorflow/options.h"
#include "tensorflow/test_graph.h"

namespace headrace {
namespace {

using ::tensorflow::DT_INT64;
using ::tensorflow::FunctionDef;
using ::tensorflow::FunctionLibraryDefinition;
using ::tensorflow::Graph;
using ::tensorflow::GraphOptimizationPass;
using ::tensorflow::OptimizationPassRegistry;
using ::tensorflow::SessionOptions;
using Carrier = ::tensorflow::RewriterConfig_CustomGraphOptimizer;

GraphOptimizationPass* Pass() {
  const auto& phases = OptimizationPassRegistry::Global()->groups();
  const auto& passes = phases.at(OptimizationPassRegistry::PRE_PLACEMENT).at(9);
  for (const auto& pass : passes) {
    if (pass->name() == "HeadraceStagingPass") return pass.get();
  }
  return nullptr;
}

Carrier* AddCarrier(SessionOptions* options) {
  Carrier* carrier =
      options->config.mutable_graph_options()->mutable_rewrite_options()->add_custom_optimizers();
  carrier->set_name(kCarrierName);
  return carrier;
}

// One run of the pass.
struct PassRun {
  explicit PassRun(const TestGraph& test, const SessionOptions& session = StagedSession(),
                   const FunctionDef* function = nullptr,
                   const tensorflow::DeviceSet* devices = nullptr)
      : graph(test.Build()), library(test.Library()), before(graph.get()) {
    tensorflow::GraphOptimizationPassOptions options;
    options.session_options = &session;
    options.graph = &graph;
    options.flib_def = &library;
    options.function_def = function;
    options.is_function_graph = function != nullptr;
    options.device_set = devices;
    names_before = NamesOf(*graph);
    status = Pass()->Run(options);
  }

  static SessionOptions StagedSession() {
    SessionOptions session;
    AddCarrier(&session);
    return session;
  }

  bool untouched() const { return graph.get() == before && NamesOf(*graph) == names_before; }
  std::vector<std::string> calls() const {
    std::vector<std::string> names;
    for (const tensorflow::Node* node : graph->op_nodes()) {
      if (node->type_string() == kStagedCallOp) names.push_back(node->name());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  std::unique_ptr<Graph> graph;
  FunctionLibraryDefinition library;
  Graph* before;
  std::vector<std::string> names_before;
  absl::Status status;
};

TEST(StagingPassTest, WithoutOptionsNothingChanges) {
  const PassRun run(TrainingGraph(), SessionOptions());
  EXPECT_TRUE(run.status.ok());
  EXPECT_TRUE(run.untouched());
}

TEST(StagingPassTest, StagesAndPublishesFunctions) {
  const PassRun run(TrainingGraph());
  ASSERT_TRUE(run.status.ok()) << run.status;
  ASSERT_EQ(run.calls().size(), 1u);
  for (const std::string& name : run.library.ListFunctionNames()) {
    EXPECT_TRUE(run.graph->flib_def().Contains(name)) << name;
  }
  EXPECT_EQ(run.library.num_functions(), 2u);
}

TEST(StagingPassTest, GraphWithoutSourceIsUntouched) {
  TestGraph test;
  test.AddVariable("v");
  EXPECT_TRUE(PassRun(test).untouched());
}

TEST(StagingPassTest, NothingToStageIsUntouched) {
  TestGraph test = TrainingGraph();
  test.SetAttr("it/next", kTargetAttr, Attr(true));
  EXPECT_TRUE(PassRun(test).untouched());
}

// A rewrite that cannot be made leaves the graph as it was, and does not fail the session.
TEST(StagingPassTest, WhatCannotBeRewrittenRunsUnstaged) {
  const PassRun good(TrainingGraph());
  ASSERT_EQ(good.calls().size(), 1u);
  TestGraph test = TrainingGraph();
  test.AddNumber(good.calls()[0], 1);  // takes the call's name
  const PassRun run(test);
  EXPECT_TRUE(run.status.ok()) << run.status;
  EXPECT_TRUE(run.untouched());
  EXPECT_EQ(run.library.num_functions(), 0u);
}

TEST(StagingPassTest, KillSwitch) {
  ::setenv("HEADRACE_STAGING", "off", 1);
  const PassRun off(TrainingGraph());
  ::setenv("HEADRACE_STAGING", "on", 1);
  const PassRun on(TrainingGraph());
  ::unsetenv("HEADRACE_STAGING");
  EXPECT_TRUE(off.untouched());
  EXPECT_FALSE(on.untouched());
}

TEST(StagingPassTest, BadOptionsFailTheSession) {
  SessionOptions session;
  (*AddCarrier(&session)->mutable_parameter_map())["capacity"].set_i(-2);
  const PassRun run(TrainingGraph(), session);
  EXPECT_EQ(run.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(run.status.message(),
            "Headrace options: capacity is -2, but must be >= 0, or -1 (AUTOTUNE)");
  EXPECT_TRUE(run.untouched());
}

TEST(StagingPassTest, TwoCarriersFailTheSession) {
  SessionOptions session = PassRun::StagedSession();
  AddCarrier(&session);
  EXPECT_EQ(PassRun(TrainingGraph(), session).status.code(), absl::StatusCode::kInvalidArgument);
}

TEST(StagingPassTest, BadOptionsOfAMarkFailTheSession) {
  TestGraph test = TrainingGraph();
  Carrier options;
  options.set_name(kCarrierName);
  (*options.mutable_parameter_map())["num_threads"].set_i(0);
  test.SetAttr("hash", kStagedAttr, Attr(0))
      .SetAttr("hash", kOptionsAttr, Attr(options.SerializeAsString()));
  const PassRun run(test);
  EXPECT_EQ(
      run.status.message(),
      "Headrace options: num_threads is 0, but must be in [1, 4096], or -1 (AUTOTUNE) (of the "
      "tf.staged mark 'hash')");
}

TEST(StagingPassTest, MarksAloneStageUpToThem) {
  TestGraph test = TrainingGraph();
  test.Add("mark", "Identity", {"text"}, {{"T", Attr(tensorflow::DT_STRING)}});
  test.Add("past", "StringToHashBucketFast", {"mark"}, {{"num_buckets", Attr(5)}});
  test.Add("use", "AddV2", {"past", "v/read"}, {{"T", Attr(DT_INT64)}});
  test.SetAttr("mark", kStagedAttr, Attr(0));
  const PassRun run(test, SessionOptions());
  ASSERT_TRUE(run.status.ok()) << run.status;
  EXPECT_EQ(run.calls().size(), 1u);
  EXPECT_EQ(FindNode(*run.graph, "past")->type_string(), "StringToHashBucketFast");
  // With a carrier the stage grows past the mark.
  const PassRun grown(test);
  const tensorflow::Node* past = FindNode(*grown.graph, "past");
  EXPECT_TRUE(past == nullptr || past->type_string() == "Identity");
}

TEST(StagingPassTest, OptionsOfAMarkWinOverTheSessions) {
  TestGraph test = TrainingGraph();
  test.Add("mark", "Identity", {"hash"}, {{"T", Attr(DT_INT64)}});
  test.Add("use", "AddV2", {"mark", "v/read"}, {{"T", Attr(DT_INT64)}});
  Carrier options;
  (*options.mutable_parameter_map())["capacity"].set_i(9);
  test.SetAttr("mark", kStagedAttr, Attr(0))
      .SetAttr("mark", kOptionsAttr, Attr(options.SerializeAsString()));
  SessionOptions session;
  Carrier* carrier = AddCarrier(&session);
  (*carrier->mutable_parameter_map())["capacity"].set_i(3);
  (*carrier->mutable_parameter_map())["num_threads"].set_i(2);
  const PassRun run(test, session);
  ASSERT_EQ(run.calls().size(), 1u) << run.status;
  StageOptions parsed;
  const std::string carried = FindNode(*run.graph, run.calls()[0])->attrs().Find("options")->s();
  ASSERT_TRUE(ParseStageOptions(carried, &parsed).ok());
  EXPECT_EQ(parsed.capacity, 9);
  EXPECT_EQ(parsed.num_threads, 2);
}

TEST(StagingPassTest, StreamsNeedAGpu) {
  SessionOptions session;
  (*AddCarrier(&session)->mutable_parameter_map())["streams"].set_i(2);
  std::vector<std::unique_ptr<tensorflow::Device>> made;
  ASSERT_TRUE(
      tensorflow::DeviceFactory::AddDevices(session, "/job:localhost/replica:0/task:0", &made)
          .ok());
  tensorflow::DeviceSet devices;
  for (const auto& device : made) devices.AddDevice(device.get());
  const PassRun run(TrainingGraph(), session, nullptr, &devices);
  EXPECT_EQ(run.status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(std::string(run.status.message()).find("this session has no GPU"), std::string::npos);
}

TEST(StagingPassTest, StageFunctionsAreNotPlannedInside) {
  FunctionDef function;
  (*function.mutable_attr())[kStageFunctionAttr].set_b(true);
  EXPECT_TRUE(PassRun(TrainingGraph(), PassRun::StagedSession(), &function).untouched());
}

TEST(StagingPassTest, ExcludedAndNamed) {
  SessionOptions session;
  Carrier* carrier = AddCarrier(&session);
  (*carrier->mutable_parameter_map())["exclude"].mutable_list()->add_s("hash");
  (*carrier->mutable_parameter_map())["name"].set_s("input");
  const PassRun run(TrainingGraph(), session);
  ASSERT_EQ(run.calls().size(), 1u);
  EXPECT_EQ(run.calls()[0].rfind("headrace/input/it/next/", 0), 0u) << run.calls()[0];
  EXPECT_EQ(FindNode(*run.graph, "hash")->type_string(), "StringToHashBucketFast");
}

TEST(StagingPassTest, RewrittenGraphIsDumped) {
  SessionOptions session;
  const std::string path = ::testing::TempDir() + "/headrace_dump.pbtxt";
  (*AddCarrier(&session)->mutable_parameter_map())["dump_graph"].set_s(path);
  const PassRun run(TrainingGraph(), session);
  ASSERT_TRUE(run.status.ok());
  tensorflow::GraphDef dumped;
  ASSERT_TRUE(tensorflow::ReadTextProto(tensorflow::Env::Default(), path, &dumped).ok());
  EXPECT_EQ(dumped.node_size(), run.graph->num_op_nodes());
  EXPECT_EQ(dumped.library().function_size(), 2);
  EXPECT_EQ(DumpPath("/a.b/graph.pbtxt", "f"), "/a.b/graph.f.pbtxt");
  EXPECT_EQ(DumpPath("/a.b/graph", "f"), "/a.b/graph.f");
}

// What explain() says of a GraphDef is what the session then does, down to the hash.
TEST(StagingPassTest, SessionRunsThePlanThatExplainPrints) {
  const TestGraph test = TrainingGraph();
  const SessionOptions options = PassRun::StagedSession();
  const std::string graph = test.def().SerializeAsString();
  const std::string carrier =
      options.config.graph_options().rewrite_options().custom_optimizers(0).SerializeAsString();
  char *plan = nullptr, *text = nullptr, *error = nullptr;
  ASSERT_EQ(headrace_explain(graph.data(), graph.size(), carrier.data(), carrier.size(), &plan,
                             &text, &error),
            0)
      << error;
  const std::string hash = nlohmann::json::parse(plan).at("hash").get<std::string>();
  EXPECT_NE(std::string(text).find(hash), std::string::npos);
  headrace_free(plan);
  headrace_free(text);

  std::unique_ptr<tensorflow::Session> session(tensorflow::NewSession(options));
  ASSERT_TRUE(session->Create(test.def()).ok());
  ASSERT_TRUE(session->Run({}, {}, {"v/init", "it/init"}, nullptr).ok());
  tensorflow::RunOptions run_options;
  run_options.set_output_partition_graphs(true);
  tensorflow::RunMetadata metadata;
  std::vector<tensorflow::Tensor> outputs;
  ASSERT_TRUE(session->Run(run_options, {}, {"hash"}, {}, &outputs, &metadata).ok());
  std::vector<std::string> nodes;
  for (const auto& partition : metadata.partition_graphs()) {
    for (const auto& node : partition.node()) nodes.push_back(node.name());
  }
  EXPECT_EQ(std::count(nodes.begin(), nodes.end(), "headrace/it/next/" + hash), 1);
  EXPECT_EQ(std::count(nodes.begin(), nodes.end(), "it/next"), 0);
  ASSERT_TRUE(session->Close().ok());
}

TEST(StagingPassTest, ExplainRefusesBadBytesAndBadOptions) {
  char* error = nullptr;
  EXPECT_EQ(headrace_explain("\xff", 1, "", 0, nullptr, nullptr, &error), 3);
  EXPECT_STREQ(error, "the bytes are no serialized GraphDef");
  headrace_free(error);
  Carrier carrier;
  (*carrier.mutable_parameter_map())["capacity"].set_i(-2);
  const std::string bytes = carrier.SerializeAsString();
  EXPECT_EQ(headrace_check_options(bytes.data(), bytes.size(), &error), 3);
  EXPECT_STREQ(error, "Headrace options: capacity is -2, but must be >= 0, or -1 (AUTOTUNE)");
  headrace_free(error);
  EXPECT_EQ(headrace_check_options("", 0, &error), 0);
  EXPECT_EQ(error, nullptr);
}

TEST(StagingPassTest, RewriteGivesTheGraphThatTheSessionRuns) {
  const std::string graph = TrainingGraph().def().SerializeAsString();
  char *bytes = nullptr, *error = nullptr;
  std::size_t size = 0;
  ASSERT_EQ(headrace_rewrite(graph.data(), graph.size(), "", 0, &bytes, &size, &error), 0) << error;
  tensorflow::GraphDef rewritten;
  ASSERT_TRUE(rewritten.ParseFromArray(bytes, static_cast<int>(size)));
  headrace_free(bytes);
  const PassRun run(TrainingGraph());
  EXPECT_EQ(rewritten.node_size(), run.graph->num_op_nodes());
  EXPECT_EQ(rewritten.library().function_size(), 2);
}

TEST(StagingPassTest, VersionsAreGiven) {
  EXPECT_STREQ(headrace_built_for(), TF_Version());
  EXPECT_NE(std::string(headrace_version()), "");
}

}  // namespace
}  // namespace headrace
