// The planner against an exhaustive reference, on random small graphs.
#include <gtest/gtest.h>

#include <algorithm>

#include "plan/random_graph.h"
#include "plan/reference_plan.h"
#include "plan/test_graph.h"

namespace headrace::plan {
namespace {

std::string Print(const Graph& graph) {
  static const char* const kTraits[] = {"constant", "handle", "source",      "draw",
                                        "pure",     "assert", "queue write", "barrier"};
  std::string text;
  for (const Node& node : graph.nodes) {
    text += node.name + " = " + kTraits[static_cast<int>(node.trait)] + "(";
    for (const Endpoint& in : node.inputs) {
      text += " " + graph.nodes[in.node].name + ":" + std::to_string(in.output);
    }
    for (int in : node.control_inputs) text += " ^" + graph.nodes[in].name;
    text += " ) outputs " + std::to_string(node.outputs.size());
    for (const OutputInfo& output : node.outputs) text += output.can_cross ? "" : " ref";
    if (node.target) text += " target";
    if (node.excluded) text += " excluded";
    if (node.keep) text += " keep";
    if (node.cheap) text += " cheap " + std::to_string(node.cost);
    if (node.mark >= 0) text += " mark" + std::to_string(node.mark);
    if (!node.resource.empty()) text += " resource " + node.resource;
    if (!node.device.empty()) text += " on " + node.device;
    text += "\n";
  }
  return text;
}

std::string Print(const Graph& graph, NodeSet set) {
  std::string text;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    if ((set >> n) & 1) text += " " + graph.nodes[n].name;
  }
  return text;
}

std::vector<NodeSet> StageSets(const StagePlan& plan) {
  std::vector<NodeSet> sets;
  for (const Stage& stage : plan.stages) {
    NodeSet set = 0;
    for (const std::vector<int>* list : {&stage.sources, &stage.draws, &stage.body}) {
      for (int n : *list) set |= NodeSet{1} << n;
    }
    sets.push_back(set);
  }
  std::sort(sets.begin(), sets.end());
  return sets;
}

// The same graph without cheap nodes, so that nothing can be recomputed.
Graph Expensive(Graph graph) {
  for (Node& node : graph.nodes) node.cheap = false;
  return graph;
}

struct Seen {
  int staged = 0, several = 0, merged = 0, draws = 0, asserts = 0;
};

// Compares one random graph after the other; stops at the first difference.
Seen CompareLargest(int graphs, const RandomGraphOptions& shape, bool session) {
  const std::uint64_t seed = TestSeed();
  std::cout << "seed " << seed << " (HEADRACE_TEST_SEED)\n";
  Seen seen;
  for (int i = 0; i < graphs && !testing::Test::HasFailure(); ++i) {
    Random random(seed + i);
    const Graph graph = RandomGraph(random, shape);
    PlanOptions options = RandomPlanOptions(random, graph);
    options.cut = Cut::kLargest;
    options.fetches_unknown = session;
    const StagePlan plan = MakePlan(graph, options);
    ReferencePlan reference = PlanByEnumeration(graph, options);
    std::sort(reference.stages.begin(), reference.stages.end());
    SCOPED_TRACE("graph " + std::to_string(i) + (options.grow ? "" : " not growing") + "\n" +
                 Print(graph));
    EXPECT_TRUE(reference.unique);
    const std::vector<NodeSet> sets = StageSets(plan);
    NodeSet all = 0;
    for (NodeSet set : sets) all |= set;
    EXPECT_EQ(all, reference.staged)
        << "planned:" << Print(graph, all) << "\nreference:" << Print(graph, reference.staged);
    EXPECT_EQ(sets, reference.stages);
    for (const std::string& broken : CheckPlan(graph, options, plan)) ADD_FAILURE() << broken;
    seen.staged += !plan.stages.empty();
    seen.several += plan.stages.size() > 1;
    for (const Stage& stage : plan.stages) {
      seen.merged += stage.sources.size() > 1;
      seen.draws += !stage.draws.empty();
      for (int n : stage.body) seen.asserts += graph.nodes[n].trait == Trait::kAssert;
    }
  }
  std::cout << "of " << graphs << " graphs: " << seen.staged << " with a stage, " << seen.several
            << " with several, " << seen.merged << " merged stages, " << seen.draws
            << " stages with random ops, " << seen.asserts << " staged asserts\n";
  return seen;
}

constexpr int kGraphs = 10000;

// Everything at once; the counts show that the generator meets every case often enough.
TEST(Reference, SessionGraphs) {
  RandomGraphOptions shape;
  shape.max_sources = 4;
  const Seen seen = CompareLargest(kGraphs, shape, true);
  EXPECT_GT(seen.staged, kGraphs / 4);
  EXPECT_GT(seen.several, kGraphs / 20);
}

TEST(Reference, FunctionGraphs) {
  RandomGraphOptions shape;
  shape.max_sources = 4;
  const Seen seen = CompareLargest(kGraphs, shape, false);
  EXPECT_GT(seen.staged, kGraphs / 4);
  EXPECT_GT(seen.several, kGraphs / 20);
  EXPECT_GT(seen.merged, kGraphs / 50);
}

// Graphs in which sources meet before anything crosses.
TEST(Reference, SessionGraphsThatMerge) {
  RandomGraphOptions shape;
  shape.min_nodes = 6;
  shape.max_nodes = 13;
  shape.max_sources = 4;
  shape.funnel = 0.7;
  shape.calm = true;
  shape.flags = false;
  const Seen seen = CompareLargest(kGraphs, shape, true);
  EXPECT_GT(seen.merged, kGraphs / 20);
  EXPECT_GT(seen.draws, kGraphs / 20);
  EXPECT_GT(seen.asserts, kGraphs / 100);
}

TEST(Reference, CheapestCut) {
  const std::uint64_t seed = TestSeed();
  std::cout << "seed " << seed << " (HEADRACE_TEST_SEED)\n";
  RandomGraphOptions shape;
  shape.min_nodes = 5;
  shape.max_nodes = 12;
  shape.cheap = 0.7;
  shape.funnel = 0.3;
  shape.calm = true;
  int better = 0, several = 0, twice = 0;
  for (int i = 0; i < kGraphs && !testing::Test::HasFailure(); ++i) {
    Random random(seed + i);
    shape.flags = i % 2 == 0;
    const Graph graph = RandomGraph(random, shape);
    PlanOptions options = RandomPlanOptions(random, graph);
    options.cost.per_crossing_tensor = 0.25 * static_cast<double>(random() % 16);
    options.cost.per_crossing_kilobyte = i % 3 == 0 ? 0.5 : 0.0;
    const StagePlan plan = MakePlan(graph, options);
    SCOPED_TRACE("graph " + std::to_string(i) +
                 (options.fetches_unknown ? " session\n" : " function\n") + Print(graph));
    for (const std::string& broken : CheckPlan(graph, options, plan)) ADD_FAILURE() << broken;

    PlanOptions largest = options;
    largest.cut = Cut::kLargest;
    const std::vector<NodeSet> stages = StageSets(MakePlan(graph, largest));
    const ReferenceCut best = CutByEnumeration(graph, options, stages);
    const ReferenceCut whole = CutByEnumeration(Expensive(graph), options, stages);
    double cost = 0;
    int recomputed = 0;
    for (const Stage& stage : plan.stages) {
      for (int n : stage.recomputed) {
        cost += graph.nodes[n].cost;
        ++recomputed;
        twice += std::count(stage.body.begin(), stage.body.end(), n) != 0;
      }
      for (const Crossing& crossing : stage.outputs) {
        const OutputInfo& output = graph.nodes[crossing.from.node].outputs[crossing.from.output];
        cost += options.cost.per_crossing_tensor;
        const double kilobytes =
            static_cast<double>(std::max<std::int64_t>(output.bytes, 0)) / 1024;
        cost += options.cost.per_crossing_kilobyte * kilobytes;
      }
    }
    EXPECT_DOUBLE_EQ(cost, best.cost);
    EXPECT_EQ(recomputed, best.recomputed);
    better += best.cost < whole.cost;
    several += recomputed > 1;
  }
  std::cout << "of " << kGraphs << " graphs: " << better << " where cutting by cost pays, "
            << several << " with several recomputed nodes, " << twice
            << " nodes computed on both sides\n";
  EXPECT_GT(better, kGraphs / 20);
  EXPECT_GT(several, kGraphs / 50);
  EXPECT_GT(twice, kGraphs / 200);
}

}  // namespace
}  // namespace headrace::plan
