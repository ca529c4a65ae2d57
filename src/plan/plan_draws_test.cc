// Random ops, asserts and other nodes without outputs. In the drawings, [n] is a node that stays in
// the main graph, and -^-> is a control edge.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/test_graph.h"

namespace headrace::plan {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

//   shape -> draw -> scale -> x -> [train]
//                     next ---^
GraphBuilder Noise() {
  GraphBuilder g;
  g.Source("next");
  g.Constant("shape");
  g.Draw("draw", {"shape"});
  g.Pure("scale", {"draw"});
  g.Pure("x", {"next", "scale"});
  g.Main("train", {"x"});
  return g;
}

TEST(Draws, RunOncePerTicket) {
  for (const PlanOptions& options : {Session(), Function()}) {
    const Planned p(Noise(), options);
    EXPECT_THAT(p.StageOf("next"), ElementsAre("draw", "next", "scale", "x"));
    EXPECT_THAT(Names(p.graph, p.plan.stages[0].draws), ElementsAre("draw"));
    EXPECT_THAT(p.Crossing(), ElementsAre("x:0*"));
  }
}

//   scale -> [log] as well: the value would be needed where no element is consumed
TEST(Draws, WithAUseOutsideStayInMain) {
  GraphBuilder g = Noise();
  g.Main("log", {"scale"});
  for (const PlanOptions& options : {Session(), Function()}) {
    const Planned p(g, options);
    EXPECT_THAT(p.StageOf("next"), ElementsAre("next"));
    EXPECT_EQ(p.Code("scale"), ReasonCode::kDrawOutside);
    EXPECT_EQ(p.Ancestor("scale"), "log");
    EXPECT_EQ(p.Code("draw"), ReasonCode::kDrawOutside);
    EXPECT_EQ(p.Text("draw"),
              "'draw' is not staged: it is random and also used by 'log', outside the stage");
    EXPECT_EQ(p.Code("x"), ReasonCode::kBlockedInput);
  }
}

// A leaf may be fetched in a session; in a function nobody can.
TEST(Draws, ThatMayBeFetchedStayInMain) {
  GraphBuilder g = Noise();
  g.Pure("leaf", {"draw"});
  const Planned p(g, Session());
  EXPECT_EQ(p.Code("draw"), ReasonCode::kDrawOutside);
  EXPECT_EQ(p.Text("leaf"),
            "'leaf' is not staged: it is random and may be fetched where no element is consumed");
  EXPECT_TRUE(Planned(g, Function()).Staged("draw"));
}

//   draw1 -> x <- next; draw2 -> y <- draw1, [var]: y blocks draw1, which blocks x and so draw3
TEST(Draws, BlockEachOtherInChains) {
  GraphBuilder g;
  g.Source("next");
  g.Main("var", {}, 1);
  g.Draw("draw1");
  g.Draw("draw2");
  g.Pure("y", {"draw1", "var"});
  g.Pure("x", {"next", "draw1", "draw2"});
  g.Pure("z", {"next", "draw2"});
  const Planned p(g, Session());
  EXPECT_THAT(p.StageOf("next"), ElementsAre("next"));
  EXPECT_EQ(p.Code("draw2"), ReasonCode::kDrawOutside);
  EXPECT_EQ(p.Ancestor("draw2"), "x");
  EXPECT_EQ(p.Ancestor("z"), "draw2");
}

//   a -> x <- draw -> y <- b       one value for two stages
TEST(Draws, OfTwoStages) {
  GraphBuilder g;
  g.Source("a");
  g.Source("b");
  g.Draw("draw");
  g.Pure("x", {"a", "draw"});
  g.Pure("y", {"b", "draw"});
  g.Main("train", {"x", "y"});
  const Planned session(g, Session());
  EXPECT_THAT(session.StageOf("a"), ElementsAre("a"));
  EXPECT_THAT(session.StageOf("b"), ElementsAre("b"));
  EXPECT_EQ(session.Code("draw"), ReasonCode::kDrawOutside);
  // In a function every run consumes both sources, so they may share a stage, and with it the
  // value.
  const Planned function(g, Function());
  EXPECT_THAT(function.StageOf("a"), ElementsAre("a", "b", "draw", "x", "y"));
}

//   a -> x -+-> zip -+-> last -> [train]     c -> [log], late
//   b ------+        |                       d -> late
//   a -> y ----------+                       draw -> y, late
//
// c and d may not share a stage, so `late` stays in the main graph, so does `draw`, so does y; now
// a is used without b, so a and b may not share a stage either.
TEST(Draws, MayTakeAMergeApart) {
  GraphBuilder g;
  for (const char* source : {"a", "b", "c", "d"}) g.Source(source);
  g.Draw("draw");
  g.Pure("x", {"a"});
  g.Pure("zip", {"x", "b"});
  g.Pure("y", {"a", "draw"});
  g.Pure("last", {"zip", "y"});
  g.Main("train", {"last"});
  EXPECT_THAT(Planned(g, Session()).StageOf("a"),
              ElementsAre("a", "b", "draw", "last", "x", "y", "zip"));
  g.Main("log", {"c"});
  g.Pure("late", {"c", "d", "draw"});
  const Planned p(g, Session());
  EXPECT_THAT(p.StageOf("a"), ElementsAre("a", "x"));
  EXPECT_THAT(p.StageOf("b"), ElementsAre("b"));
  EXPECT_EQ(p.Code("late"), ReasonCode::kMeeting);
  EXPECT_EQ(p.Code("draw"), ReasonCode::kDrawOutside);
  EXPECT_EQ(p.Ancestor("draw"), "late");
  EXPECT_EQ(p.Code("zip"), ReasonCode::kMeeting);
}

// Initial values of variables and the like.
TEST(Draws, FarFromAnySourceSayThat) {
  GraphBuilder g;
  g.Draw("draw");
  g.Pure("initial", {"draw"});
  g.Main("assign", {"initial"});
  const Planned p(g, Session());
  EXPECT_EQ(p.Code("draw"), ReasonCode::kNoSource);
  EXPECT_EQ(p.Text("initial"), "'initial' is not staged: it is random and depends on no source");
}

//   next -> n -> draw -> x: how often it runs is known, what it yields depends on the element
TEST(Draws, WithComputedInputsStayInMain) {
  GraphBuilder g;
  g.Source("next");
  g.Pure("n", {"next"});
  g.Draw("draw", {"n"});
  g.Pure("x", {"draw"});
  g.Draw("late", {"^n"});
  g.Main("ph", {}, 1, ReasonCode::kPlaceholder, "is a placeholder");
  g.Draw("fed", {"ph"});
  const Planned p(g, Session());
  EXPECT_THAT(p.StageOf("next"), ElementsAre("n", "next"));
  EXPECT_EQ(p.Text("draw"),
            "'draw' is not staged: it is a random op with the input 'n', which is not constant");
  EXPECT_EQ(p.Text("x"),
            "'x' is not staged: its input 'draw' is a random op with the input 'n', which is not "
            "constant");
  EXPECT_EQ(p.Text("late"),
            "'late' is not staged: it is a random op that waits for 'n', which is not constant");
  EXPECT_EQ(p.Text("fed"), "'fed' is not staged: its input 'ph' is a placeholder");
}

//   [seed] -> state -> x -> [train]
//             next ----^
TEST(Draws, OfPrivateStateTakeItsHandle) {
  GraphBuilder g;
  g.Source("next");
  g.Handle("seed");
  g.Draw("state", {"seed"});
  g.Pure("x", {"next", "state"});
  g.Main("train", {"x"});
  const Planned p(g, Function());
  EXPECT_THAT(p.StageOf("next"), ElementsAre("next", "state", "x"));
  EXPECT_THAT(p.plan.stages[0].args, testing::SizeIs(1));
}

//   next -> x -> check -^-> y -> [train]
TEST(Asserts, AreStagedWhereACrossingTensorWaitsForThem) {
  GraphBuilder g;
  g.Source("next");
  g.Pure("x", {"next"});
  g.Assert("check", {"x"});
  g.Pure("y", {"next", "^check"});
  g.Main("train", {"y"});
  for (const PlanOptions& options : {Session(), Function()}) {
    const Planned p(g, options);
    EXPECT_THAT(p.StageOf("next"), ElementsAre("check", "next", "x", "y"));
    EXPECT_THAT(p.Crossing(), ElementsAre("y:0*"));
  }
}

//   next -> x -> check      nothing waits for it, or only the main graph does
TEST(Asserts, StayInMainOtherwise) {
  GraphBuilder g;
  g.Source("next");
  g.Pure("x", {"next"});
  g.Assert("check", {"x"});
  GraphBuilder awaited = g;
  awaited.Main("train", {"^check"});
  for (const GraphBuilder& builder : {g, awaited}) {
    for (const PlanOptions& options : {Session(), Function()}) {
      const Planned p(builder, options);
      EXPECT_THAT(p.StageOf("next"), ElementsAre("next", "x"));
      EXPECT_THAT(p.Crossing(), ElementsAre("x:0*"));
      EXPECT_EQ(p.Code("check"), ReasonCode::kUnused);
      EXPECT_EQ(p.Text("check"),
                "'check' is not staged: it yields no tensor, and no staged node waits for it");
    }
  }
}

//   next -> check1, check2 -^-> all (no outputs) -^-> y
TEST(Asserts, MayBeAwaitedThroughAGroup) {
  GraphBuilder g;
  g.Source("next");
  g.Assert("check1", {"next"});
  g.Assert("check2", {"next"});
  g.Pure("all", {"^check1", "^check2"}, 0);
  g.Pure("y", {"next", "^all"});
  const Planned p(g, Session());
  EXPECT_THAT(p.StageOf("next"), ElementsAre("all", "check1", "check2", "next", "y"));
  // The same group without `y`.
  GraphBuilder unused;
  unused.Source("next");
  unused.Assert("check1", {"next"});
  unused.Pure("all", {"^check1"}, 0);
  const Planned q(unused, Session());
  EXPECT_THAT(q.StageOf("next"), ElementsAre("next"));
  EXPECT_EQ(q.Code("all"), ReasonCode::kUnused);
}

//   a -> check -^-> zip <- b, and check uses a only: the sources may still merge
TEST(Asserts, DoNotKeepSourcesApartWhenStaged) {
  GraphBuilder g;
  g.Source("a");
  g.Source("b");
  g.Assert("check", {"a"});
  g.Pure("zip", {"a", "b", "^check"});
  EXPECT_THAT(Planned(g, Session()).StageOf("a"), ElementsAre("a", "b", "check", "zip"));
  // Unstaged, it uses an element of `a` alone.
  GraphBuilder apart;
  apart.Source("a");
  apart.Source("b");
  apart.Assert("check", {"a"});
  apart.Pure("zip", {"a", "b"});
  EXPECT_EQ(Planned(apart, Session()).Code("zip"), ReasonCode::kMeeting);
}

// An assert about constants holds or fails alike on both sides.
TEST(Asserts, AboutConstantsAreCopied) {
  GraphBuilder g;
  g.Source("next");
  g.Constant("c");
  g.Assert("check", {"c"});
  g.Pure("y", {"next", "^check"});
  const Planned p(g, Session());
  EXPECT_THAT(p.StageOf("next"), ElementsAre("next", "y"));
  EXPECT_THAT(Names(p.graph, p.plan.stages[0].constants), ElementsAre("c", "check"));
}

TEST(Draws, AGraphWithoutSourcesHasNoStage) {
  GraphBuilder g;
  g.Draw("draw");
  g.Pure("x", {"draw"});
  for (const PlanOptions& options : {Session(), Function()}) {
    EXPECT_THAT(Planned(g, options).plan.stages, IsEmpty());
  }
}

}  // namespace
}  // namespace headrace::plan
