#include "tensorflow/function_effects.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/test_graph.h"
#include "tensorflow/traits.h"

namespace headrace {
namespace {

using plan::ReasonCode;
using plan::Trait;
using ::tensorflow::DataType;
using ::tensorflow::DT_BOOL;
using ::tensorflow::DT_INT64;
using ::tensorflow::DT_RESOURCE;
using ::tensorflow::FunctionDef;
using ::tensorflow::PartialTensorShape;

FunctionDef Pure(const std::string& name) {
  return MakeFunction(name, {"x: int64"}, {"y: int64"},
                      {{"neg", "Neg", {"x"}, {{"T", Attr(DT_INT64)}}}}, {"neg:y:0"});
}

FunctionDef Prints(const std::string& name) {
  return MakeFunction(name, {"x: int64"}, {"y: int64"},
                      {{"text", "AsString", {"x"}, {{"T", Attr(DT_INT64)}}},
                       {"print", "PrintV2", {"text:output:0"}, {}},
                       {"neg", "Neg", {"x"}, {{"T", Attr(DT_INT64)}}}},
                      {"neg:y:0"}, {"print"});
}

FunctionDef Next(const std::string& name) {
  const Attrs element = {
      {"output_types", Attr(std::vector<DataType>{DT_INT64})},
      {"output_shapes", Attr(std::vector<PartialTensorShape>{PartialTensorShape({})})}};
  return MakeFunction(name, {"it: resource"}, {"y: int64"},
                      {{"handle", "Identity", {"it"}, {{"T", Attr(DT_RESOURCE)}}},
                       {"next", "IteratorGetNext", {"handle:output:0"}, element}},
                      {"next:components:0"}, {"next"});
}

// Calls `callee` with its one parameter.
FunctionDef Calls(const std::string& name, const std::string& callee, const std::string& type,
                  DataType dtype) {
  return MakeFunction(name, {"p: " + type}, {"y: int64"},
                      {{"call",
                        "StatefulPartitionedCall",
                        {"p"},
                        {{"Tin", Attr(std::vector<DataType>{dtype})},
                         {"Tout", Attr(std::vector<DataType>{DT_INT64})},
                         {"f", FunctionAttr(callee)}}}},
                      {"call:output:0"});
}

FunctionDef Reads(const std::string& name) {
  return MakeFunction(name, {"x: int64", "v: resource"}, {"y: int64"},
                      {{"read", "ReadVariableOp", {"v"}, {{"dtype", Attr(DT_INT64)}}}},
                      {"read:value:0"});
}

FunctionEffects EffectsOf(const std::vector<FunctionDef>& functions, const std::string& name) {
  TestGraph graph;
  for (const FunctionDef& function : functions) graph.AddFunction(function);
  const tensorflow::FunctionLibraryDefinition library = graph.Library();
  FunctionAnalyzer analyzer(&library);
  return analyzer.Of(name);
}

TEST(FunctionEffectsTest, PureFunction) {
  EXPECT_TRUE(EffectsOf({Pure("f")}, "f").pure());
}

TEST(FunctionEffectsTest, EffectIsNamedThroughCalls) {
  const FunctionEffects effects =
      EffectsOf({Prints("inner"), Calls("outer", "inner", "int64", DT_INT64)}, "outer");
  EXPECT_EQ(effects.code, ReasonCode::kPrint);
  EXPECT_EQ(effects.text, "runs 'print' (PrintV2) in function 'inner', which prints");
}

TEST(FunctionEffectsTest, SourceIsFoundThroughCallsAndRenamedHandles) {
  const FunctionEffects effects =
      EffectsOf({Next("inner"), Calls("outer", "inner", "resource", DT_RESOURCE)}, "outer");
  EXPECT_TRUE(effects.has_source);
  EXPECT_FALSE(effects.has_hidden_source);
  EXPECT_EQ(effects.elements_read, std::set<int>{0});
}

TEST(FunctionEffectsTest, RecursionIsNotPure) {
  const FunctionEffects effects = EffectsOf({Calls("f", "f", "int64", DT_INT64)}, "f");
  EXPECT_EQ(effects.code, ReasonCode::kStateful);
  EXPECT_EQ(effects.text, "calls 'f', which calls itself");
}

TEST(FunctionEffectsTest, MissingFunctionIsNotPure) {
  EXPECT_EQ(EffectsOf({}, "f").text, "calls 'f', which is not in the function library");
}

TEST(FunctionEffectsTest, VariablesAreReportedByParameter) {
  const FunctionEffects effects = EffectsOf({Reads("f")}, "f");
  EXPECT_TRUE(effects.pure());
  EXPECT_EQ(effects.variable_reads, std::set<int>{1});
  EXPECT_TRUE(effects.other_uses.empty());
}

// if (cond) f(x, v) else g(x, v), in a graph where only this node uses v.
TestGraph Conditional(const FunctionDef& f, const FunctionDef& g) {
  TestGraph graph;
  graph.AddIterator("it").AddFunction(f).AddFunction(g);
  graph.Add("v", "VarHandleOp", {},
            {{"dtype", Attr(DT_INT64)}, {"shape", Attr(PartialTensorShape({}))}});
  graph.Add("choice", "Const", {},
            {{"dtype", Attr(DT_BOOL)}, {"value", Attr(tensorflow::Tensor(true))}});
  graph.Add("if", "If", {"choice", "it/next", "v"},
            {{"Tcond", Attr(DT_BOOL)},
             {"Tin", Attr(std::vector<DataType>{DT_INT64, DT_RESOURCE})},
             {"Tout", Attr(std::vector<DataType>{DT_INT64})},
             {"then_branch", FunctionAttr(f.signature().name())},
             {"else_branch", FunctionAttr(g.signature().name())}});
  return graph;
}

NodeTraits TraitsOf(const TestGraph& test, const std::string& node) {
  const std::unique_ptr<tensorflow::Graph> graph = test.Build();
  const tensorflow::FunctionLibraryDefinition library = test.Library();
  TraitFinder finder(*graph, library, false);
  return finder.Of(*FindNode(*graph, node));
}

TEST(FunctionEffectsTest, ConditionalThatOnlyReadsIsPure) {
  const TestGraph graph = Conditional(Reads("f"), Reads("g"));
  EXPECT_EQ(TraitsOf(graph, "if").trait, Trait::kPure);
}

TEST(FunctionEffectsTest, ConditionalThatReadsAWrittenVariable) {
  TestGraph graph = Conditional(Reads("f"), Reads("g"));
  graph.AddNumber("one", 1).Add("write", "AssignVariableOp", {"v", "one"},
                                {{"dtype", Attr(DT_INT64)}});
  const NodeTraits traits = TraitsOf(graph, "if");
  EXPECT_EQ(traits.code, ReasonCode::kVariableRead);
  EXPECT_EQ(traits.text, "runs a function that reads variable 'v', which 'write' writes");
}

// A write in one branch makes every read of the variable unsafe, wherever it is.
TEST(FunctionEffectsTest, ConditionalThatWritesIsAWriter) {
  const FunctionDef write =
      MakeFunction("g", {"x: int64", "v: resource"}, {"y: int64"},
                   {{"write", "AssignAddVariableOp", {"v", "x"}, {{"dtype", Attr(DT_INT64)}}},
                    {"same", "Identity", {"x"}, {{"T", Attr(DT_INT64)}}}},
                   {"same:output:0"}, {"write"});
  TestGraph graph = Conditional(Reads("f"), write);
  graph.Add("read", "ReadVariableOp", {"v"}, {{"dtype", Attr(DT_INT64)}});
  EXPECT_EQ(TraitsOf(graph, "if").code, ReasonCode::kVariableWrite);
  EXPECT_EQ(TraitsOf(graph, "read").text, "reads variable 'v', which 'if' writes");
}

TEST(FunctionEffectsTest, SourceInAConditional) {
  TestGraph graph;
  graph.AddIterator("it").AddFunction(Next("f")).AddFunction(Next("g"));
  graph.Add("choice", "Const", {},
            {{"dtype", Attr(DT_BOOL)}, {"value", Attr(tensorflow::Tensor(true))}});
  graph.Add("if", "If", {"choice", "it"},
            {{"Tcond", Attr(DT_BOOL)},
             {"Tin", Attr(std::vector<DataType>{DT_RESOURCE})},
             {"Tout", Attr(std::vector<DataType>{DT_INT64})},
             {"then_branch", FunctionAttr("f")},
             {"else_branch", FunctionAttr("g")}});
  const NodeTraits conditional = TraitsOf(graph, "if");
  EXPECT_EQ(conditional.code, ReasonCode::kControlFlow);
  EXPECT_EQ(conditional.text, "consumes an element only in some of its runs");
  const NodeTraits plain = TraitsOf(graph, "it/next");
  EXPECT_EQ(plain.code, ReasonCode::kSecondRead);
  EXPECT_EQ(plain.text, "reads 'it', from which 'if' takes elements too, inside a function");
}

}  // namespace
}  // namespace headrace
