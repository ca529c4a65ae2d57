#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "plan/test_graph.h"

namespace headrace::plan {
namespace {

using Json = nlohmann::json;

//   it -> next -+:0-> hash -+-> gather -> dense -> [train]
//               |           +-> (flat) ----------> [train]
//               +:1-> concat <- c
GraphBuilder Example() {
  GraphBuilder g;
  g.Handle("it").op = "IteratorV2";
  Node& next = g.Source("next", {"it"}, 2);
  next.op = "IteratorGetNext";
  g.Constant("c");
  Node& hash = g.Pure("hash", {"next:0"});
  hash.outputs[0] = {"int64", "[512]", 4096, true};
  g.Pure("concat", {"next:1", "c"}).outputs[0] = {"string", "[?]", -1, true};
  g.Cheap("flat", {"hash"});
  g.Main("var", {}, 1, ReasonCode::kVariableRead, "reads variable 'w', which 'train' writes");
  g.Pure("gather", {"var", "hash"});
  g.Pure("dense", {"gather"});
  g.Main("train", {"dense", "concat", "flat"}, 0, ReasonCode::kVariableWrite,
         "writes variable 'w'");
  return g;
}

TEST(ExplainText, NamesStagesCrossingsAndWhatBlocks) {
  const Planned p(Example());
  EXPECT_EQ(ExplainText(p.graph, p.plan),
            "1 stage, 10 nodes, 3 of them staged (plan " + p.plan.hash +
                ")\n"
                "\n"
                "stage 'next'\n"
                "  reads (1 node):\n"
                "    next  IteratorGetNext\n"
                "  runs ahead (2 nodes):\n"
                "    concat  Op\n"
                "    hash  Op\n"
                "  copies 1 constant: c\n"
                "  takes the handle it:0\n"
                "  computed in the main graph (1 node):\n"
                "    flat  Op\n"
                "  crosses (2 tensors, at least 4096 bytes):\n"
                "    concat:0  string [?]  ? bytes  keeps its name\n"
                "    hash:0  int64 [512]  4096 bytes  keeps its name\n"
                "\n"
                "not staged: 4 nodes, besides 2 constants and handles\n"
                "  variable_write:\n"
                "    'train' is not staged: it writes variable 'w'\n"
                "  variable_read:\n"
                "    'var' is not staged: it reads variable 'w', which 'train' writes\n"
                "      and with it 2 nodes: dense, gather\n");
}

TEST(ExplainText, OfAGraphWithoutStages) {
  GraphBuilder g;
  g.Main("train", {}, 0, ReasonCode::kVariableWrite, "writes variable 'w'");
  const Planned p(g);
  EXPECT_EQ(ExplainText(p.graph, p.plan),
            "0 stages, 1 node, 0 of them staged (plan " + p.plan.hash +
                ")\n"
                "\n"
                "not staged: 1 node, besides 0 constants and handles\n"
                "  variable_write:\n"
                "    'train' is not staged: it writes variable 'w'\n");
}

TEST(ExplainText, SaysThatAnEmptyBodyNeedsNoThreads) {
  GraphBuilder g;
  g.Source("next");
  g.Main("train", {"next"});
  const Planned p(g);
  EXPECT_THAT(ExplainText(p.graph, p.plan),
              testing::HasSubstr("the body is empty: num_threads has no effect"));
}

TEST(ExplainText, ListsTheNodeThatBlocksMostFirst) {
  GraphBuilder g;
  g.Main("v1", {}, 1);
  g.Main("v2", {}, 1);
  g.Pure("a", {"v1"});
  for (int i = 0; i < 7; ++i) g.Pure("b" + std::to_string(i), {"v2"});
  const Planned p(g);
  const std::string text = ExplainText(p.graph, p.plan);
  EXPECT_LT(text.find("'v2'"), text.find("'v1'"));
  EXPECT_THAT(text, testing::HasSubstr("and with it 7 nodes: b0, b1, b2, b3, b4, ...\n"));
}

TEST(ExplainText, CutsLongListsOfWhatIsNotAboutTheStage) {
  GraphBuilder g;
  g.Source("next");
  GraphBuilder::Inputs inputs{"next"};
  for (int i = 0; i < 7; ++i) {
    g.Constant("c" + std::to_string(i));
    inputs.push_back("c" + std::to_string(i));
  }
  g.Pure("x", inputs);
  for (int i = 0; i < 10; ++i) {
    g.Main("v" + std::to_string(i), {}, 1, ReasonCode::kVariableRead, "reads a variable");
    g.Pure("y" + std::to_string(i), {"v" + std::to_string(i)});
  }
  const Planned p(g);
  const std::string text = ExplainText(p.graph, p.plan);
  EXPECT_THAT(text, testing::HasSubstr("  copies 7 constants: c0, c1, c2, c3, c4, ...\n"));
  EXPECT_THAT(text, testing::HasSubstr("'v7' is not staged: it reads a variable\n"));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("'v8' is not staged")));
  EXPECT_THAT(text, testing::HasSubstr(
                        "    and 2 more for this reason, with 2 nodes that depend on them\n"));
}

TEST(Explain, SaysWhichAcceleratorsTakeWhatCrosses) {
  GraphBuilder g;
  g.Handle("it");
  g.Source("next", {"it"}, 2).accelerator = "/device:GPU:1";  // staged: of no interest
  g.Pure("hash", {"next"});
  g.Main("matmul", {"hash", "next:1"}).accelerator = "/device:GPU:0";
  g.Main("metric", {"hash"});
  const Planned p(g, Session());
  const Json outputs = Json::parse(ExplainJson(p.graph, p.plan))["stages"][0]["outputs"];
  ASSERT_EQ(outputs.size(), 2u);
  for (const Json& output : outputs) EXPECT_EQ(output["copied_to"], Json({"/device:GPU:0"}));
  EXPECT_THAT(ExplainText(p.graph, p.plan), testing::HasSubstr("  copied to /device:GPU:0\n"));
}

TEST(ExplainJson, HasThePlanByName) {
  const Planned p(Example());
  const Json json = Json::parse(ExplainJson(p.graph, p.plan));
  EXPECT_EQ(json["version"], 1);
  EXPECT_EQ(json["hash"], p.plan.hash);
  ASSERT_EQ(json["stages"].size(), 1u);
  const Json expected = {{"name", "next"},
                         {"mark", nullptr},
                         {"device", ""},
                         {"sources", {"next"}},
                         {"draws", Json::array()},
                         {"body", {"concat", "hash"}},
                         {"constants", {"c"}},
                         {"args", {{{"node", "it"}, {"output", 0}}}},
                         {"outputs",
                          {{{"node", "concat"},
                            {"output", 0},
                            {"dtype", "string"},
                            {"shape", "[?]"},
                            {"bytes", nullptr},
                            {"keeps_name", true}},
                           {{"node", "hash"},
                            {"output", 0},
                            {"dtype", "int64"},
                            {"shape", "[512]"},
                            {"bytes", 4096},
                            {"keeps_name", true}}}},
                         {"recomputed", {"flat"}},
                         {"removed", {"next", "concat", "hash"}}};
  EXPECT_EQ(json["stages"][0], expected) << json["stages"][0].dump(2);
  ASSERT_EQ(json["nodes"].size(), 10u);
  std::map<std::string, Json> nodes;
  for (const Json& node : json["nodes"]) nodes[node["name"]] = node;
  const Json gather = {
      {"name", "gather"},
      {"op", "Op"},
      {"stage", nullptr},
      {"reason", "blocked_input"},
      {"ancestor", "var"},
      {"text", "'gather' is not staged: its input 'var' reads variable 'w', which 'train' writes"}};
  EXPECT_EQ(nodes["gather"], gather);
  EXPECT_EQ(nodes["next"]["stage"], "next");
  EXPECT_EQ(nodes["next"]["reason"], "staged");
  EXPECT_EQ(nodes["next"]["ancestor"], nullptr);
  EXPECT_EQ(nodes["flat"]["reason"], "cheap_to_recompute");
}

// Names come from the user's graph; the JSON must be valid whatever they hold.
TEST(ExplainJson, IsValidForNamesThatAreNotUtf8) {
  GraphBuilder g;
  g.Source("next\xff\"");
  const Planned p(g);
  const Json json = Json::parse(ExplainJson(p.graph, p.plan));
  EXPECT_EQ(json["nodes"].size(), 1u);
}

}  // namespace
}  // namespace headrace::plan
