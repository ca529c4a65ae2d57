// What crosses: the cut by cost, and which crossing tensors keep their names. In the drawings, (n)
// is a cheap node and [n] one that stays in the main graph.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/max_flow.h"
#include "plan/random_graph.h"
#include "plan/test_graph.h"

namespace headrace::plan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

PlanOptions Auto() {
  PlanOptions options;
  options.cut = Cut::kAuto;
  return options;
}

//   next -> x -+-> (shape) -> [train]     one tensor crosses instead of three
//              +-> (flat) --> [train]
//              +------------> [train]
GraphBuilder Views() {
  GraphBuilder g;
  g.Source("next");
  g.Pure("x", {"next"});
  g.Cheap("shape", {"x"});
  g.Cheap("flat", {"x"});
  g.Main("train", {"shape", "flat", "x"});
  return g;
}

TEST(Cut, CheapViewsOfACrossingTensorAreComputedAgain) {
  const Planned p(Views(), Auto());
  EXPECT_THAT(p.Crossing(), ElementsAre("x:0*"));
  const Stage& stage = p.plan.stages[0];
  EXPECT_THAT(Names(p.graph, stage.recomputed), ElementsAre("flat", "shape"));
  EXPECT_THAT(Names(p.graph, stage.body), ElementsAre("x"));
  EXPECT_THAT(Names(p.graph, stage.removed), ElementsAre("next", "x"));
  EXPECT_EQ(p.Code("flat"), ReasonCode::kCheapToRecompute);
  EXPECT_EQ(p.Text("flat"), "'flat' is cheap: the main graph computes it from what crosses");
}

TEST(Cut, TheLargestCutMovesThemToo) {
  const Planned p(Views(), Session());
  EXPECT_THAT(p.Crossing(), ElementsAre("flat:0*", "shape:0*", "x:0"));
  EXPECT_THAT(p.plan.stages[0].recomputed, IsEmpty());
}

//   next -> x -> (flat) -> [train]        nothing is saved: one tensor crosses either way
TEST(Cut, ACheapNodeRunsAheadWhereNothingIsSaved) {
  GraphBuilder g;
  g.Source("next");
  g.Pure("x", {"next"});
  g.Cheap("flat", {"x"}, 0.0);
  g.Main("train", {"flat"});
  const Planned p(g, Auto());
  EXPECT_THAT(p.Crossing(), ElementsAre("flat:0*"));
}

TEST(Cut, ACheapNodeThatCostsMoreThanATensorRunsAhead) {
  GraphBuilder g;
  g.Source("next");
  g.Pure("x", {"next"});
  g.Cheap("flat", {"x"}, 2.5);
  g.Main("train", {"flat", "x"});
  EXPECT_THAT(Planned(g, Auto()).Crossing(), ElementsAre("flat:0*", "x:0"));
  PlanOptions expensive = Auto();
  expensive.cost.per_crossing_tensor = 3.0;
  EXPECT_THAT(Planned(g, expensive).Crossing(), ElementsAre("x:0*"));
}

//   next -> x -> (flat) -+-> y -> [train]     needed on both sides
//            |           +-------> [train]
//            +-------------------> [train]
TEST(Cut, ANodeMayBeComputedOnBothSides) {
  GraphBuilder g;
  g.Source("next");
  g.Pure("x", {"next"});
  g.Cheap("flat", {"x"});
  g.Pure("y", {"flat"});
  g.Main("train", {"y", "flat", "x"});
  const Planned p(g, Auto());
  EXPECT_THAT(p.Crossing(), ElementsAre("x:0", "y:0*"));
  const Stage& stage = p.plan.stages[0];
  EXPECT_THAT(Names(p.graph, stage.recomputed), ElementsAre("flat"));
  EXPECT_THAT(Names(p.graph, stage.body), ElementsAre("x", "flat", "y"));
  EXPECT_THAT(Names(p.graph, stage.removed), ElementsAre("next", "x", "y"));
  EXPECT_EQ(p.Text("flat"),
            "'flat' is cheap: the main graph computes it from what crosses, and the stage needs it "
            "too");
}

//   next -> x (1 MiB) -> (slice, 1 KiB) -> [train]     bytes count where they are moved
//                    \-> (shape) --------> [train]
TEST(Cut, BytesCountWhereTheyAreMoved) {
  GraphBuilder g;
  g.Source("next");
  g.Pure("x", {"next"}).outputs[0].bytes = 1 << 20;
  g.Cheap("slice", {"x"}).outputs[0].bytes = 1 << 10;
  g.Cheap("shape", {"x"}, 0.5).outputs[0].bytes = 8;
  g.Main("train", {"slice", "shape"});
  EXPECT_THAT(Planned(g, Auto()).Crossing(), ElementsAre("x:0*"));
  PlanOptions moved = Auto();
  moved.cost.per_crossing_kilobyte = 0.1;
  EXPECT_THAT(Planned(g, moved).Crossing(), ElementsAre("shape:0*", "slice:0*"));
}

//   a -+-> (flat), (flat2), (flat3) -> [train]     in sessions, a fetch of what crosses must
//   b -+                                           consume both sources
TEST(Cut, NothingCrossesThatDependsOnSomeSourcesOnly) {
  GraphBuilder g;
  g.Source("a");
  g.Source("b");
  g.Cheap("flat", {"a", "b"}, 0.0);
  g.Cheap("flat2", {"a", "b"}, 0.0);
  g.Cheap("flat3", {"a", "b"}, 0.0);
  g.Main("train", {"flat", "flat2", "flat3"});
  EXPECT_THAT(Planned(g, Auto()).Crossing(), ElementsAre("flat:0*", "flat2:0*", "flat3:0*"));
  PlanOptions function = Auto();
  function.fetches_unknown = false;
  EXPECT_THAT(Planned(g, function).Crossing(), ElementsAre("a:0*", "b:0*"));
}

//   draw -+-> (sum), (sum2), (sum3) -> [train]     nor a random value by itself
//   next -+
TEST(Cut, NoRandomValueCrossesByItself) {
  for (bool session : {true, false}) {
    GraphBuilder g;
    g.Source("next");
    g.Draw("draw");
    g.Cheap("sum", {"next", "draw"}, 0.0);
    g.Cheap("sum2", {"next", "draw"}, 0.0);
    g.Cheap("sum3", {"next", "draw"}, 0.0);
    g.Main("train", {"sum", "sum2", "sum3"});
    PlanOptions options = Auto();
    options.fetches_unknown = session;
    EXPECT_THAT(Planned(g, options).Crossing(), ElementsAre("sum:0*", "sum2:0*", "sum3:0*"));
  }
}

//   next -> check -^-> (a), (b)       what waits for a staged node cannot be computed in main
TEST(Cut, ACheapNodeThatWaitsForAStagedNodeIsNotComputedAgain) {
  GraphBuilder g;
  g.Source("next");
  g.Assert("check", {"next"});
  g.Cheap("a", {"next", "^check"}, 0.0);
  g.Cheap("b", {"next", "^check"}, 0.0);
  g.Main("train", {"a", "b", "next"});
  EXPECT_THAT(Planned(g, Auto()).Crossing(), ElementsAre("a:0*", "b:0*", "next:0"));
}

TEST(Cut, LeavesAreConsumersInTheMainGraph) {
  GraphBuilder g;
  g.Source("next");
  g.Cheap("a", {"next"});
  g.Cheap("b", {"next"});
  g.Cheap("c", {"next"});
  const Planned p(g, Auto());
  EXPECT_THAT(p.Crossing(), ElementsAre("next:0*"));
  EXPECT_EQ(p.Code("a"), ReasonCode::kCheapToRecompute);
}

// A constant and a handle are in the main graph anyhow.
TEST(Cut, ARecomputedNodeMayUseConstantsAndHandles) {
  GraphBuilder g;
  g.Source("next");
  g.Constant("shape");
  g.Handle("h");
  g.Cheap("a", {"next", "shape"});
  g.Cheap("b", {"next", "h"});
  g.Main("train", {"a", "b", "next"});
  const Planned p(g, Auto());
  EXPECT_THAT(p.Crossing(), ElementsAre("next:0*"));
  // What only the main graph needs is neither copied nor passed in.
  EXPECT_THAT(p.plan.stages[0].constants, IsEmpty());
  EXPECT_THAT(p.plan.stages[0].args, IsEmpty());
}

//   next -+:0-> x       a name is kept only if feeding it changes nothing but its users in main
//         +:1-> [log]
TEST(Names, AreKeptWhereFeedingStaysExact) {
  GraphBuilder g;
  g.Source("next", {}, 2);
  g.Pure("x", {"next:0"});
  g.Main("log", {"next:1"});
  g.Main("train", {"x"});
  // `next` yields x, and only one of its outputs crosses.
  EXPECT_THAT(Planned(g, Session()).Crossing(), ElementsAre("next:1", "x:0*"));
}

TEST(Names, OfANodeWithSeveralOutputsNeedAllOfThem) {
  GraphBuilder g;
  g.Source("next");
  g.Pure("split", {"next"}, 2);
  g.Main("log", {"split:1"});
  EXPECT_THAT(Planned(g, Session()).Crossing(), ElementsAre("split:1"));
  g.Main("train", {"split:0"});
  EXPECT_THAT(Planned(g, Session()).Crossing(), ElementsAre("split:0*", "split:1*"));
}

//   next -> x -> (flat) -> y: y is computed in the stage from x, through a node of both sides
TEST(Names, AreNotKeptAboveAnotherCrossingTensor) {
  GraphBuilder g;
  g.Source("next");
  g.Pure("x", {"next"});
  g.Cheap("flat", {"x"});
  g.Pure("y", {"flat"});
  g.Main("train", {"x", "flat", "y"});
  EXPECT_THAT(Planned(g, Auto()).Crossing(), ElementsAre("x:0", "y:0*"));
}

// Against every cut of small random networks.
TEST(MaxFlow, EqualsTheSmallestOfAllCuts) {
  const std::uint64_t seed = TestSeed();
  std::cout << "seed " << seed << " (HEADRACE_TEST_SEED)\n";
  for (int i = 0; i < 3000; ++i) {
    Random random(seed + i);
    const int nodes = 2 + static_cast<int>(random() % 7);
    struct Edge {
      int from, to;
      std::int64_t capacity;
    };
    std::vector<Edge> edges;
    MaxFlow flow;
    for (int n = 0; n < nodes; ++n) EXPECT_EQ(flow.AddNode(), n);
    for (std::uint64_t e = random() % 20; e > 0; --e) {
      const Edge edge{static_cast<int>(random() % nodes), static_cast<int>(random() % nodes),
                      static_cast<std::int64_t>(random() % 8)};
      edges.push_back(edge);
      flow.AddEdge(edge.from, edge.to, edge.capacity);
    }
    std::int64_t best = MaxFlow::kInfinite;
    unsigned smallest = ~0u;  // the source side common to all minimum cuts
    for (unsigned side = 1; side < (1u << nodes); side += 2) {
      if (side & 2) continue;
      std::int64_t cut = 0;
      for (const Edge& edge : edges) {
        if (((side >> edge.from) & 1) && !((side >> edge.to) & 1)) cut += edge.capacity;
      }
      if (cut < best) best = cut, smallest = side;
      if (cut == best) smallest &= side;
    }
    ASSERT_EQ(flow.Solve(0, 1), best) << "network " << i;
    for (int n = 0; n < nodes; ++n) {
      ASSERT_EQ(flow.OnSourceSide(n), ((smallest >> n) & 1) != 0) << "network " << i;
    }
  }
}

}  // namespace
}  // namespace headrace::plan
