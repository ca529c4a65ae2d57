// Variables that only the stage uses: which are found, and what the rewritten graph makes of them.
// In the drawings, -^-> is a control edge.
#include "tensorflow/private_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "tensorflow/attributes.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/node_def_util.h"
#include "tensorflow/stage_graph.h"
#include "tensorflow/test_graph.h"

namespace headrace {
namespace {

using ::tensorflow::DT_INT32;
using ::tensorflow::DT_INT64;
using ::tensorflow::DT_RESOURCE;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using Strings = std::vector<std::string>;

TestGraph& AddParameter(TestGraph* test, const std::string& name, int index) {
  return test->Add(name, "_Arg", {}, {{"T", Attr(DT_RESOURCE)}, {"index", Attr(index)}});
}

TestGraph& AddRead(TestGraph* test, const std::string& name, const Strings& inputs) {
  return test->Add(name, "ReadVariableOp", inputs, {{"dtype", Attr(DT_INT64)}});
}

TestGraph& AddAssign(TestGraph* test, const std::string& name, const Strings& inputs) {
  return test->Add(name, "AssignVariableOp", inputs, {{"dtype", Attr(DT_INT64)}});
}

TestGraph& AddSum(TestGraph* test, const std::string& name, const Strings& inputs) {
  return test->Add(name, "AddV2", inputs, {{"T", Attr(DT_INT64)}});
}

//   seed -> before -> next -> count     (before -^-> count)
//             `-> x <- it/next
//                 `-> y -> result       (weight -> w -> y)
TestGraph Counting() {
  TestGraph test;
  test.AddIterator("it").AddNumber("one", 1);
  AddParameter(&test, "seed", 0);
  AddParameter(&test, "weight", 1);
  AddRead(&test, "before", {"seed"});
  AddSum(&test, "next", {"before", "one"});
  AddAssign(&test, "count", {"seed", "next", "^before"});
  AddSum(&test, "x", {"it/next", "before"});
  AddRead(&test, "w", {"weight"});
  AddSum(&test, "y", {"x", "w"});
  return test.Add("result", "_Retval", {"y"}, {{"T", Attr(DT_INT64)}, {"index", Attr(0)}});
}

StagedGraph Stage(const TestGraph& test, const std::set<std::string>& targets = {"count"},
                  bool is_function_graph = true) {
  StagingRequest request;
  EXPECT_TRUE(SetSessionOptions({}, &request).ok());
  request.largest_cut = true;
  absl::StatusOr<StagedGraph> staged =
      StageGraph(*test.Build(), test.Library(), request, targets, is_function_graph);
  EXPECT_TRUE(staged.ok()) << staged.status();
  return staged.ok() ? *std::move(staged) : StagedGraph();
}

const tensorflow::Node* Call(const StagedGraph& staged) {
  return staged.applied.calls.empty()
             ? nullptr
             : FindNode(*staged.planned.graph, staged.applied.calls.front());
}

Strings Kinds(const StagedGraph& staged) {
  Strings kinds;
  if (Call(staged) != nullptr) {
    EXPECT_TRUE(tensorflow::GetNodeAttr(Call(staged)->attrs(), "source_kinds", &kinds).ok());
  }
  return kinds;
}

TEST(PrivateStateTest, IsMadeByTheStage) {
  const StagedGraph staged = Stage(Counting());
  EXPECT_THAT(Kinds(staged), ElementsAre("iterator", "state"));
  const tensorflow::Graph& graph = *staged.planned.graph;
  EXPECT_THAT(InputsOf(graph, Call(staged)->name()), ElementsAre("it:0", "seed:0"));
  for (const char* gone : {"before", "next"}) EXPECT_EQ(FindNode(graph, gone), nullptr) << gone;
  // The function still has a node of that name, which it runs for its effect.
  EXPECT_THAT(InputsOf(graph, "count"), ElementsAre("^" + Call(staged)->name()));
  EXPECT_EQ(FindNode(graph, "count")->type_string(), "NoOp");
  for (const std::string& name : NamesOf(graph)) {
    EXPECT_NE(FindNode(graph, name)->type_string(), kPrivateStateOp);
  }
  const tensorflow::FunctionDef& function = staged.applied.functions[1];
  Strings ops;
  for (const tensorflow::NodeDef& node : function.node_def()) ops.push_back(node.name());
  std::sort(ops.begin(), ops.end());
  EXPECT_THAT(ops, ElementsAre("before", "count", "headrace_ran_1", "next", "one"));
}

// Inlined calls leave such nodes behind.
TEST(PrivateStateTest, HandlesMayBePassedOn) {
  TestGraph test = Counting();
  test.Add("passed", "Identity", {"seed"}, {{"T", Attr(DT_RESOURCE)}});
  AddAssign(&test, "more", {"passed", "next", "^count"});
  const StagedGraph staged = Stage(test);
  EXPECT_THAT(Kinds(staged), Contains("state"));
  EXPECT_EQ(FindNode(*staged.planned.graph, "more"), nullptr);
}

// In a session a step may read the variable and not write it.
TEST(PrivateStateTest, NotInSessionGraphs) {
  TestGraph test = Counting();
  EXPECT_THAT(Kinds(Stage(test, {}, /*is_function_graph=*/false)), Not(Contains("state")));
}

TEST(PrivateStateTest, WhatWaitsForItWaitsForTheCall) {
  TestGraph test = Counting();
  test.Add("after", "NoOp", {"^count"});
  test.Add("done", "NoOp", {"^after"});
  const StagedGraph staged = Stage(test, {"done"});
  EXPECT_THAT(Kinds(staged), Contains("state"));
  EXPECT_THAT(InputsOf(*staged.planned.graph, "after"), ElementsAre("^" + Call(staged)->name()));
  EXPECT_EQ(FindNode(*staged.planned.graph, "count"), nullptr) << "nobody asks for it by name";
}

TEST(PrivateStateTest, SeveralWritesAndReads) {
  TestGraph test = Counting();
  AddRead(&test, "again", {"seed", "^count"});
  AddSum(&test, "twice", {"again", "again"});
  AddAssign(&test, "second", {"seed", "twice", "^again"});
  AddSum(&test, "z", {"x", "again"});
  test.Add("other", "_Retval", {"z"}, {{"T", Attr(DT_INT64)}, {"index", Attr(1)}});
  const StagedGraph staged = Stage(test, {"count", "second"});
  EXPECT_THAT(Kinds(staged), Contains("state"));
  for (const char* target : {"count", "second"}) {
    EXPECT_EQ(FindNode(*staged.planned.graph, target)->type_string(), "NoOp") << target;
  }
}

// Each turns Counting() into a graph whose variable is not private.
struct Shared {
  const char* name;
  std::function<void(TestGraph*)> change;
};

class SharedTest : public ::testing::TestWithParam<Shared> {};

TEST_P(SharedTest, StaysInTheTrainingPart) {
  TestGraph test = Counting();
  GetParam().change(&test);
  const StagedGraph staged = Stage(test);
  EXPECT_THAT(Kinds(staged), ElementsAre("iterator"));
  EXPECT_NE(FindNode(*staged.planned.graph, "before"), nullptr);
  EXPECT_EQ(FindNode(*staged.planned.graph, "count")->type_string(), "AssignVariableOp");
}

INSTANTIATE_TEST_SUITE_P(
    All, SharedTest,
    ::testing::Values(
        Shared{"WrittenWithAnElement",
               [](TestGraph* test) {
                 test->Add("size", "Sum", {"it/next", "axis"},
                           {{"T", Attr(DT_INT64)}, {"Tidx", Attr(DT_INT32)}});
                 test->AddIndex("axis", 0);
                 AddAssign(test, "more", {"seed", "size"});
               }},
        Shared{"WrittenWithAnotherVariable",
               [](TestGraph* test) {
                 AddAssign(test, "more", {"seed", "w"});
               }},
        Shared{"UsedByAnUnknownOp",
               [](TestGraph* test) {
                 test->Add("gather", "ResourceGather", {"seed", "axis"},
                           {{"dtype", Attr(DT_INT64)}, {"Tindices", Attr(DT_INT32)}});
                 test->AddIndex("axis", 0);
               }},
        Shared{
            "UsedByTheTrainingPart",
            [](TestGraph* test) {
              AddSum(test, "half", {"before", "one"});
              AddSum(test, "mixed", {"half", "w"});
              test->Add("other", "_Retval", {"mixed"}, {{"T", Attr(DT_INT64)}, {"index", Attr(1)}});
            }},
        Shared{"Returned",
               [](TestGraph* test) {
                 test->Add("other", "_Retval", {"before"},
                           {{"T", Attr(DT_INT64)}, {"index", Attr(1)}});
               }},
        Shared{"PassedOn",
               [](TestGraph* test) {
                 test->Add("other", "_Retval", {"seed"},
                           {{"T", Attr(DT_RESOURCE)}, {"index", Attr(1)}});
               }},
        Shared{"WrittenAfterTheTrainingPart",
               [](TestGraph* test) {
                 test->Add("trained", "NoOp", {"^y"});
                 AddAssign(test, "late", {"seed", "one", "^trained"});
               }},
        Shared{"WaitsForWhatWaitsForIt",
               [](TestGraph* test) {
                 AddSum(test, "seen", {"before", "w"});
                 AddAssign(test, "late", {"seed", "one", "^seen"});
               }},
        Shared{"AnotherParameterIsTheSame",
               [](TestGraph* test) {
                 test->SetAttr("seed", "_resource_arg_unique_id", Attr(3));
                 test->SetAttr("weight", "_resource_arg_unique_id", Attr(3));
               }},
        Shared{"OnAnAccelerator",
               [](TestGraph* test) {
                 test->SetDevice("seed", "/job:localhost/replica:0/task:0/device:GPU:0");
               }},
        Shared{"Kept", [](TestGraph* test) { test->SetAttr("before", kKeepAttr, Attr(true)); }},
        Shared{"Target", [](TestGraph* test) { test->SetAttr("count", kTargetAttr, Attr(true)); }}),
    [](const auto& info) { return info.param.name; });

// A counter of steps, as optimizers have: nothing of it meets an element in the stage.
TEST(PrivateStateTest, CountersOfTheTrainingPartAreNone) {
  TestGraph test = Counting();
  AddParameter(&test, "steps", 2);
  test.Add("step", "AssignAddVariableOp", {"steps", "one"}, {{"dtype", Attr(DT_INT64)}});
  AddRead(&test, "steps/read", {"steps", "^step"});
  AddSum(&test, "rate", {"steps/read", "w"});
  test.Add("other", "_Retval", {"rate"}, {{"T", Attr(DT_INT64)}, {"index", Attr(1)}});
  const StagedGraph staged = Stage(test);
  EXPECT_THAT(Kinds(staged), ElementsAre("iterator", "state"));
  EXPECT_NE(FindNode(*staged.planned.graph, "step"), nullptr);
}

// What the planner leaves out after all is as it was: here both stages would need it.
TEST(PrivateStateTest, WhatIsNotStagedIsPutBack) {
  TestGraph test = Counting();
  test.AddIterator("other");
  AddSum(&test, "x2", {"other/next", "before"});
  AddSum(&test, "y2", {"x2", "w"});
  test.Add("r2", "_Retval", {"y2"}, {{"T", Attr(DT_INT64)}, {"index", Attr(1)}});
  test.SetDevice("it/next", "/job:worker/task:0").SetDevice("other/next", "/job:worker/task:1");
  const StagedGraph staged = Stage(test);
  for (const std::string& name : NamesOf(*staged.planned.graph)) {
    EXPECT_NE(FindNode(*staged.planned.graph, name)->type_string(), kPrivateStateOp);
  }
  EXPECT_TRUE(FindNode(*staged.planned.graph, "before") != nullptr || Kinds(staged).size() > 1);
}

}  // namespace
}  // namespace headrace
