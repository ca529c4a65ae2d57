// Properties that hold for every graph: valid plans, independence of node order.
#include <gtest/gtest.h>

#include "plan/random_graph.h"
#include "plan/test_graph.h"

namespace headrace::plan {
namespace {

RandomGraphOptions Shape(int i) {
  RandomGraphOptions shape;
  shape.max_nodes = i % 10 == 0 ? 60 : 20;
  shape.max_sources = 5;
  shape.cheap = 0.4;
  shape.funnel = i % 3 == 0 ? 0.5 : 0.0;
  shape.device = i % 2 == 0 ? 0.2 : 0.0;
  shape.calm = i % 5 == 0;
  shape.flags = i % 4 != 0;
  return shape;
}

TEST(RandomPlans, AreValid) {
  constexpr int kGraphs = 20000;
  const std::uint64_t seed = TestSeed();
  std::cout << "seed " << seed << " (HEADRACE_TEST_SEED)\n";
  int devices = 0, on_device = 0;
  for (int i = 0; i < kGraphs && !testing::Test::HasFailure(); ++i) {
    Random random(seed + i);
    const Graph graph = RandomGraph(random, Shape(i));
    PlanOptions options = RandomPlanOptions(random, graph);
    if (i % 3 == 0) options.cut = Cut::kLargest;
    const StagePlan plan = MakePlan(graph, options);
    SCOPED_TRACE("graph " + std::to_string(i));
    for (const std::string& broken : CheckPlan(graph, options, plan)) ADD_FAILURE() << broken;
    for (const Reason& reason : plan.reasons) devices += reason.code == ReasonCode::kDevice;
    for (const Stage& stage : plan.stages) on_device += !stage.device.empty();
  }
  std::cout << devices << " nodes cut by device, " << on_device << " stages on a device\n";
  EXPECT_GT(devices, kGraphs / 50);
  EXPECT_GT(on_device, kGraphs / 50);
}

TEST(RandomPlans, DoNotDependOnNodeOrder) {
  constexpr int kGraphs = 5000;
  const std::uint64_t seed = TestSeed();
  std::cout << "seed " << seed << " (HEADRACE_TEST_SEED)\n";
  for (int i = 0; i < kGraphs && !testing::Test::HasFailure(); ++i) {
    Random random(seed + i);
    const Graph graph = RandomGraph(random, Shape(i));
    const PlanOptions options = RandomPlanOptions(random, graph);
    const Graph shuffled = Shuffled(graph, random);
    SCOPED_TRACE("graph " + std::to_string(i));
    const StagePlan plan = MakePlan(graph, options);
    const StagePlan other = MakePlan(shuffled, options);
    EXPECT_EQ(Describe(graph, plan), Describe(shuffled, other));
    EXPECT_EQ(ExplainText(graph, plan), ExplainText(shuffled, other));
    EXPECT_EQ(ExplainJson(graph, plan), ExplainJson(shuffled, other));
  }
}

// Every node that is not staged says why, in a sentence that names it and the node to blame.
TEST(RandomPlans, ReasonsNameTheirNodes) {
  const std::uint64_t seed = TestSeed();
  std::cout << "seed " << seed << " (HEADRACE_TEST_SEED)\n";
  for (int i = 0; i < 3000 && !testing::Test::HasFailure(); ++i) {
    Random random(seed + i);
    const Graph graph = RandomGraph(random, Shape(i));
    const StagePlan plan = MakePlan(graph, RandomPlanOptions(random, graph));
    SCOPED_TRACE("graph " + std::to_string(i));
    for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
      const Reason& reason = plan.reasons[n];
      const std::string& name = graph.nodes[n].name;
      EXPECT_EQ(reason.text.rfind("'" + name + "' ", 0), 0u) << reason.text;
      const bool inherited =
          reason.code == ReasonCode::kBlockedInput || reason.code == ReasonCode::kBlockedControl;
      EXPECT_TRUE(!inherited || reason.ancestor >= 0) << reason.text;
      if (reason.ancestor < 0) continue;
      EXPECT_NE(reason.ancestor, static_cast<int>(n)) << reason.text;
      if (!inherited) continue;
      const std::string& ancestor = graph.nodes[reason.ancestor].name;
      EXPECT_NE(reason.text.find("'" + ancestor + "'"), std::string::npos) << reason.text;
      // The node to blame has a reason of its own. (Sources and random ops have reasons of their
      // own under these codes.)
      const auto own = [&](std::size_t m) {
        const Trait trait = graph.nodes[m].trait;
        const ReasonCode code = plan.reasons[m].code;
        return trait == Trait::kSource || trait == Trait::kDraw ||
               (code != ReasonCode::kBlockedInput && code != ReasonCode::kBlockedControl);
      };
      EXPECT_TRUE(own(n) || own(reason.ancestor)) << reason.text;
    }
  }
}

}  // namespace
}  // namespace headrace::plan
