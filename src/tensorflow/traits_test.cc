#include "tensorflow/traits.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/test_graph.h"

namespace headrace {
namespace {

using plan::ReasonCode;
using plan::Trait;
using ::tensorflow::DT_FLOAT;
using ::tensorflow::DT_INT64;
using ::tensorflow::DT_RESOURCE;
using ::tensorflow::DT_STRING;

NodeTraits TraitsOf(const TestGraph& test, const std::string& node,
                    bool is_function_graph = false) {
  const std::unique_ptr<tensorflow::Graph> graph = test.Build();
  const tensorflow::FunctionLibraryDefinition library = test.Library();
  TraitFinder finder(*graph, library, is_function_graph);
  return finder.Of(*FindNode(*graph, node));
}

void ExpectTrait(const TestGraph& test, const std::string& node, Trait trait) {
  const NodeTraits traits = TraitsOf(test, node);
  EXPECT_EQ(traits.trait, trait) << node << ": " << traits.text;
}

void ExpectBarrier(const TestGraph& test, const std::string& node, ReasonCode code,
                   const std::string& text) {
  const NodeTraits traits = TraitsOf(test, node);
  EXPECT_EQ(traits.trait, Trait::kBarrier) << node;
  EXPECT_EQ(plan::ReasonCodeName(traits.code), std::string(plan::ReasonCodeName(code))) << node;
  EXPECT_NE(traits.text.find(text), std::string::npos) << node << ": " << traits.text;
}

TEST(TraitsTest, TrainingGraph) {
  const TestGraph graph = TrainingGraph();
  ExpectTrait(graph, "it", Trait::kHandle);
  ExpectTrait(graph, "it/next", Trait::kSource);
  EXPECT_EQ(TraitsOf(graph, "it/next").resource, "it");
  ExpectTrait(graph, "text", Trait::kPure);
  ExpectTrait(graph, "axis", Trait::kConstant);
  ExpectTrait(graph, "v", Trait::kHandle);
  ExpectBarrier(graph, "v/read", ReasonCode::kVariableRead, "variable 'v', which 'v/init' writes");
  ExpectBarrier(graph, "v/update", ReasonCode::kVariableWrite, "writes a variable");
  ExpectBarrier(graph, "it/init", ReasonCode::kStateful, "initializes an iterator");
}

TestGraph ReadOnly() {
  TestGraph graph;
  graph.Add("v", "VarHandleOp", {},
            {{"dtype", Attr(DT_INT64)}, {"shape", Attr(tensorflow::PartialTensorShape({}))}});
  graph.Add("read", "ReadVariableOp", {"v"}, {{"dtype", Attr(DT_INT64)}});
  return graph;
}

TEST(TraitsTest, ReadOnlyVariable) {
  ExpectTrait(ReadOnly(), "read", Trait::kPure);
  // Another program part may write what a function reads.
  EXPECT_EQ(TraitsOf(ReadOnly(), "read", /*is_function_graph=*/true).code,
            ReasonCode::kVariableRead);
}

TEST(TraitsTest, VariableWrittenUnderAnotherHandle) {
  TestGraph graph = ReadOnly();
  graph.SetAttr("v", "shared_name", Attr("state"));
  graph.Add("other", "VarHandleOp", {},
            {{"dtype", Attr(DT_INT64)},
             {"shape", Attr(tensorflow::PartialTensorShape({}))},
             {"shared_name", Attr("state")}});
  graph.AddNumber("one", 1);
  graph.Add("renamed", "Identity", {"other"}, {{"T", Attr(DT_RESOURCE)}});
  graph.Add("write", "AssignAddVariableOp", {"renamed", "one"}, {{"dtype", Attr(DT_INT64)}});
  ExpectBarrier(graph, "read", ReasonCode::kVariableRead, "which 'write' writes");
  ExpectTrait(graph, "renamed", Trait::kHandle);
}

TEST(TraitsTest, TwoHandlesOfOneIterator) {
  TestGraph graph;
  graph.AddIterator("b").AddIterator("a");
  EXPECT_EQ(TraitsOf(graph, "b/next").resource, "b");
  graph.SetAttr("a", "shared_name", Attr("data")).SetAttr("b", "shared_name", Attr("data"));
  EXPECT_EQ(TraitsOf(graph, "b/next").resource, "a");
  EXPECT_EQ(TraitsOf(graph, "a/next").resource, "a");
}

TEST(TraitsTest, IteratorWhosePositionIsSaved) {
  TestGraph graph;
  graph.AddIterator("it");
  graph.Add("save", "SerializeIterator", {"it"});
  ExpectBarrier(graph, "it/next", ReasonCode::kSerializedIterator, "whose position 'save'");
}

TEST(TraitsTest, IteratorNamedAtRunTime) {
  TestGraph graph;
  graph.Add("name", "Placeholder", {}, {{"dtype", Attr(DT_STRING)}});
  const Attrs types = {{"output_types", Attr(std::vector<tensorflow::DataType>{DT_INT64})},
                       {"output_shapes", Attr(std::vector<tensorflow::PartialTensorShape>{{}})}};
  graph.Add("it", "IteratorFromStringHandleV2", {"name"}, types);
  graph.Add("next", "IteratorGetNext", {"it"}, types);
  ExpectBarrier(graph, "it", ReasonCode::kSourceInput, "named at run time");
}

// A dataset's function runs when the iterator is read: what it uses is read ahead, too.
TEST(TraitsTest, DatasetThatUsesATrainedVariable) {
  TestGraph graph;
  graph.AddIterator("it").AddInitializer("it").AddVariable("v");
  graph.AddFunction(MakeFunction("f", {"x: int64", "v: resource"}, {"y: int64"},
                                 {{"read", "ReadVariableOp", {"v"}, {{"dtype", Attr(DT_INT64)}}}},
                                 {"read:value:0"}));
  ExpectTrait(graph, "it/next", Trait::kSource);
  const std::vector<tensorflow::PartialTensorShape> shapes = {tensorflow::PartialTensorShape({-1})};
  graph.Add("mapped", "MapDataset", {"it/dataset/batched", "v"},
            {{"f", FunctionAttr("f")},
             {"Targuments", Attr(std::vector<tensorflow::DataType>{DT_RESOURCE})},
             {"output_types", Attr(std::vector<tensorflow::DataType>{DT_INT64})},
             {"output_shapes", Attr(shapes)}});
  graph.Add("other/init", "MakeIterator", {"mapped", "it"});
  ExpectBarrier(graph, "it/next", ReasonCode::kVariableRead,
                "whose dataset uses variable 'v', which 'v/init' writes");
}

TEST(TraitsTest, Tables) {
  TestGraph graph;
  const Attrs types = {{"key_dtype", Attr(DT_INT64)}, {"value_dtype", Attr(DT_INT64)}};
  graph.AddNumber("key", 1).Add("fixed", "HashTableV2", {}, types);
  graph.Add("changing", "MutableHashTableV2", {}, types);
  graph.Add("handle", "Placeholder", {}, {{"dtype", Attr(DT_RESOURCE)}});
  const Attrs find = {{"Tin", Attr(DT_INT64)}, {"Tout", Attr(DT_INT64)}};
  graph.Add("find_fixed", "LookupTableFindV2", {"fixed", "key", "key"}, find);
  graph.Add("find_changing", "LookupTableFindV2", {"changing", "key", "key"}, find);
  graph.Add("find_unknown", "LookupTableFindV2", {"handle", "key", "key"}, find);
  graph.Add("fill", "InitializeTableV2", {"fixed", "key", "key"},
            {{"Tkey", Attr(DT_INT64)}, {"Tval", Attr(DT_INT64)}});
  ExpectTrait(graph, "find_fixed", Trait::kPure);
  ExpectBarrier(graph, "find_changing", ReasonCode::kMutableTable, "'changing', which may change");
  ExpectBarrier(graph, "find_unknown", ReasonCode::kMutableTable, "not known to be immutable");
  ExpectBarrier(graph, "fill", ReasonCode::kMutableTable, "fills a table");
}

TEST(TraitsTest, Queues) {
  TestGraph graph;
  const auto types = std::vector<tensorflow::DataType>{DT_INT64};
  graph.Add("fifo", "FIFOQueueV2", {}, {{"component_types", Attr(types)}});
  graph.Add(
      "priority", "PriorityQueueV2", {},
      {{"component_types", Attr(types)},
       {"shapes",
        Attr(std::vector<tensorflow::PartialTensorShape>{tensorflow::PartialTensorShape({})})}});
  graph.Add("take", "QueueDequeueV2", {"fifo"}, {{"component_types", Attr(types)}});
  graph.Add("least", "QueueDequeueV2", {"priority"},
            {{"component_types", Attr(std::vector<tensorflow::DataType>{DT_INT64, DT_INT64})}});
  graph.Add("put", "QueueEnqueueV2", {"fifo", "take"}, {{"Tcomponents", Attr(types)}});
  graph.Add("size", "QueueSizeV2", {"fifo"});
  ExpectTrait(graph, "take", Trait::kSource);
  ExpectBarrier(graph, "least", ReasonCode::kStateful, "the smallest element");
  ExpectTrait(graph, "put", Trait::kQueueWrite);
  ExpectBarrier(graph, "size", ReasonCode::kStateful, "measures");
}

TEST(TraitsTest, TwoReadersOfOneQueueOfFileNames) {
  TestGraph graph;
  graph.Add("files", "FIFOQueueV2", {},
            {{"component_types", Attr(std::vector<tensorflow::DataType>{DT_STRING})}});
  graph.Add("a", "TextLineReaderV2").Add("b", "TextLineReaderV2");
  graph.Add("read_a", "ReaderReadV2", {"a", "files"});
  ExpectTrait(graph, "read_a", Trait::kSource);
  graph.Add("read_b", "ReaderReadV2", {"b", "files"});
  ExpectBarrier(graph, "read_a", ReasonCode::kSecondRead, "reads 'files', from which 'read_b'");
  ExpectBarrier(graph, "read_b", ReasonCode::kSecondRead, "reads 'files', from which 'read_a'");
}

TEST(TraitsTest, ReferenceTypes) {
  TestGraph graph;
  graph.Add("v", "VariableV2", {},
            {{"dtype", Attr(DT_FLOAT)}, {"shape", Attr(tensorflow::PartialTensorShape({}))}});
  graph.Add("read", "Identity", {"v"}, {{"T", Attr(DT_FLOAT)}});
  graph.Add("write", "Assign", {"v", "read"}, {{"T", Attr(DT_FLOAT)}});
  graph.Add("after", "Neg", {"read"}, {{"T", Attr(DT_FLOAT)}});
  ExpectBarrier(graph, "v", ReasonCode::kRefType, "reference");
  ExpectTrait(graph, "read", Trait::kPure);  // reads through the reference: its input blocks it
  ExpectBarrier(graph, "write", ReasonCode::kVariableWrite, "writes");
  ExpectTrait(graph, "after", Trait::kPure);
}

TEST(TraitsTest, EffectsAndUnknownOps) {
  TestGraph graph = TrainingGraph();
  graph.Add("print", "PrintV2", {"text"});
  graph.Add("tag", "Const", {},
            {{"dtype", Attr(DT_STRING)}, {"value", Attr(tensorflow::Tensor("t"))}});
  graph.Add("summary", "ScalarSummary", {"tag", "total"}, {{"T", Attr(DT_INT64)}});
  graph.Add("fed", "Placeholder", {}, {{"dtype", Attr(DT_INT64)}});
  graph.Add("time", "Timestamp");
  graph.Add("random", "RandomUniform", {"axis"},
            {{"T", Attr(tensorflow::DT_INT32)}, {"dtype", Attr(DT_FLOAT)}});
  graph.Add("finite", "CheckNumerics", {"random"}, {{"T", Attr(DT_FLOAT)}, {"message", Attr("m")}});
  graph.Add("read_file", "ReadFile", {"tag"});
  ExpectBarrier(graph, "print", ReasonCode::kPrint, "prints");
  ExpectBarrier(graph, "summary", ReasonCode::kSummary, "makes a summary");
  ExpectBarrier(graph, "fed", ReasonCode::kPlaceholder, "is fed");
  ExpectBarrier(graph, "time", ReasonCode::kStateful, "not known to be safe");
  ExpectBarrier(graph, "read_file", ReasonCode::kStateful, "reads a file");
  ExpectTrait(graph, "random", Trait::kDraw);
  ExpectTrait(graph, "finite", Trait::kPure);
}

TEST(TraitsTest, ParametersOfTheFunctionWhoseBodyTheGraphIs) {
  TestGraph graph;
  graph.Add("x", "_Arg", {}, {{"T", Attr(DT_INT64)}, {"index", Attr(0)}});
  graph.Add("it", "_Arg", {}, {{"T", Attr(DT_RESOURCE)}, {"index", Attr(1)}});
  const Attrs types = {{"output_types", Attr(std::vector<tensorflow::DataType>{DT_INT64})},
                       {"output_shapes", Attr(std::vector<tensorflow::PartialTensorShape>{{}})}};
  graph.Add("next", "IteratorGetNext", {"it"}, types);
  graph.Add("result", "_Retval", {"next"}, {{"T", Attr(DT_INT64)}, {"index", Attr(0)}});
  EXPECT_EQ(TraitsOf(graph, "x", true).code, ReasonCode::kFunctionArgument);
  EXPECT_EQ(TraitsOf(graph, "it", true).trait, Trait::kHandle);
  EXPECT_EQ(TraitsOf(graph, "next", true).trait, Trait::kSource);
  EXPECT_EQ(TraitsOf(graph, "result", true).code, ReasonCode::kFunctionArgument);
}

}  // namespace
}  // namespace headrace
