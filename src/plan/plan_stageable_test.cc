// What may be staged at all, judged by a node and its inputs. In the drawings, [n] is a node that
// stays in the main graph whatever feeds it, and -^-> is a control edge.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/test_graph.h"

namespace headrace::plan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

//   it -> next -+:0-> hash -> gather -> [train]
//               |              ^
//               +:1-> concat   |
//                      ^       [var]
//                 c ---+
GraphBuilder SeedExample() {
  GraphBuilder g;
  g.Handle("it");
  g.Source("next", {"it"}, 2);
  g.Constant("c");
  g.Pure("hash", {"next:0"});
  g.Pure("concat", {"next:1", "c"});
  g.Main("var", {}, 1, ReasonCode::kVariableRead, "reads variable 'w', which 'train' writes");
  g.Pure("gather", {"var", "hash"});
  g.Main("train", {"gather", "concat"}, 0, ReasonCode::kVariableWrite, "writes variable 'w'");
  return g;
}

TEST(Stageable, SeedExample) {
  const Planned p(SeedExample(), Session());
  EXPECT_THAT(p.StageOf("next"), ElementsAre("concat", "hash", "next"));
  EXPECT_THAT(p.Crossing(), ElementsAre("concat:0*", "hash:0*"));
  ASSERT_EQ(p.plan.stages.size(), 1u);
  const Stage& stage = p.plan.stages[0];
  EXPECT_EQ(stage.name, "next");
  EXPECT_THAT(Names(p.graph, stage.sources), ElementsAre("next"));
  EXPECT_THAT(Names(p.graph, stage.body), ElementsAre("concat", "hash"));
  EXPECT_THAT(Names(p.graph, stage.constants), ElementsAre("c"));
  EXPECT_THAT(Names(p.graph, stage.removed), ElementsAre("next", "concat", "hash"));
  ASSERT_EQ(stage.args.size(), 1u);
  EXPECT_EQ(p.graph.nodes[stage.args[0].node].name, "it");
  EXPECT_EQ(p.Code("hash"), ReasonCode::kNone);
  EXPECT_EQ(p.Text("hash"), "'hash' runs ahead in stage 'next'");
  EXPECT_EQ(p.Code("c"), ReasonCode::kMainInput);
  EXPECT_EQ(p.Code("it"), ReasonCode::kMainInput);
}

TEST(Stageable, ABlockedNodeNamesTheNodeThatBlocks) {
  GraphBuilder g = SeedExample();
  g.Pure("dense", {"gather"});
  g.Pure("loss", {"dense"});
  g.Pure("after", {"^gather"});
  const Planned p(g, Session());
  EXPECT_EQ(p.Code("gather"), ReasonCode::kBlockedInput);
  EXPECT_EQ(p.Ancestor("gather"), "var");
  EXPECT_EQ(p.Text("gather"),
            "'gather' is not staged: its input 'var' reads variable 'w', which 'train' writes");
  EXPECT_EQ(p.Ancestor("loss"), "var");
  EXPECT_EQ(p.Ancestor("dense"), "var");
  EXPECT_EQ(p.Text("dense"),
            "'dense' is not staged: it depends on 'var', which reads variable 'w', which 'train' "
            "writes");
  EXPECT_EQ(p.Code("after"), ReasonCode::kBlockedControl);
  EXPECT_EQ(p.Text("after"),
            "'after' is not staged: it waits for 'gather', which depends on 'var', which reads "
            "variable 'w', which 'train' writes");
  EXPECT_EQ(p.Code("train"), ReasonCode::kVariableWrite);
  EXPECT_EQ(p.Text("train"), "'train' is not staged: it writes variable 'w'");
}

// A barrier may carry any code: what is said of it is its own text, whatever the code means
// elsewhere.
TEST(Stageable, ABarrierSpeaksForItself) {
  for (const ReasonCode code : {ReasonCode::kSourceInput, ReasonCode::kSecondRead,
                                ReasonCode::kDevice, ReasonCode::kControlFlow}) {
    GraphBuilder g = SeedExample();
    g.Main("odd", {}, 1, code, "takes its handle from a string");
    g.Pure("below", {"odd", "hash"});
    const Planned p(g, Session());
    EXPECT_EQ(p.Text("odd"), "'odd' is not staged: it takes its handle from a string");
    EXPECT_EQ(p.Text("below"),
              "'below' is not staged: its input 'odd' takes its handle from a string");
  }
}

TEST(Stageable, NothingToStageIsAPlanWithoutStages) {
  GraphBuilder g;
  g.Main("var", {}, 1);
  g.Pure("loss", {"var"});
  const Planned p(g, Session());
  EXPECT_THAT(p.plan.stages, IsEmpty());
  EXPECT_EQ(p.Code("loss"), ReasonCode::kBlockedInput);
  const Planned empty(GraphBuilder(), Session());
  EXPECT_THAT(empty.plan.stages, IsEmpty());
  EXPECT_EQ(empty.plan.hash.size(), 16u);
}

//   it -> next -> x          size = pure(n); n is constant, so `next` may need it
//   n -> size ----^
TEST(Stageable, ASourceTakesHandlesAndConstants) {
  GraphBuilder g;
  g.Handle("it");
  g.Constant("n");
  g.Pure("size", {"n"});
  g.Source("next", {"it", "size"});
  g.Pure("x", {"next"});
  const Planned p(g, Session());
  EXPECT_THAT(p.StageOf("next"), ElementsAre("next", "x"));
  EXPECT_THAT(Names(p.graph, p.plan.stages[0].constants), ElementsAre("n", "size"));
}

//   [ph] -> size -> next -> x
TEST(Stageable, ASourceDoesNotTakeComputedInputs) {
  GraphBuilder g;
  g.Handle("it");
  g.Main("ph", {}, 1, ReasonCode::kPlaceholder, "is a placeholder");
  g.Pure("size", {"ph"});
  g.Source("next", {"it", "size"});
  g.Pure("x", {"next"});
  const Planned p(g, Session());
  EXPECT_THAT(p.plan.stages, IsEmpty());
  EXPECT_EQ(p.Code("next"), ReasonCode::kSourceInput);
  EXPECT_EQ(p.Ancestor("next"), "ph");
  EXPECT_EQ(p.Text("next"),
            "'next' is not staged: it reads with the input 'size', which depends on 'ph', which is "
            "a placeholder");
  EXPECT_EQ(p.Ancestor("x"), "next");
}

//   a -> size -> b       what `b` reads depends on what `a` yields
TEST(Stageable, ASourceDoesNotTakeAnotherSourcesElement) {
  GraphBuilder g;
  g.Source("a");
  g.Pure("size", {"a"});
  g.Handle("it");
  g.Source("b", {"it", "size"});
  const Planned p(g, Function());
  EXPECT_EQ(p.Code("b"), ReasonCode::kSourceInput);
  EXPECT_EQ(p.Text("b"),
            "'b' is not staged: it reads with the input 'size', which is not constant");
  EXPECT_THAT(p.StageOf("a"), ElementsAre("a", "size"));
}

//   a -> text -> it -> next       a handle made from an element would lead back into the stage
TEST(Stageable, AHandleComputedFromAnElementIsNoArgument) {
  GraphBuilder g;
  g.Source("a");
  g.Pure("text", {"a"});
  g.Handle("it", {"text"});
  g.Source("next", {"it"});
  const Planned p(g, Session());
  EXPECT_THAT(p.StageOf("a"), ElementsAre("a", "text"));
  EXPECT_FALSE(p.Staged("next"));
  EXPECT_EQ(p.Text("next"),
            "'next' is not staged: it reads with the input 'it', which is a handle that depends on "
            "'a', which is not constant");
}

//   [ph] -> it -> next       a feedable iterator: its handle is an input of the main graph
TEST(Stageable, AHandleComputedFromAPlaceholderIsAnArgument) {
  GraphBuilder g;
  g.Main("ph", {}, 1, ReasonCode::kPlaceholder, "is a placeholder");
  g.Handle("it", {"ph"});
  g.Source("next", {"it"});
  const Planned p(g, Session());
  EXPECT_TRUE(p.Staged("next"));
}

//   w -> read -> x <- next    a read of read-only state is constant; its handle becomes an argument
TEST(Stageable, ReadOnlyStateIsCopied) {
  GraphBuilder g;
  g.Handle("w");
  g.Pure("read", {"w"});
  g.Source("next");
  g.Pure("x", {"next", "read"});
  g.Main("train", {"x", "read"});
  const Planned p(g, Session());
  EXPECT_THAT(p.StageOf("next"), ElementsAre("next", "x"));
  const Stage& stage = p.plan.stages[0];
  EXPECT_THAT(Names(p.graph, stage.constants), ElementsAre("read"));
  ASSERT_EQ(stage.args.size(), 1u);
  EXPECT_EQ(p.graph.nodes[stage.args[0].node].name, "w");
  EXPECT_EQ(p.Code("read"), ReasonCode::kMainInput);
}

//   [update] -^-> x       what must wait for the main graph cannot run ahead
//   next -> x
TEST(Stageable, AControlEdgeFromTheMainGraphStopsStaging) {
  GraphBuilder g;
  g.Source("next");
  g.Main("update", {}, 0, ReasonCode::kVariableWrite, "writes variable 'w'");
  g.Pure("x", {"next", "^update"});
  g.Constant("c", {"^update"});
  g.Pure("y", {"next", "c"});
  const Planned p(g, Session());
  EXPECT_THAT(p.StageOf("next"), ElementsAre("next"));
  EXPECT_EQ(p.Code("x"), ReasonCode::kBlockedControl);
  EXPECT_EQ(p.Text("x"), "'x' is not staged: it waits for 'update', which writes variable 'w'");
  // Through a constant as well: it must not be copied without what it waits for.
  EXPECT_EQ(p.Code("c"), ReasonCode::kBlockedControl);
  EXPECT_EQ(p.Code("y"), ReasonCode::kBlockedInput);
  EXPECT_EQ(p.Ancestor("y"), "update");
}

//   it, c -^-> x <- next      handles and constants may be waited for
TEST(Stageable, AControlEdgeFromAHandleOrConstantDoesNotStopStaging) {
  GraphBuilder g;
  g.Handle("it");
  g.Source("next", {"it"});
  g.Constant("c");
  g.Pure("x", {"next", "^it", "^c"});
  const Planned p(g, Session());
  EXPECT_THAT(p.StageOf("next"), ElementsAre("next", "x"));
  EXPECT_THAT(Names(p.graph, p.plan.stages[0].constants), ElementsAre("c"));
}

//   a -^-> b        sources may wait for each other, and are read in that order
TEST(Stageable, SourcesThatWaitForEachOtherAreReadInOrder) {
  GraphBuilder g;
  g.Source("b");
  g.Source("a", {}, 1).control_inputs = {0};
  g.Pure("zip", {"a", "b"});
  const Planned p(g, Session());
  ASSERT_EQ(p.plan.stages.size(), 1u);
  EXPECT_THAT(Names(p.graph, p.plan.stages[0].sources), ElementsAre("b", "a"));
}

//   a -> check -^-> b     `b` must stay unread when `check` fails
TEST(Stageable, ASourceDoesNotWaitForTheBody) {
  GraphBuilder g;
  g.Source("a");
  g.Assert("check", {"a"});
  g.Source("b", {"^check"});
  g.Pure("zip", {"a", "b"});
  const Planned p(g, Function());
  EXPECT_FALSE(p.Staged("b"));
  EXPECT_EQ(p.Code("b"), ReasonCode::kBlockedControl);
  EXPECT_EQ(p.Text("b"),
            "'b' is not staged: it reads only after 'check', which is computed from an element");
}

//   next -> x -> y
TEST(Stageable, TargetsAndAllBelowStayOut) {
  GraphBuilder g;
  g.Source("next");
  g.Pure("x", {"next"}).target = true;
  g.Pure("y", {"x"});
  const Planned p(g, Session());
  EXPECT_THAT(p.StageOf("next"), ElementsAre("next"));
  EXPECT_EQ(p.Code("x"), ReasonCode::kTarget);
  EXPECT_EQ(p.Text("x"), "'x' is not staged: it is a marked target");
  EXPECT_EQ(p.Code("y"), ReasonCode::kBlockedInput);
  EXPECT_EQ(p.Text("y"), "'y' is not staged: its input 'x' is a marked target");
}

//   t (target) -> it -> next     also through a handle
TEST(Stageable, ASourceBelowATargetStaysOut) {
  GraphBuilder g;
  g.Constant("t").target = true;
  g.Handle("it", {"t"});
  g.Source("next", {"it"});
  const Planned p(g, Session());
  EXPECT_THAT(p.plan.stages, IsEmpty());
  EXPECT_EQ(p.Ancestor("next"), "it");
}

//   next -> x -> y <- c
TEST(Stageable, ExcludedNodesStayOut) {
  GraphBuilder g;
  g.Source("next");
  g.Pure("x", {"next"});
  g.Constant("c").excluded = true;
  g.Pure("y", {"x", "c"});
  g.Pure("z", {"x"}).excluded = true;
  const Planned p(g, Session());
  EXPECT_THAT(p.StageOf("next"), ElementsAre("next", "x"));
  EXPECT_EQ(p.Text("z"), "'z' is not staged: it is excluded by name");
  EXPECT_EQ(p.Text("y"), "'y' is not staged: its input 'c' is excluded by name");
  EXPECT_EQ(p.Code("c"), ReasonCode::kExcluded);
}

//   next -> x (keep) -> y
TEST(Stageable, AKeptNodeStaysOut) {
  GraphBuilder g;
  g.Source("next");
  g.Pure("x", {"next"}).keep = true;
  g.Pure("y", {"x"});
  const Planned p(g, Session());
  EXPECT_THAT(p.StageOf("next"), ElementsAre("next"));
  EXPECT_EQ(p.Code("x"), ReasonCode::kKept);
  EXPECT_EQ(p.Code("y"), ReasonCode::kBlockedInput);
  EXPECT_EQ(p.Ancestor("y"), "x");
}

//   next (keep) -+:0-> x -> y       all outputs cross under their names, nothing else is staged
//                +:1
TEST(Stageable, AKeptSourceIsStagedAlone) {
  GraphBuilder g;
  g.Source("next", {}, 2).keep = true;
  g.Pure("x", {"next:0"});
  g.Pure("y", {"x"});
  const Planned p(g, Session());
  EXPECT_THAT(p.StageOf("next"), ElementsAre("next"));
  EXPECT_THAT(p.Crossing(), ElementsAre("next:0*", "next:1*"));
  EXPECT_EQ(p.Code("x"), ReasonCode::kKept);
  EXPECT_EQ(p.Ancestor("x"), "next");
  EXPECT_EQ(p.Text("x"),
            "'x' is not staged: its input 'next' is kept: it must remain feedable and fetchable "
            "under its own name");
  EXPECT_EQ(p.Ancestor("y"), "next");
}

//   it -> a -> x      two reads of one handle: neither can run ahead of the other
//    +--> b -> y
TEST(Stageable, TwoReadsOfOneResourceStayOut) {
  GraphBuilder g;
  g.Handle("it");
  g.Source("a", {"it"});
  g.Source("b", {"it"});
  g.Pure("x", {"a"});
  g.Pure("y", {"b"});
  const Planned p(g, Session());
  EXPECT_THAT(p.plan.stages, IsEmpty());
  EXPECT_EQ(p.Code("a"), ReasonCode::kSecondRead);
  EXPECT_EQ(p.Text("a"), "'a' is not staged: it reads the same resource as 'b'");
  EXPECT_EQ(p.Text("b"), "'b' is not staged: it reads the same resource as 'a'");
  EXPECT_EQ(p.Text("x"), "'x' is not staged: its input 'a' reads the same resource as 'b'");
}

TEST(Stageable, ReadsOfTwoResourcesAreStaged) {
  GraphBuilder g;
  g.Handle("it1");
  g.Handle("it2");
  g.Source("a", {"it1"});
  g.Source("b", {"it2"});
  const Planned p(g, Session());
  EXPECT_TRUE(p.Staged("a"));
  EXPECT_TRUE(p.Staged("b"));
}

//   next -> x =ref=> y       a reference can neither cross nor be used in a stage
TEST(Stageable, ReferencesStayOut) {
  GraphBuilder g;
  g.Source("next");
  g.Pure("x", {"next"}).outputs[0].can_cross = false;
  g.Pure("y", {"x"});
  g.Handle("queue").outputs[0].can_cross = false;
  g.Pure("size", {"queue"});
  const Planned p(g, Session());
  EXPECT_THAT(p.StageOf("next"), ElementsAre("next"));
  EXPECT_EQ(p.Code("x"), ReasonCode::kRefType);
  EXPECT_EQ(p.Ancestor("y"), "x");
  EXPECT_EQ(p.Text("size"), "'size' is not staged: it takes a reference from 'queue'");
}

//   next -> x -+=ref=>      an output that nobody uses does no harm
//              +:1-> y
TEST(Stageable, AnUnusedReferenceDoesNotBlock) {
  GraphBuilder g;
  g.Source("next");
  g.Pure("x", {"next"}, 2).outputs[0].can_cross = false;
  g.Pure("y", {"x:1"});
  const Planned p(g, Session());
  EXPECT_THAT(p.StageOf("next"), ElementsAre("next", "x", "y"));
}

//   next -> [enter] -> [merge] -> [switch] -> [iterate] -+     a v1 loop
//                         ^------------------------------+
TEST(Stageable, ALoopThroughBarriersStaysOut) {
  GraphBuilder g;
  g.Source("next");
  g.Pure("x", {"next"});
  g.Main("enter", {"x"}, 1, ReasonCode::kControlFlow, "is v1 control flow");
  g.Main("merge", {"enter", "iterate"}, 1, ReasonCode::kControlFlow, "is v1 control flow");
  g.Pure("body", {"merge"});
  g.Main("iterate", {"body"}, 1, ReasonCode::kControlFlow, "is v1 control flow");
  const Planned p(g, Session());
  EXPECT_THAT(p.StageOf("next"), ElementsAre("next", "x"));
  EXPECT_EQ(p.Code("merge"), ReasonCode::kControlFlow);
  EXPECT_EQ(p.Text("body"), "'body' is not staged: its input 'merge' is v1 control flow");
}

// Not a graph that TensorFlow could run; the planner must still end and keep out of it.
TEST(Stageable, ACycleWithoutABarrierStaysOut) {
  GraphBuilder g;
  g.Source("next");
  g.Pure("x", {"next", "y"});
  g.Pure("y", {"x"});
  const Planned p(g, Session());
  EXPECT_THAT(p.StageOf("next"), ElementsAre("next"));
  EXPECT_EQ(p.Text("x"), "'x' is not staged: it is part of a cycle");
}

TEST(Stageable, EveryReasonCodeHasItsOwnName) {
  std::set<std::string> names;
  for (int code = 0; code <= static_cast<int>(ReasonCode::kMainInput); ++code) {
    const std::string name = ReasonCodeName(static_cast<ReasonCode>(code));
    EXPECT_NE(name, "unknown") << code;
    EXPECT_TRUE(names.insert(name).second) << name;
  }
}

}  // namespace
}  // namespace headrace::plan
