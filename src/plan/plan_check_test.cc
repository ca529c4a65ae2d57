// CheckPlan() finds what is wrong with a plan: correct plans are broken in one way each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>

#include "plan/hash.h"
#include "plan/test_graph.h"

namespace headrace::plan {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

//   it -> a -+:0-> x -+-> (flat) -> [train]      draw -> noise, with x
//            +:1------|-> zip -> y -> [train]    check waits for x, y waits for check
//   b ----------------+                          c: constant
struct Case {
  Case() {
    g.Handle("it");
    g.Handle("it2");
    g.Constant("c");
    g.Source("a", {"it"}, 2);
    g.Source("b", {"it2"});
    g.Source("other");
    g.Draw("draw", {"c"});
    g.Pure("x", {"a:0", "c", "draw"});
    g.Assert("check", {"x"});
    g.Pure("zip", {"x", "a:1", "b"});
    g.Pure("y", {"zip", "^check"});
    g.Cheap("flat", {"zip"}, 0.5);
    g.Cheap("flat2", {"zip"}, 0.5);
    g.Main("train", {"y", "flat", "flat2", "zip", "other"});
    g.Main("var", {}, 1);
    g.Pure("dense", {"y", "var"});
    graph = g.Build();
    plan = MakePlan(graph, options);
  }

  int Node(const std::string& name) const { return Find(graph, name); }
  Stage& stage() { return plan.stages[0]; }

  GraphBuilder g;
  Graph graph;
  PlanOptions options;
  StagePlan plan;
};

void Remove(std::vector<int>& list, int n) {
  list.erase(std::remove(list.begin(), list.end(), n), list.end());
}

TEST(CheckPlan, AcceptsTheCorrectPlan) {
  Case c;
  ASSERT_EQ(c.plan.stages.size(), 2u);
  EXPECT_THAT(Names(c.graph, c.stage().recomputed), testing::ElementsAre("flat", "flat2"));
  EXPECT_THAT(CheckPlan(c.graph, c.options, c.plan), IsEmpty());
}

struct Mutation {
  const char* name;
  const char* complaint;
  std::function<void(Case&)> apply;
};

class BrokenPlan : public testing::TestWithParam<Mutation> {};

TEST_P(BrokenPlan, IsFound) {
  Case c;
  GetParam().apply(c);
  // The hash alone would give every change away; it has none for indices out of range.
  const bool in_range = std::string(GetParam().complaint) != "out of range";
  if (in_range) c.plan.hash = PlanHash(c.graph, c.options, c.plan.stages);
  EXPECT_THAT(CheckPlan(c.graph, c.options, c.plan), Contains(HasSubstr(GetParam().complaint)));
}

const Mutation kStructure[] = {
    {"NodeOutOfRange", "out of range", [](Case& c) { c.stage().body.push_back(1000); }},
    {"OutputOutOfRange", "out of range", [](Case& c) { c.stage().outputs[0].from.output = 5; }},
    {"TooFewReasons", "reasons for", [](Case& c) { c.plan.reasons.pop_back(); }},
    {"NoSource", "has no source", [](Case& c) { c.stage().sources.clear(); }},
    {"BarrierStaged", "among its body", [](Case& c) { c.stage().body.push_back(c.Node("train")); }},
    {"SourceInBody", "among its body",
     [](Case& c) {
       Remove(c.stage().sources, c.Node("b"));
       c.stage().body.insert(c.stage().body.begin(), c.Node("b"));
     }},
    {"NodeAsArgument", "no handle",
     [](Case& c) {
       c.stage().args.push_back({c.Node("c"), 0});
     }},
    {"StagedTwice", "staged twice",
     [](Case& c) {
       c.plan.stages[1].body.push_back(c.Node("zip"));
       c.plan.stages[1].removed.push_back(c.Node("zip"));
     }},
    {"WrongOrder", "out of order",
     [](Case& c) { std::swap(c.stage().body.front(), c.stage().body.back()); }},
    {"OutputsUnsorted", "out of order",
     [](Case& c) { std::swap(c.stage().outputs.front(), c.stage().outputs.back()); }},
    {"OutputTwice", "out of order",
     [](Case& c) { c.stage().outputs.push_back(c.stage().outputs.back()); }},
    {"LeftInMain", "in the main graph too",
     [](Case& c) { Remove(c.stage().removed, c.Node("x")); }},
    {"RemovedForNothing", "does not replace",
     [](Case& c) { c.stage().removed.push_back(c.Node("dense")); }},
    {"WrongName", "named after", [](Case& c) { c.stage().name = "b"; }},
    {"TargetStaged", "must stay in the main graph",
     [](Case& c) { c.graph.nodes[c.Node("zip")].target = true; }},
    {"ExcludedConstantCopied", "must stay in the main graph",
     [](Case& c) { c.graph.nodes[c.Node("c")].excluded = true; }},
};

const Mutation kEdges[] = {
    {"ConstantMissing", "which it does not have", [](Case& c) { c.stage().constants.clear(); }},
    {"ArgumentMissing", "which it does not have", [](Case& c) { c.stage().args.clear(); }},
    {"ArgumentUnused", "does not use",
     [](Case& c) {
       Remove(c.stage().sources, c.Node("b"));
       Remove(c.stage().removed, c.Node("b"));
     }},
    {"BodyNodeMissing", "which it does not have",
     [](Case& c) {
       Remove(c.stage().body, c.Node("x"));
       Remove(c.stage().removed, c.Node("x"));
     }},
    {"OrderDropped", "drops the order",
     [](Case& c) {
       Remove(c.stage().body, c.Node("check"));
       Remove(c.stage().removed, c.Node("check"));
     }},
    {"CrossingMissing", "does not cross", [](Case& c) { c.stage().outputs.pop_back(); }},
    {"RecomputedWithoutInput", "has the main graph compute",
     [](Case& c) {
       auto& outputs = c.stage().outputs;
       outputs.erase(
           std::remove_if(outputs.begin(), outputs.end(),
                          [&](const Crossing& o) { return o.from.node == c.Node("zip"); }),
           outputs.end());
     }},
    {"RecomputedNotCheap", "is not cheap",
     [](Case& c) { c.graph.nodes[c.Node("flat")].cheap = false; }},
    {"ReferenceCrosses", "returns a reference",
     [](Case& c) { c.graph.nodes[c.Node("y")].outputs[0].can_cross = false; }},
    {"ReferenceUsed", "uses a reference",
     [](Case& c) { c.graph.nodes[c.Node("x")].outputs[0].can_cross = false; }},
    {"ReturnsNothing", "returns nothing", [](Case& c) { c.plan.stages[1].outputs.clear(); }},
    {"WayBack", "depends on a stage",
     [](Case& c) {
       c.graph.nodes[c.Node("var")].inputs.push_back({c.Node("y"), 0});
       c.graph.nodes[c.Node("it2")].inputs.push_back({c.Node("var"), 0});
     }},
    {"WayBackByControl", "depends on a stage",
     [](Case& c) { c.graph.nodes[c.Node("it2")].control_inputs.push_back(c.Node("train")); }},
    {"KeptSourceUsed", "which is kept", [](Case& c) { c.graph.nodes[c.Node("b")].keep = true; }},
};

const Mutation kRules[] = {
    {"SecondRead", "read the same resource",
     [](Case& c) { c.graph.nodes[c.Node("other")].resource = "it"; }},
    {"FetchWithoutAllSources", "does not depend on all of its sources",
     [](Case& c) {
       c.stage().outputs.insert(c.stage().outputs.begin(), {{c.Node("a"), 0}, false});
     }},
    {"WaitWithoutAllSources", "does not depend on all of its sources",
     [](Case& c) { c.graph.nodes[c.Node("var")].control_inputs.push_back(c.Node("x")); }},
    {"RandomValueLeaves", "depends on random ops only",
     [](Case& c) { c.graph.nodes[c.Node("var")].control_inputs.push_back(c.Node("draw")); }},
    {"UnmarkedStage", "contains no mark", [](Case& c) { c.graph.nodes[c.Node("zip")].mark = 0; }},
    {"WrongMark", "a wrong mark", [](Case& c) { c.stage().mark = 3; }},
    {"PastTheMarks", "staged past the marks", [](Case& c) { c.options.grow = false; }},
    {"BelowATarget", "staged below a target",
     [](Case& c) { c.graph.nodes[c.Node("it2")].target = true; }},
    {"NameNotExact", "cannot keep its name",
     [](Case& c) {
       c.graph.nodes[c.Node("y")].inputs[0] = {c.Node("zip"), 0};
       for (Crossing& o : c.stage().outputs) o.keeps_name = true;
     }},
    {"NameNotKept", "could keep its name",
     [](Case& c) {
       for (Crossing& o : c.stage().outputs) o.keeps_name = false;
     }},
    {"AnotherDevice", "asks for device",
     [](Case& c) { c.graph.nodes[c.Node("zip")].device = "gpu"; }},
    {"DeviceOfNobody", "no node asks for", [](Case& c) { c.stage().device = "gpu"; }},
    {"NobodyWaits", "no staged node waits for it",
     [](Case& c) { c.graph.nodes[c.Node("y")].control_inputs.clear(); }},
    {"ReasonOfAStagedNode", "does not fit the stages",
     [](Case& c) { c.plan.reasons[c.Node("zip")].code = ReasonCode::kStateful; }},
    {"ReasonOfARecomputedNode", "does not fit the stages",
     [](Case& c) { c.plan.reasons[c.Node("flat")].code = ReasonCode::kNone; }},
    {"ReasonWithoutText", "has no text",
     [](Case& c) { c.plan.reasons[c.Node("dense")].text.clear(); }},
    {"AncestorOutOfRange", "names a node out of range",
     [](Case& c) { c.plan.reasons[c.Node("dense")].ancestor = -7; }},
};

void PrintTo(const Mutation& mutation, std::ostream* out) {
  *out << mutation.name;
}

std::string NameOf(const testing::TestParamInfo<Mutation>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Structure, BrokenPlan, testing::ValuesIn(kStructure), NameOf);
INSTANTIATE_TEST_SUITE_P(Edges, BrokenPlan, testing::ValuesIn(kEdges), NameOf);
INSTANTIATE_TEST_SUITE_P(Rules, BrokenPlan, testing::ValuesIn(kRules), NameOf);

TEST(CheckPlan, FindsAHashThatDoesNotFit) {
  Case c;
  c.plan.hash[0] = c.plan.hash[0] == '0' ? '1' : '0';
  EXPECT_THAT(CheckPlan(c.graph, c.options, c.plan), Contains(HasSubstr("hash")));
}

TEST(PlanHash, DependsOnWhatTheRewriteDependsOn) {
  Case c;
  std::set<std::string> hashes{c.plan.hash};
  const auto expect_new = [&](const char* what, const Graph& graph, const PlanOptions& options) {
    EXPECT_TRUE(hashes.insert(MakePlan(graph, options).hash).second) << what;
  };
  Graph renamed = c.graph;
  renamed.nodes[c.Node("zip")].name = "zap";
  expect_new("a name", renamed, c.options);
  Graph op = c.graph;
  op.nodes[c.Node("zip")].op = "Other";
  expect_new("an op", op, c.options);
  Graph input = c.graph;
  input.nodes[c.Node("zip")].inputs[1].output = 0;
  expect_new("an input", input, c.options);
  PlanOptions largest = c.options;
  largest.cut = Cut::kLargest;
  expect_new("the cut", c.graph, largest);
  PlanOptions cost = c.options;
  cost.cost.per_crossing_tensor = 2.5;
  expect_new("a cost", c.graph, cost);
  // What stays in the main graph does not enter.
  Graph main = c.graph;
  main.nodes[c.Node("dense")].op = "Other";
  EXPECT_EQ(MakePlan(main, c.options).hash, c.plan.hash);
}

}  // namespace
}  // namespace headrace::plan
