#include "tensorflow/inline_calls.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/core/graph/validate.h"
#include "tensorflow/test_graph.h"

namespace headrace {
namespace {

using ::tensorflow::DataType;
using ::tensorflow::DT_INT64;
using ::tensorflow::DT_RESOURCE;
using ::tensorflow::FunctionDef;
using ::tensorflow::Graph;
using ::tensorflow::PartialTensorShape;

Attrs Element() {
  return {{"output_types", Attr(std::vector<DataType>{DT_INT64})},
          {"output_shapes", Attr(std::vector<PartialTensorShape>{PartialTensorShape({})})}};
}

Attrs CallAttrs(const std::string& function, const std::vector<DataType>& in) {
  return {{"Tin", Attr(in)},
          {"Tout", Attr(std::vector<DataType>{DT_INT64})},
          {"f", FunctionAttr(function)}};
}

// next(it) + 1
FunctionDef NextPlusOne() {
  tensorflow::Tensor one(DT_INT64, {});
  one.scalar<std::int64_t>()() = 1;
  return MakeFunction(
      "next_plus_one", {"it: resource"}, {"y: int64"},
      {{"next", "IteratorGetNext", {"it"}, Element()},
       {"one", "Const", {}, {{"dtype", Attr(DT_INT64)}, {"value", Attr(one)}}},
       {"add", "AddV2", {"next:components:0", "one:output:0"}, {{"T", Attr(DT_INT64)}}}},
      {"add:z:0"}, {"next"});
}

FunctionDef Calls(const std::string& name, const std::string& callee) {
  return MakeFunction(
      name, {"it: resource"}, {"y: int64"},
      {{"call", "StatefulPartitionedCall", {"it"}, CallAttrs(callee, {DT_RESOURCE})}},
      {"call:output:0"}, {"call"});
}

// x * v, where v is a variable
FunctionDef Train() {
  return MakeFunction("train", {"x: int64", "v: resource"}, {"y: int64"},
                      {{"neg", "Neg", {"x"}, {{"T", Attr(DT_INT64)}}},
                       {"read", "ReadVariableOp", {"v"}, {{"dtype", Attr(DT_INT64)}}},
                       {"mul", "Mul", {"neg:y:0", "read:value:0"}, {{"T", Attr(DT_INT64)}}}},
                      {"mul:z:0"});
}

std::unique_ptr<Graph> Inlined(const TestGraph& test, const std::set<std::string>& leave = {},
                               bool is_function_graph = false) {
  std::unique_ptr<Graph> graph = test.Build();
  const tensorflow::FunctionLibraryDefinition library = test.Library();
  const absl::Status status = InlineCalls(library, leave, is_function_graph, graph.get());
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(tensorflow::graph::ValidateGraphHasNoCycle(*graph).ok());
  return graph;
}

TestGraph NestedSource() {
  TestGraph test;
  test.AddIterator("it").AddFunction(NextPlusOne()).AddFunction(Calls("outer", "next_plus_one"));
  test.Add("call", "StatefulPartitionedCall", {"it"}, CallAttrs("outer", {DT_RESOURCE}));
  test.Add("use", "Neg", {"call"}, {{"T", Attr(DT_INT64)}});
  return test;
}

TEST(InlineCallsTest, SourceInNestedCalls) {
  const std::unique_ptr<Graph> graph = Inlined(NestedSource());
  ASSERT_NE(FindNode(*graph, "call/call/next"), nullptr);
  EXPECT_EQ(InputsOf(*graph, "call/call/add"),
            (std::vector<std::string>{"call/call/next:0", "call/call/one:0"}));
  // The call stays fetchable, and fetching it does all that the call did.
  EXPECT_EQ(FindNode(*graph, "call")->type_string(), "IdentityN");
}

TEST(InlineCallsTest, InFunctionGraphsTheCallStaysATarget) {
  const std::unique_ptr<Graph> graph = Inlined(NestedSource(), {}, /*is_function_graph=*/true);
  EXPECT_EQ(FindNode(*graph, "call")->type_string(), "NoOp");
}

TEST(InlineCallsTest, CallThatMixesStagedAndTraining) {
  TestGraph test;
  test.AddIterator("it").AddVariable("v").AddFunction(Train());
  test.Add("call", "PartitionedCall", {"it/next", "v"},
           CallAttrs("train", {DT_INT64, DT_RESOURCE}));
  const std::unique_ptr<Graph> graph = Inlined(test);
  EXPECT_NE(FindNode(*graph, "call/neg"), nullptr);
  EXPECT_NE(FindNode(*graph, "call/mul"), nullptr);
}

TEST(InlineCallsTest, PureCallsAndCallsBesideTheInputStay) {
  TestGraph test;
  test.AddIterator("it").AddVariable("v").AddNumber("x", 3).AddFunction(Train());
  test.AddFunction(MakeFunction("pure", {"x: int64"}, {"y: int64"},
                                {{"neg", "Neg", {"x"}, {{"T", Attr(DT_INT64)}}}}, {"neg:y:0"}));
  test.Add("pure_call", "PartitionedCall", {"it/next"}, CallAttrs("pure", {DT_INT64}));
  test.Add("other_call", "PartitionedCall", {"x", "v"},
           CallAttrs("train", {DT_INT64, DT_RESOURCE}));
  const std::unique_ptr<Graph> graph = Inlined(test);
  EXPECT_EQ(FindNode(*graph, "pure_call")->type_string(), "PartitionedCall");
  EXPECT_EQ(FindNode(*graph, "other_call")->type_string(), "PartitionedCall");
}

TEST(InlineCallsTest, CallsThatAreToBeLeftAlone) {
  EXPECT_EQ(FindNode(*Inlined(NestedSource(), {"call"}), "call")->type_string(),
            "StatefulPartitionedCall");
  TestGraph target = NestedSource();
  target.SetAttr("call", "_headrace_target", Attr(true));
  EXPECT_EQ(FindNode(*Inlined(target), "call")->type_string(), "StatefulPartitionedCall");
  TestGraph compiled = NestedSource();
  compiled.SetAttr("call", "_XlaMustCompile", Attr(true));
  EXPECT_EQ(FindNode(*Inlined(compiled), "call")->type_string(), "StatefulPartitionedCall");
}

TEST(InlineCallsTest, FunctionThatMustNotBeInlined) {
  TestGraph test;
  FunctionDef function = NextPlusOne();
  (*function.mutable_attr())["_noinline"].set_b(true);
  test.AddIterator("it").AddFunction(function);
  test.Add("call", "StatefulPartitionedCall", {"it"}, CallAttrs("next_plus_one", {DT_RESOURCE}));
  EXPECT_EQ(FindNode(*Inlined(test), "call")->type_string(), "StatefulPartitionedCall");
}

// f reads an element and calls itself: inlining it would never end.
TEST(InlineCallsTest, RecursionIsInlinedOnce) {
  TestGraph test;
  test.AddIterator("it").AddFunction(
      MakeFunction("f", {"it: resource"}, {"y: int64"},
                   {{"next", "IteratorGetNext", {"it"}, Element()},
                    {"again", "StatefulPartitionedCall", {"it"}, CallAttrs("f", {DT_RESOURCE})}},
                   {"again:output:0"}, {"next", "again"}));
  test.Add("call", "StatefulPartitionedCall", {"it"}, CallAttrs("f", {DT_RESOURCE}));
  const std::unique_ptr<Graph> graph = Inlined(test);
  EXPECT_EQ(FindNode(*graph, "call/again")->type_string(), "StatefulPartitionedCall");
}

// TensorFlow ties the constants of an inlined body to the call's control inputs.
TEST(InlineCallsTest, ConstantsDoNotWaitForWhatTheCallWaitsFor) {
  TestGraph test = NestedSource();
  test.AddVariable("v");
  test.Add("after", "StatefulPartitionedCall", {"it", "^v/init"},
           CallAttrs("next_plus_one", {DT_RESOURCE}));
  const std::unique_ptr<Graph> graph = Inlined(test);
  EXPECT_EQ(InputsOf(*graph, "after/one"), std::vector<std::string>{});
}

TEST(InlineCallsTest, NamesDoNotDependOnTheOrderOfNodes) {
  TestGraph forward = NestedSource();
  forward.Add("second", "StatefulPartitionedCall", {"it"}, CallAttrs("outer", {DT_RESOURCE}));
  TestGraph backward;
  backward.AddFunction(NextPlusOne()).AddFunction(Calls("outer", "next_plus_one"));
  backward.Add("second", "StatefulPartitionedCall", {"it"}, CallAttrs("outer", {DT_RESOURCE}));
  backward.Add("call", "StatefulPartitionedCall", {"it"}, CallAttrs("outer", {DT_RESOURCE}));
  backward.Add("use", "Neg", {"call"}, {{"T", Attr(DT_INT64)}}).AddIterator("it");
  EXPECT_EQ(NamesOf(*Inlined(forward)), NamesOf(*Inlined(backward)));
}

}  // namespace
}  // namespace headrace
