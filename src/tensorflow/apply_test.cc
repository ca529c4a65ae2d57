#include "tensorflow/apply.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tensorflow/attributes.h"
#include "tensorflow/check_rewrite.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/node_def_util.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/stage_graph.h"
#include "tensorflow/test_graph.h"

namespace headrace {
namespace {

using Strings = std::vector<std::string>;
using ::tensorflow::DataType;
using ::tensorflow::DT_FLOAT;
using ::tensorflow::DT_INT32;
using ::tensorflow::DT_INT64;
using ::tensorflow::FunctionDef;
using ::tensorflow::Graph;
using ::tensorflow::Node;
using ::tensorflow::PartialTensorShape;
using ::tensorflow::Tensor;

StagedGraph Stage(const TestGraph& test, bool is_function_graph = false,
                  const std::set<std::string>& targets = {}) {
  StagingRequest request;
  EXPECT_TRUE(SetSessionOptions({}, &request).ok());
  absl::StatusOr<StagedGraph> staged =
      StageGraph(*test.Build(), test.Library(), request, targets, is_function_graph);
  EXPECT_TRUE(staged.ok()) << staged.status();
  return *std::move(staged);
}

const Node* Call(const StagedGraph& staged, std::size_t stage = 0) {
  return FindNode(*staged.planned.graph, staged.applied.calls.at(stage));
}

const Node* Outputs(const StagedGraph& staged, std::size_t stage = 0) {
  return FindNode(*staged.planned.graph, staged.applied.calls.at(stage) + "/outputs");
}

template <typename T>
T AttrOf(const Node* node, const std::string& name) {
  T value;
  EXPECT_TRUE(tensorflow::GetNodeAttr(node->attrs(), name, &value).ok()) << name;
  return value;
}

// "name = op(inputs)" for each node, sorted.
Strings BodyOf(const StagedGraph& staged, const std::string& suffix) {
  Strings lines;
  for (const FunctionDef& function : staged.applied.functions) {
    const std::string& name = function.signature().name();
    if (name.size() < suffix.size() || name.substr(name.size() - suffix.size()) != suffix) continue;
    for (const auto& node : function.node_def()) {
      std::string line = node.name() + " = " + node.op() + "(";
      for (int i = 0; i < node.input_size(); ++i) line += (i > 0 ? ", " : "") + node.input(i);
      lines.push_back(line + ")");
    }
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

//   it -> it/next -> text -> hash | -> sum <- v/read
TEST(ApplyTest, StagedNodesLeaveAndACallTakesTheirPlace) {
  const StagedGraph staged = Stage(TrainingGraph());
  const Graph& graph = *staged.planned.graph;
  EXPECT_EQ(FindNode(graph, "it/next"), nullptr);
  EXPECT_EQ(FindNode(graph, "text"), nullptr);

  const Node* call = Call(staged);
  EXPECT_EQ(call->name(), "headrace/it/next/" + staged.planned.plan.hash);
  EXPECT_EQ(call->requested_device(), "/device:CPU:0");
  EXPECT_EQ(InputsOf(graph, call->name()), Strings{"it:0"});
  EXPECT_EQ(AttrOf<Strings>(call, "source_names"), Strings{"it/next"});
  EXPECT_EQ(AttrOf<Strings>(call, "source_kinds"), Strings{"iterator"});
  EXPECT_EQ(AttrOf<std::vector<int>>(call, "outputs"), std::vector<int>{-1});
  EXPECT_EQ(
      AttrOf<std::vector<PartialTensorShape>>(Outputs(staged), "output_shapes")[0].DebugString(),
      "[?]");

  // The crossing tensor keeps its name, and its consumer reads through it.
  EXPECT_EQ(FindNode(graph, "hash")->type_string(), "Identity");
  EXPECT_EQ(InputsOf(graph, "hash"), Strings{call->name() + "/outputs:0"});
  EXPECT_EQ(InputsOf(graph, "sum"), (Strings{"hash:0", "v/read:0"}));

  EXPECT_EQ(BodyOf(staged, "source0"), Strings{"it/next = Headrace>IteratorPull(headrace_arg_0)"});
  EXPECT_EQ(BodyOf(staged, "body"), (Strings{"hash = StringToHashBucketFast(text:output:0)",
                                             "text = AsString(headrace_arg_0)"}));
  for (const FunctionDef& function : staged.applied.functions) {
    EXPECT_EQ(function.attr().count(kStageFunctionAttr), 1u);
  }
}

TEST(ApplyTest, IteratorIsResetRightBeforeItIsInitialized) {
  TestGraph test = TrainingGraph();
  test.AddIterator("unused");
  test.Add("again", "MakeIterator", {"it/dataset/batched", "it", "^v/init"});
  const StagedGraph staged = Stage(test);
  const Graph& graph = *staged.planned.graph;
  EXPECT_EQ(InputsOf(graph, "it/init"),
            (Strings{"it/dataset/batched:0", "it:0", "^headrace/reset/it/init"}));
  EXPECT_EQ(InputsOf(graph, "headrace/reset/it/init"), Strings{"it:0"});
  EXPECT_EQ(InputsOf(graph, "headrace/reset/again"), (Strings{"it:0", "^v/init"}));
}

TEST(ApplyTest, OtherIteratorsAreNotReset) {
  TestGraph test = TrainingGraph();
  test.AddIterator("other").AddInitializer("other");
  test.SetAttr("other/next", "_headrace_target", Attr(true));
  EXPECT_EQ(FindNode(*Stage(test).planned.graph, "headrace/reset/other/init"), nullptr);
}

TEST(ApplyTest, RawElementsDoNotGoThroughTheBody) {
  TestGraph test = TrainingGraph();
  test.Add("read_raw", "AddV2", {"it/next", "v/read"}, {{"T", Attr(DT_INT64)}});
  const StagedGraph staged = Stage(test);
  const Node* call = Call(staged);
  // Sorted by name: "hash", then "it/next", which is tensor 0 of the elements.
  EXPECT_EQ(AttrOf<std::vector<int>>(call, "outputs"), (std::vector<int>{-1, 0}));
  EXPECT_EQ(InputsOf(*staged.planned.graph, "read_raw"),
            (Strings{call->name() + "/outputs:1", "v/read:0"}));
  // Feeding it/next could not reach the body any more.
  EXPECT_EQ(FindNode(*staged.planned.graph, "it/next"), nullptr);
}

TEST(ApplyTest, NothingToComputeGivesAnEmptyBody) {
  TestGraph test;
  test.AddIterator("it").AddVariable("v");
  test.Add("v/read", "ReadVariableOp", {"v"}, {{"dtype", Attr(DT_INT64)}});
  test.Add("add", "AddV2", {"it/next", "v/read"}, {{"T", Attr(DT_INT64)}});
  const StagedGraph staged = Stage(test);
  EXPECT_EQ(AttrOf<std::vector<int>>(Call(staged), "outputs"), std::vector<int>{0});
  EXPECT_EQ(BodyOf(staged, "body"), Strings{});
  EXPECT_EQ(FindNode(*staged.planned.graph, "it/next")->type_string(), "Identity");
}

TEST(ApplyTest, WaitingForAnElementIsWaitingForTheCall) {
  TestGraph test = TrainingGraph();
  test.AddNumber("one", 1);
  test.Add("count", "AssignAddVariableOp", {"v", "one", "^it/next"}, {{"dtype", Attr(DT_INT64)}});
  const StagedGraph staged = Stage(test);
  EXPECT_EQ(InputsOf(*staged.planned.graph, "count"),
            (Strings{"v:0", "one:0", "^" + Call(staged)->name()}));
  EXPECT_EQ(Outputs(staged)->num_outputs(), 1);
}

// Which ops of the body a step waits for decides which of their errors fail it.
TEST(ApplyTest, WaitingForTheBodyIsWaitingForAToken) {
  TestGraph test = TrainingGraph();
  test.AddNumber("one", 1);
  test.Add("a", "AssignAddVariableOp", {"v", "one", "^text"}, {{"dtype", Attr(DT_INT64)}});
  test.Add("b", "AssignAddVariableOp", {"v", "one", "^text"}, {{"dtype", Attr(DT_INT64)}});
  test.Add("c", "AssignAddVariableOp", {"v", "one", "^text", "^hash", "^it/next"},
           {{"dtype", Attr(DT_INT64)}});
  const StagedGraph staged = Stage(test);
  const Graph& graph = *staged.planned.graph;
  const std::string call = Call(staged)->name();
  EXPECT_EQ(Outputs(staged)->num_outputs(), 3);
  EXPECT_EQ(InputsOf(graph, "a"), (Strings{"v:0", "one:0", "^" + call + "/ran_0"}));
  EXPECT_EQ(InputsOf(graph, "b"), (Strings{"v:0", "one:0", "^" + call + "/ran_0"}));
  EXPECT_EQ(InputsOf(graph, "c"), (Strings{"v:0", "one:0", "^" + call + "/ran_1"}));
  EXPECT_EQ(FindNode(graph, call + "/ran_0")->type_string(), "Headrace>StagedOpsRan");
  EXPECT_EQ(InputsOf(graph, call + "/ran_1"), Strings{call + "/outputs:2"});
  const Strings body = BodyOf(staged, "body");
  EXPECT_EQ(std::count(body.begin(), body.end(), "headrace_ran_1 = Const(^text)"), 1);
  EXPECT_EQ(std::count(body.begin(), body.end(), "headrace_ran_2 = Const(^hash, ^text)"), 1);
}

TEST(ApplyTest, AssertRunsInTheBodyThoughNothingUsesItsValue) {
  TestGraph test = TrainingGraph();
  test.AddNumber("limit", 1000);
  test.Add("less", "Less", {"it/next", "limit"}, {{"T", Attr(DT_INT64)}});
  test.Add("all", "All", {"less", "axis"}, {{"Tidx", Attr(DT_INT32)}});
  test.Add("assert", "Assert", {"all", "it/next"}, {{"T", Attr(std::vector<DataType>{DT_INT64})}});
  test.Add("checked", "Neg", {"hash", "^assert"}, {{"T", Attr(DT_INT64)}});
  test.Add("use", "AddV2", {"checked", "v/read"}, {{"T", Attr(DT_INT64)}});
  const StagedGraph staged = Stage(test);
  const Strings body = BodyOf(staged, "body");
  EXPECT_EQ(std::count(body.begin(), body.end(), "checked = Neg(hash:output:0, ^assert)"), 1);
  EXPECT_TRUE(staged.applied.functions.back().signature().is_stateful());
}

TEST(ApplyTest, DrawsAreFunctionsOfTheirOwnAndConstantsAreCopied) {
  TestGraph test;
  test.AddIterator("it").AddVariable("v");
  Tensor shape(DT_INT32, {0});
  test.Add("shape", "Const", {}, {{"dtype", Attr(DT_INT32)}, {"value", Attr(shape)}});
  test.Add("noise", "RandomUniform", {"shape"},
           {{"T", Attr(DT_INT32)}, {"dtype", Attr(DT_FLOAT)}, {"seed", Attr(7)}});
  test.Add("number", "Cast", {"it/next"}, {{"SrcT", Attr(DT_INT64)}, {"DstT", Attr(DT_FLOAT)}});
  test.Add("noisy", "AddV2", {"number", "noise"}, {{"T", Attr(DT_FLOAT)}});
  test.Add("back", "Cast", {"noisy"}, {{"SrcT", Attr(DT_FLOAT)}, {"DstT", Attr(DT_INT64)}});
  test.Add("v/read", "ReadVariableOp", {"v"}, {{"dtype", Attr(DT_INT64)}});
  test.Add("sum", "AddV2", {"back", "v/read"}, {{"T", Attr(DT_INT64)}});
  const StagedGraph staged = Stage(test);
  const Node* call = Call(staged);
  EXPECT_EQ(AttrOf<Strings>(call, "source_names"), (Strings{"it/next", "noise"}));
  EXPECT_EQ(AttrOf<Strings>(call, "source_kinds"), (Strings{"iterator", "draw"}));
  EXPECT_EQ(AttrOf<std::vector<int>>(call, "source_num_args"), (std::vector<int>{1, 0}));
  EXPECT_EQ(BodyOf(staged, "source1"),
            (Strings{"noise = RandomUniform(shape:output:0)", "shape = Const()"}));
  EXPECT_EQ(FindNode(*staged.planned.graph, "noise"), nullptr);
}

TEST(ApplyTest, HandlesOfTheBodyArePassedIn) {
  TestGraph test = TrainingGraph();
  test.AddNumber("missing", -1);
  test.Add("table", "HashTableV2", {},
           {{"key_dtype", Attr(DT_INT64)}, {"value_dtype", Attr(DT_INT64)}});
  test.Add("find", "LookupTableFindV2", {"table", "it/next", "missing"},
           {{"Tin", Attr(DT_INT64)}, {"Tout", Attr(DT_INT64)}});
  test.Add("use", "AddV2", {"find", "v/read"}, {{"T", Attr(DT_INT64)}});
  const StagedGraph staged = Stage(test);
  const Node* call = Call(staged);
  EXPECT_EQ(InputsOf(*staged.planned.graph, call->name()), (Strings{"it:0", "table:0"}));
  EXPECT_EQ(AttrOf<std::vector<int>>(call, "source_args"), std::vector<int>{0});
  EXPECT_EQ(AttrOf<std::vector<int>>(call, "body_args"), std::vector<int>{1});
  const Strings body = BodyOf(staged, "body");
  EXPECT_EQ(
      std::count(body.begin(), body.end(),
                 "find = LookupTableFindV2(headrace_arg_1, headrace_arg_0, missing:output:0)"),
      1);
}

TEST(ApplyTest, OptionalElementIsOneTensor) {
  TestGraph test;
  const Attrs element = {{"output_types", Attr(std::vector<DataType>{DT_INT64, DT_FLOAT})},
                         {"output_shapes", Attr(std::vector<PartialTensorShape>{
                                               PartialTensorShape({}), PartialTensorShape({2})})}};
  test.AddVariable("v");
  test.Add("it", "IteratorV2", {},
           {element[0], element[1], {"shared_name", Attr("")}, {"container", Attr("")}});
  test.Add("next", "IteratorGetNextAsOptional", {"it"}, element);
  test.Add("get", "OptionalGetValue", {"next"}, element);
  test.Add("v/read", "ReadVariableOp", {"v"}, {{"dtype", Attr(DT_INT64)}});
  test.Add("add", "AddV2", {"get", "v/read"}, {{"T", Attr(DT_INT64)}});
  const StagedGraph staged = Stage(test);
  const Node* call = Call(staged);
  EXPECT_EQ(AttrOf<Strings>(call, "source_kinds"), Strings{"iterator_optional"});
  EXPECT_EQ(AttrOf<std::vector<int>>(call, "source_num_outputs"), std::vector<int>{1});
  // The source function gives the components: the optional is made of them when it is taken.
  EXPECT_EQ(staged.applied.functions.front().signature().output_arg_size(), 2);
}

TEST(ApplyTest, ColocationWithRemovedNodesIsDropped) {
  TestGraph test = TrainingGraph();
  test.SetAttr("sum", "_class", Attr(Strings{"loc:@hash", "loc:@v"}));
  test.SetAttr("text", "_class", Attr(Strings{"loc:@v"}));
  const StagedGraph staged = Stage(test);
  EXPECT_EQ(AttrOf<Strings>(FindNode(*staged.planned.graph, "sum"), "_class"), Strings{"loc:@v"});
  for (const FunctionDef& function : staged.applied.functions) {
    for (const auto& node : function.node_def()) EXPECT_EQ(node.attr().count("_class"), 0u);
  }
}

TEST(ApplyTest, CallRunsOnTheHostOfTheStagesTask) {
  TestGraph test = TrainingGraph();
  for (const char* node : {"it", "it/next", "text", "hash"})
    test.SetDevice(node, "/job:worker/task:1");
  const StagedGraph staged = Stage(test);
  EXPECT_EQ(Call(staged)->requested_device(), "/job:worker/task:1/device:CPU:0");
  EXPECT_EQ(FindNode(*staged.planned.graph, "hash")->requested_device(), "/job:worker/task:1");
}

// In a function's graph TensorFlow looks for the nodes that run for their effects by name.
TEST(ApplyTest, TargetsStayValid) {
  TestGraph test;
  const Attrs element = {
      {"output_types", Attr(std::vector<DataType>{DT_INT64})},
      {"output_shapes", Attr(std::vector<PartialTensorShape>{PartialTensorShape({-1})})}};
  test.Add("it", "_Arg", {}, {{"T", Attr(tensorflow::DT_RESOURCE)}, {"index", Attr(0)}});
  test.Add("next", "IteratorGetNext", {"it"}, element);
  test.Add("text", "AsString", {"next"}, {{"T", Attr(DT_INT64)}});
  test.Add("print", "PrintV2", {"text"});
  const StagedGraph staged = Stage(test, /*is_function_graph=*/true, {"next", "print"});
  const Node* target = FindNode(*staged.planned.graph, "next");
  ASSERT_NE(target, nullptr);
  EXPECT_EQ(target->type_string(), "NoOp");
  EXPECT_EQ(InputsOf(*staged.planned.graph, "next"), Strings{"^" + Call(staged)->name()});
  // What starts stages early is for sessions: here it would run with every call.
  EXPECT_EQ(FindNode(*staged.planned.graph, kStartNode), nullptr);
}

TEST(ApplyTest, StartNodeDescribesTheCall) {
  const StagedGraph staged = Stage(TrainingGraph());
  const Node* call = Call(staged);
  const Node* start = FindNode(*staged.planned.graph, call->name() + "/start");
  ASSERT_NE(start, nullptr);
  EXPECT_EQ(AttrOf<std::string>(start, "call"), call->name());
  EXPECT_EQ(AttrOf<Strings>(start, "source_names"), AttrOf<Strings>(call, "source_names"));
  EXPECT_EQ(InputsOf(*staged.planned.graph, kStartNode), Strings{"^" + start->name()});
}

// Two traces of one Python function may differ in nothing but a constant.
TEST(ApplyTest, EqualPlansWithOtherConstantsGetOtherFunctions) {
  const auto graph_with = [](int value) {
    TestGraph test = TrainingGraph();
    test.AddNumber("offset", value);
    test.Add("moved", "AddV2", {"hash", "offset"}, {{"T", Attr(DT_INT64)}});
    test.Add("use", "AddV2", {"moved", "v/read"}, {{"T", Attr(DT_INT64)}});
    return test;
  };
  const StagedGraph first = Stage(graph_with(1));
  TestGraph other = graph_with(2);
  for (const FunctionDef& function : first.applied.functions) other.AddFunction(function);
  const StagedGraph second = Stage(other);
  ASSERT_EQ(first.planned.plan.hash, second.planned.plan.hash);
  EXPECT_NE(first.applied.functions.back().signature().name(),
            second.applied.functions.back().signature().name());
  // The very same functions are shared.
  TestGraph same = graph_with(1);
  for (const FunctionDef& function : first.applied.functions) same.AddFunction(function);
  EXPECT_EQ(Stage(same).applied.functions.back().signature().name(),
            first.applied.functions.back().signature().name());
}

TEST(ApplyTest, UserGraphIsNotTouched) {
  const TestGraph test = TrainingGraph();
  const std::unique_ptr<Graph> graph = test.Build();
  const Strings before = NamesOf(*graph);
  StagingRequest request;
  ASSERT_TRUE(SetSessionOptions({}, &request).ok());
  ASSERT_TRUE(StageGraph(*graph, test.Library(), request, {}, false).ok());
  EXPECT_EQ(NamesOf(*graph), before);
  EXPECT_EQ(InputsOf(*graph, "sum"), (Strings{"hash:0", "v/read:0"}));
}

// Plants one defect after another in a good rewrite.
class CheckRewriteTest : public ::testing::Test {
 protected:
  CheckRewriteTest() : test_(TrainingGraph()), library_(test_.Library()), staged_(Stage(test_)) {}
  absl::Status Check() const {
    return CheckRewrite(*staged_.planned.graph, library_, staged_.applied);
  }
  Graph* graph() { return staged_.planned.graph.get(); }
  const tensorflow::Edge* InputEdge(const std::string& node, int input) {
    const tensorflow::Edge* edge = nullptr;
    EXPECT_TRUE(FindNode(*graph(), node)->input_edge(input, &edge).ok());
    return edge;
  }

  TestGraph test_;
  tensorflow::FunctionLibraryDefinition library_;
  StagedGraph staged_;
};

TEST_F(CheckRewriteTest, GoodRewrite) {
  EXPECT_TRUE(Check().ok()) << Check();
}

TEST_F(CheckRewriteTest, MissingInput) {
  graph()->RemoveEdge(InputEdge("sum", 0));
  EXPECT_EQ(Check().message(), "input 0 of 'sum' has 0 edges");
}

TEST_F(CheckRewriteTest, WrongType) {
  graph()->RemoveEdge(InputEdge("sum", 0));
  graph()->AddEdge(FindNode(*graph(), "axis"), 0, FindNode(*graph(), "sum"), 0);
  EXPECT_EQ(Check().message(), "input 0 of 'sum' is int32, but must be int64");
}

TEST_F(CheckRewriteTest, RemovedNodeIsStillThere) {
  staged_.applied.removed.insert("sum");
  EXPECT_EQ(Check().message(), "'sum' was not removed");
}

TEST_F(CheckRewriteTest, NameTwice) {
  FindNode(*graph(), "axis")->set_name("sum");
  EXPECT_EQ(Check().message(), "two nodes are named 'sum'");
}

TEST_F(CheckRewriteTest, Cycle) {
  graph()->AddControlEdge(FindNode(*graph(), "total"), FindNode(*graph(), "hash"));
  EXPECT_FALSE(Check().ok());
}

TEST_F(CheckRewriteTest, FunctionThatCannotBeInstantiated) {
  staged_.applied.functions[0].mutable_node_def(0)->set_input(0, "nowhere");
  EXPECT_NE(std::string(Check().message()).find("cannot be instantiated"), std::string::npos);
}

}  // namespace
}  // namespace headrace
