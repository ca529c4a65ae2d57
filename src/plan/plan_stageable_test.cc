// What may be staged at all, judged by a node and its inputs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/test_graph.h"

namespace headrace::plan {
namespace {

using testing::ElementsAre;

//   it -> next -+:0-> hash -> gather -> train
//               |              ^
//               +:1-> concat   var (variable read)
//                      ^
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
  EXPECT_THAT(Names(p.graph, p.plan.stages[0].constants), ElementsAre("c"));
  ASSERT_EQ(p.plan.stages[0].args.size(), 1u);
  EXPECT_EQ(p.graph.nodes[p.plan.stages[0].args[0].node].name, "it");
  EXPECT_EQ(p.Code("gather"), ReasonCode::kBlockedInput);
  EXPECT_EQ(p.Ancestor("gather"), "var");
  EXPECT_EQ(p.Text("gather"),
            "'gather' is not staged: its input 'var' reads variable 'w', which 'train' writes");
  EXPECT_EQ(p.Text("train"), "'train' is not staged: it writes variable 'w'");
}

}  // namespace
}  // namespace headrace::plan
