// Which nodes form a stage: sources that meet, leaves, queues, marks, devices. In the drawings, [n]
// is a node that stays in the main graph, and -^-> is a control edge.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/test_graph.h"

namespace headrace::plan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

//   a -> x -+-> zip -> y -> [train]
//   b ------+
GraphBuilder Zip() {
  GraphBuilder g;
  g.Source("a");
  g.Source("b");
  g.Pure("x", {"a"});
  g.Pure("zip", {"x", "b"});
  g.Pure("y", {"zip"});
  g.Main("train", {"y"});
  return g;
}

TEST(Merging, SourcesThatMeetBeforeAnythingCrossesShareAStage) {
  for (const PlanOptions& options : {Session(), Function()}) {
    const Planned p(Zip(), options);
    ASSERT_EQ(p.plan.stages.size(), 1u);
    EXPECT_THAT(p.StageOf("a"), ElementsAre("a", "b", "x", "y", "zip"));
    EXPECT_THAT(p.Crossing(), ElementsAre("y:0*"));
  }
}

//   as above, and x -> [log]: a step that fetches only the log must not consume an element of b
TEST(Merging, InSessionsTheCutIsInFrontOfTheMeetingNode) {
  GraphBuilder g = Zip();
  g.Main("log", {"x"});
  const Planned p(g, Session());
  EXPECT_THAT(p.StageOf("a"), ElementsAre("a", "x"));
  EXPECT_THAT(p.StageOf("b"), ElementsAre("b"));
  EXPECT_EQ(p.Code("zip"), ReasonCode::kMeeting);
  EXPECT_EQ(p.Text("zip"),
            "'zip' is not staged: it combines sources 'a' and 'b', of which a fetch may need one "
            "without the other");
  EXPECT_EQ(p.Code("y"), ReasonCode::kBlockedInput);
  EXPECT_EQ(p.Ancestor("y"), "zip");
}

TEST(Merging, InFunctionsEveryRunConsumesAllSources) {
  GraphBuilder g = Zip();
  g.Main("log", {"x"});
  const Planned p(g, Function());
  EXPECT_THAT(p.StageOf("a"), ElementsAre("a", "b", "x", "y", "zip"));
  EXPECT_THAT(p.Crossing(), ElementsAre("x:0", "y:0*"));
}

// A leaf may be fetched, and so may a node that the main graph only waits for.
TEST(Merging, ALeafOrAControlEdgeIsAUseOutside) {
  GraphBuilder leaf = Zip();
  leaf.Pure("leaf", {"x"});
  EXPECT_EQ(Planned(leaf, Session()).Code("zip"), ReasonCode::kMeeting);
  GraphBuilder control = Zip();
  control.Main("log", {"^x"});
  EXPECT_EQ(Planned(control, Session()).Code("zip"), ReasonCode::kMeeting);
}

//   a -+-> ab -+-> abc -> [train]      first a and b, then c
//   b -+       |
//   c ---------+
GraphBuilder Tree() {
  GraphBuilder g;
  g.Source("a");
  g.Source("b");
  g.Source("c");
  g.Pure("ab", {"a", "b"});
  g.Pure("abc", {"ab", "c"});
  g.Main("train", {"abc"});
  return g;
}

TEST(Merging, TheLargestLegalMergeIsChosen) {
  EXPECT_THAT(Planned(Tree(), Session()).StageOf("a"), ElementsAre("a", "ab", "abc", "b", "c"));
  GraphBuilder inner = Tree();
  inner.Main("log", {"ab"});
  const Planned p(inner, Session());
  EXPECT_THAT(p.StageOf("a"), ElementsAre("a", "ab", "b"));
  EXPECT_THAT(p.StageOf("c"), ElementsAre("c"));
  EXPECT_EQ(p.Code("abc"), ReasonCode::kMeeting);
  GraphBuilder first = Tree();
  first.Main("log", {"a"});
  const Planned q(first, Session());
  EXPECT_EQ(q.plan.stages.size(), 3u);
  EXPECT_EQ(q.Code("ab"), ReasonCode::kMeeting);
  EXPECT_EQ(q.Code("abc"), ReasonCode::kBlockedInput);
}

//   a -^-> b: to fetch b is to consume a, but not the other way round
TEST(Merging, ASourceThatWaitsForAnother) {
  GraphBuilder g;
  g.Source("a");
  g.Source("b").control_inputs = {0};
  g.Main("use_b", {"b"});
  GraphBuilder both = g;
  both.Main("use_a", {"a"});
  const Planned p(both, Session());
  EXPECT_THAT(p.StageOf("a"), ElementsAre("a"));
  EXPECT_EQ(p.Code("b"), ReasonCode::kMeeting);
  const Planned f(both, Function());
  EXPECT_THAT(f.StageOf("a"), ElementsAre("a", "b"));
}

TEST(Merging, SeparateSourcesHaveSeparateStages) {
  for (const PlanOptions& options : {Session(), Function()}) {
    GraphBuilder g;
    g.Source("b");
    g.Source("a");
    g.Pure("x", {"a"});
    g.Pure("y", {"b"});
    g.Main("train", {"x", "y"});
    const Planned p(g, options);
    ASSERT_EQ(p.plan.stages.size(), 2u);
    EXPECT_EQ(p.plan.stages[0].name, "a");
    EXPECT_EQ(p.plan.stages[1].name, "b");
  }
}

//   next -> split -+:0-> x      in sessions, what nothing consumes may be fetched: a node none of
//                  +:1          whose outputs is consumed crosses whole
TEST(Leaves, CrossInSessions) {
  GraphBuilder g;
  g.Source("next");
  g.Pure("split", {"next"}, 2);
  g.Pure("x", {"split:0"}, 2);
  const Planned p(g, Session());
  EXPECT_THAT(p.StageOf("next"), ElementsAre("next", "split", "x"));
  EXPECT_THAT(p.Crossing(), ElementsAre("x:0*", "x:1*"));
}

//   next -> x -> [train]
//            +-> unused -> dead      nothing keeps `x` crossing for them, and they leave with it
TEST(Leaves, AreDeadInFunctions) {
  GraphBuilder g;
  g.Source("next");
  g.Pure("x", {"next"});
  g.Pure("y", {"x"});
  g.Pure("unused", {"x"});
  g.Pure("dead", {"unused"});
  g.Pure("dead_too", {"y"});
  g.Main("train", {"y"});
  g.Constant("c");
  g.Pure("elsewhere", {"c"});
  const Planned p(g, Function());
  EXPECT_THAT(p.StageOf("next"), ElementsAre("next", "x", "y"));
  EXPECT_THAT(p.Crossing(), ElementsAre("y:0*"));
  EXPECT_EQ(p.Code("unused"), ReasonCode::kUnused);
  EXPECT_EQ(p.Text("dead"), "'dead' is not staged: it is used by nothing that has an effect");
  EXPECT_THAT(Names(p.graph, p.plan.stages[0].removed),
              testing::UnorderedElementsAre("next", "x", "y", "unused", "dead", "dead_too"));
}

//   next -> dead; next -^-> [log]: a stage that yields nothing to anybody
TEST(Leaves, ASourceWhoseValuesAreUnusedStaysInTheFunction) {
  GraphBuilder g;
  g.Source("next");
  g.Pure("dead", {"next"});
  g.Main("log", {"^next"});
  const Planned p(g, Function());
  EXPECT_THAT(p.plan.stages, IsEmpty());
  EXPECT_EQ(p.Code("next"), ReasonCode::kUnused);
  EXPECT_EQ(p.Text("next"), "'next' is not staged: it yields nothing that is used");
}

//   next -> x -> [enqueue]       the queue reads ahead already
TEST(Queues, AStageThatFeedsAQueueOnlyIsDropped) {
  GraphBuilder g;
  g.Source("next", {}, 2);
  g.Pure("x", {"next:1"});
  g.Enqueue("enqueue", {"x"});
  g.Handle("queue");
  g.Source("dequeue", {"queue"});
  const Planned p(g, Session());
  EXPECT_EQ(p.Code("next"), ReasonCode::kOnlyFeedsQueue);
  EXPECT_EQ(p.Text("x"),
            "'x' is not staged: its input 'next' feeds nothing but a queue, which is read ahead "
            "already");
  EXPECT_EQ(p.Code("enqueue"), ReasonCode::kQueueWrite);
  EXPECT_EQ(p.Text("enqueue"), "'enqueue' is not staged: it writes into a queue");
  EXPECT_TRUE(p.Staged("dequeue"));
}

TEST(Queues, AStageThatFeedsMoreIsKept) {
  GraphBuilder g;
  g.Source("next");
  g.Pure("x", {"next"});
  g.Enqueue("enqueue", {"x"});
  g.Main("log", {"x"});
  EXPECT_TRUE(Planned(g, Session()).Staged("next"));
}

//   a -> m (mark 1) -> x      b -> y
GraphBuilder Marked() {
  GraphBuilder g;
  g.Source("a");
  g.Source("b");
  g.Pure("p", {"a"});
  g.Pure("side", {"a"});
  g.Pure("m", {"p"}).mark = 1;
  g.Pure("x", {"m"});
  g.Pure("y", {"b"});
  return g;
}

TEST(Marks, OnlyMarkedStagesAreKept) {
  const Planned p(Marked(), Session());
  EXPECT_THAT(p.StageOf("a"), ElementsAre("a", "m", "p", "side", "x"));
  EXPECT_EQ(p.plan.stages[0].mark, 1);
  EXPECT_EQ(p.Code("b"), ReasonCode::kUnmarkedSource);
  EXPECT_EQ(p.Text("y"), "'y' is not staged: its input 'b' feeds no tf.staged mark");
}

TEST(Marks, WithoutGrowingStagesEndAtTheMarks) {
  PlanOptions options = Session();
  options.grow = false;
  const Planned p(Marked(), options);
  EXPECT_THAT(p.StageOf("a"), ElementsAre("a", "m", "p"));
  EXPECT_EQ(p.Code("x"), ReasonCode::kPastMark);
  EXPECT_EQ(p.Code("side"), ReasonCode::kPastMark);
  EXPECT_EQ(p.Code("b"), ReasonCode::kUnmarkedSource);
  EXPECT_THAT(p.Crossing(), ElementsAre("a:0", "m:0*"));
}

TEST(Marks, WithoutGrowingAndWithoutMarksNothingIsStaged) {
  PlanOptions options = Session();
  options.grow = false;
  const Planned p(Zip(), options);
  EXPECT_THAT(p.plan.stages, IsEmpty());
  EXPECT_EQ(p.Code("a"), ReasonCode::kPastMark);
}

TEST(Marks, TheLowestGroupNamesTheStage) {
  GraphBuilder g = Marked();
  g.Pure("m0", {"side"}).mark = 0;
  EXPECT_EQ(Planned(g, Session()).plan.stages[0].mark, 0);
  EXPECT_EQ(Planned(Zip(), Session()).plan.stages[0].mark, -1);
}

//   a (cpu) -> x -> y (gpu) -> z
TEST(Devices, AnotherDeviceIsCut) {
  GraphBuilder g;
  g.Source("a").device = "cpu";
  g.Pure("x", {"a"});
  g.Pure("y", {"x"}).device = "gpu";
  g.Pure("z", {"y"});
  for (const PlanOptions& options : {Session(), Function()}) {
    GraphBuilder used = g;
    used.Main("train", {"z"});
    const Planned p(used, options);
    EXPECT_THAT(p.StageOf("a"), ElementsAre("a", "x"));
    EXPECT_EQ(p.plan.stages[0].device, "cpu");
    EXPECT_EQ(p.Code("y"), ReasonCode::kDevice);
    EXPECT_EQ(p.Text("y"),
              "'y' is not staged: it would bring devices 'gpu' and 'cpu' (of 'x') into one stage");
    EXPECT_EQ(p.Ancestor("z"), "y");
  }
}

//   a -+-> x (cpu)      the first that asks decides; the other branch is cut
//      +-> y (gpu)
TEST(Devices, OneStageHasOneDevice) {
  GraphBuilder g;
  g.Source("a");
  g.Pure("x", {"a"}).device = "cpu";
  g.Pure("y", {"a"}).device = "gpu";
  g.Main("train", {"x", "y"});
  for (const PlanOptions& options : {Session(), Function()}) {
    const Planned p(g, options);
    EXPECT_THAT(p.StageOf("a"), ElementsAre("a", "x"));
    EXPECT_EQ(p.plan.stages[0].device, "cpu");
    EXPECT_EQ(p.Code("y"), ReasonCode::kDevice);
    EXPECT_EQ(p.Ancestor("y"), "x");
  }
}

//   a (cpu) -> x -+-> zip     sources on different devices do not share a stage
//   b (gpu) -> y -+
TEST(Devices, SourcesOnDifferentDevicesStayApart) {
  GraphBuilder g;
  g.Source("a").device = "cpu";
  g.Source("b").device = "gpu";
  g.Pure("x", {"a"});
  g.Pure("y", {"b"});
  g.Pure("zip", {"x", "y"});
  g.Main("train", {"zip"});
  for (const PlanOptions& options : {Session(), Function()}) {
    const Planned p(g, options);
    EXPECT_THAT(p.StageOf("a"), ElementsAre("a", "x"));
    EXPECT_THAT(p.StageOf("b"), ElementsAre("b", "y"));
    EXPECT_EQ(p.Code("zip"), ReasonCode::kDevice);
  }
}

TEST(Devices, AConstantOnAnotherDeviceIsNotCopied) {
  GraphBuilder g;
  g.Source("a").device = "cpu";
  g.Constant("here").device = "cpu";
  g.Constant("there").device = "gpu";
  g.Pure("x", {"a", "here"});
  g.Pure("y", {"a", "there"});
  const Planned p(g, Session());
  EXPECT_THAT(p.StageOf("a"), ElementsAre("a", "x"));
  EXPECT_EQ(p.Code("y"), ReasonCode::kDevice);
}

}  // namespace
}  // namespace headrace::plan
