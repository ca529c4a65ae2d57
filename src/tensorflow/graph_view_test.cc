#include "tensorflow/graph_view.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/staging_request.h"
#include "tensorflow/test_graph.h"

namespace headrace {
namespace {

using plan::Trait;
using ::tensorflow::DT_INT64;

// Keeps what the view points into.
struct Viewed {
  explicit Viewed(const TestGraph& test, const StagingRequest& request = {})
      : graph(test.Build()), library(test.Library()) {
    TraitFinder traits(*graph, library, false);
    view = MakeGraphView(*graph, library, request, &traits);
  }
  const plan::Node& operator[](const std::string& name) const {
    return view.graph.nodes[view.index.at(FindNode(*graph, name))];
  }
  std::vector<std::string> Controls(const std::string& name) const {
    std::vector<std::string> names;
    for (const int control : (*this)[name].control_inputs)
      names.push_back(view.graph.nodes[control].name);
    return names;
  }

  std::unique_ptr<tensorflow::Graph> graph;
  tensorflow::FunctionLibraryDefinition library;
  GraphView view;
};

TEST(GraphViewTest, ShapesAndCosts) {
  TestGraph test = TrainingGraph();
  test.Add("shape", "Shape", {"it/next"}, {{"T", Attr(DT_INT64)}});
  test.Add("sized", "Reshape", {"it/next", "shape"}, {{"T", Attr(DT_INT64)}});
  const Viewed viewed(test);
  EXPECT_EQ(viewed["it/next"].outputs[0].shape, "[?]");
  EXPECT_EQ(viewed["it/next"].outputs[0].dtype, "int64");
  EXPECT_EQ(viewed["it/next"].outputs[0].bytes, -1);
  EXPECT_EQ(viewed["shape"].outputs[0].shape, "[1]");
  EXPECT_EQ(viewed["shape"].outputs[0].bytes, 4);
  EXPECT_TRUE(viewed["shape"].cheap);
  EXPECT_TRUE(viewed["sized"].cheap);
  EXPECT_FALSE(viewed["hash"].cheap);
  EXPECT_GT(viewed["hash"].cost, viewed["shape"].cost);
}

TEST(GraphViewTest, NodesAreSortedByName) {
  const Viewed viewed(TrainingGraph());
  for (std::size_t i = 1; i < viewed.view.graph.nodes.size(); ++i) {
    EXPECT_LT(viewed.view.graph.nodes[i - 1].name, viewed.view.graph.nodes[i].name);
  }
}

// assert -^-> one -^-> two: what uses `two` waits for the assert.
TEST(GraphViewTest, UsersOfAConstantWaitForWhatItWaitsFor) {
  TestGraph test;
  test.AddIterator("it").AddNumber("one", 1).AddNumber("two", 2);
  test.Add("true", "Const", {},
           {{"dtype", Attr(tensorflow::DT_BOOL)}, {"value", Attr(tensorflow::Tensor(true))}});
  test.Add("assert", "Assert", {"true", "it/next"},
           {{"T", Attr(std::vector<tensorflow::DataType>{DT_INT64})}});
  test.Add("held", "Const", {"^assert"},
           {{"dtype", Attr(DT_INT64)}, {"value", Attr(tensorflow::Tensor(std::int64_t{3}))}});
  test.Add("late", "Const", {"^held"},
           {{"dtype", Attr(DT_INT64)}, {"value", Attr(tensorflow::Tensor(std::int64_t{4}))}});
  test.Add("add", "AddV2", {"it/next", "late"}, {{"T", Attr(DT_INT64)}});
  test.Add("free", "AddV2", {"it/next", "one"}, {{"T", Attr(DT_INT64)}});
  const Viewed viewed(test);
  EXPECT_EQ(viewed["late"].trait, Trait::kConstant);
  EXPECT_TRUE(viewed.Controls("late").empty());
  EXPECT_EQ(viewed.Controls("add"), std::vector<std::string>{"assert"});
  EXPECT_TRUE(viewed.Controls("free").empty());
}

TEST(GraphViewTest, MarksOnNodes) {
  TestGraph test = TrainingGraph();
  test.SetAttr("text", "_headrace_target", Attr(true));
  test.SetAttr("hash", "_headrace_keep", Attr(true));
  test.SetAttr("sum", "_headrace_staged", Attr(2));
  StagingRequest request;
  request.exclude = {"total"};
  const Viewed viewed(test, request);
  EXPECT_TRUE(viewed["text"].target);
  EXPECT_TRUE(viewed["hash"].keep);
  EXPECT_EQ(viewed["sum"].mark, 2);
  EXPECT_EQ(viewed["text"].mark, -1);
  EXPECT_TRUE(viewed["total"].excluded);
}

TEST(GraphViewTest, DevicesThatMustNotMix) {
  EXPECT_EQ(StageDevice("", false), "");
  EXPECT_EQ(StageDevice("/cpu:0", false), "");
  EXPECT_EQ(StageDevice("/device:CPU:1", false), "");
  EXPECT_EQ(StageDevice("/device:GPU:1", false), "/device:GPU:1");
  EXPECT_EQ(StageDevice("/gpu:0", true), "");
  EXPECT_EQ(StageDevice("/job:worker/task:1/device:CPU:0", false), "/job:worker/task:1");
  EXPECT_EQ(StageDevice("/job:worker/task:1/device:GPU:0", true), "/job:worker/task:1");
}

// A lookup runs where its table is, whatever it asks for itself.
TEST(GraphViewTest, ReadersOfAHandleAreWhereItIs) {
  TestGraph test;
  test.AddIterator("it");
  test.Add("v", "VarHandleOp", {},
           {{"dtype", Attr(DT_INT64)}, {"shape", Attr(tensorflow::PartialTensorShape({}))}});
  test.Add("read", "ReadVariableOp", {"v"}, {{"dtype", Attr(DT_INT64)}});
  test.SetDevice("v", "/job:ps/task:0");
  EXPECT_EQ(Viewed(test)["read"].device, "/job:ps/task:0");
}

TEST(GraphViewTest, ResourcesOnAcceleratorsStayThere) {
  TestGraph test = TrainingGraph();
  test.SetDevice("it", "/device:GPU:0");
  const Viewed viewed(test);
  EXPECT_EQ(viewed["it/next"].trait, Trait::kBarrier);
  EXPECT_EQ(viewed["it/next"].barrier_code, plan::ReasonCode::kDevice);
  EXPECT_EQ(viewed["text"].trait, Trait::kPure);
}

TEST(GraphViewTest, SourcesAreFound) {
  EXPECT_TRUE(HasSource(*TrainingGraph().Build(), TrainingGraph().Library()));
  TestGraph none;
  none.AddVariable("v");
  EXPECT_FALSE(HasSource(*none.Build(), none.Library()));

  const Attrs element = {{"output_types", Attr(std::vector<tensorflow::DataType>{DT_INT64})},
                         {"output_shapes", Attr(std::vector<tensorflow::PartialTensorShape>{{}})}};
  TestGraph called;
  called.Add("it", "Placeholder", {}, {{"dtype", Attr(tensorflow::DT_RESOURCE)}});
  called.AddFunction(MakeFunction("f", {"it: resource"}, {"y: int64"},
                                  {{"next", "IteratorGetNext", {"it"}, element}},
                                  {"next:components:0"}));
  called.Add("call", "f", {"it"});
  EXPECT_TRUE(HasSource(*called.Build(), called.Library()));
}

}  // namespace
}  // namespace headrace
