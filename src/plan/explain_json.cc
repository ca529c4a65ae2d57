// {
//   "version": 1,
//   "hash": "16 hex digits",
//   "stages": [{
//     "name": str, "mark": int or null, "device": str,
//     "sources": [name], "draws": [name], "body": [name], "constants": [name],
//     "args": [{"node": name, "output": int}],
//     "outputs": [{"node": name, "output": int, "dtype": str, "shape": str, "bytes": int or null,
//                  "keeps_name": bool, "copied_to": [device], only where nodes ask for one}],
//     "recomputed": [name], "removed": [name]
//   }],
//   "nodes": [{"name": str, "op": str, "stage": name or null, "reason": ReasonCodeName,
//              "ancestor": name or null, "text": str}]
// }
// "stage" is where the node runs ahead (sources, draws, body), also for nodes that the main graph
// computes again. "nodes" has every node of the graph, by name.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "plan/accelerators.h"
#include "plan/plan.h"

namespace headrace::plan {
namespace {

using Json = nlohmann::ordered_json;

Json Names(const Graph& graph, const std::vector<int>& nodes) {
  Json names = Json::array();
  for (int n : nodes) names.push_back(graph.nodes[n].name);
  return names;
}

Json StageJson(const Graph& graph, const Accelerators& accelerators, const Stage& stage) {
  Json args = Json::array();
  for (const Endpoint& arg : stage.args) {
    args.push_back({{"node", graph.nodes[arg.node].name}, {"output", arg.output}});
  }
  Json outputs = Json::array();
  for (const Crossing& crossing : stage.outputs) {
    const Node& node = graph.nodes[crossing.from.node];
    const OutputInfo& info = node.outputs[crossing.from.output];
    outputs.push_back({{"node", node.name},
                       {"output", crossing.from.output},
                       {"dtype", info.dtype},
                       {"shape", info.shape},
                       {"bytes", info.bytes >= 0 ? Json(info.bytes) : Json(nullptr)},
                       {"keeps_name", crossing.keeps_name}});
    const std::vector<std::string> copied = accelerators.Taking(crossing.from);
    if (!copied.empty()) outputs.back()["copied_to"] = copied;
  }
  return {{"name", stage.name},
          {"mark", stage.mark >= 0 ? Json(stage.mark) : Json(nullptr)},
          {"device", stage.device},
          {"sources", Names(graph, stage.sources)},
          {"draws", Names(graph, stage.draws)},
          {"body", Names(graph, stage.body)},
          {"constants", Names(graph, stage.constants)},
          {"args", args},
          {"outputs", outputs},
          {"recomputed", Names(graph, stage.recomputed)},
          {"removed", Names(graph, stage.removed)}};
}

}  // namespace

std::string ExplainJson(const Graph& graph, const StagePlan& plan) {
  Json stages = Json::array();
  const Accelerators accelerators(graph, plan);
  std::vector<const Stage*> stage_of(graph.nodes.size(), nullptr);
  for (const Stage& stage : plan.stages) {
    stages.push_back(StageJson(graph, accelerators, stage));
    for (const std::vector<int>* list : {&stage.sources, &stage.draws, &stage.body}) {
      for (int n : *list) stage_of[n] = &stage;
    }
  }
  std::vector<int> by_name(graph.nodes.size());
  std::iota(by_name.begin(), by_name.end(), 0);
  std::sort(by_name.begin(), by_name.end(),
            [&](int a, int b) { return graph.nodes[a].name < graph.nodes[b].name; });
  Json nodes = Json::array();
  for (int n : by_name) {
    const Reason& reason = plan.reasons[n];
    nodes.push_back({{"name", graph.nodes[n].name},
                     {"op", graph.nodes[n].op},
                     {"stage", stage_of[n] != nullptr ? Json(stage_of[n]->name) : Json(nullptr)},
                     {"reason", ReasonCodeName(reason.code)},
                     {"ancestor", reason.ancestor >= 0 ? Json(graph.nodes[reason.ancestor].name)
                                                       : Json(nullptr)},
                     {"text", reason.text}});
  }
  const Json json = {{"version", 1}, {"hash", plan.hash}, {"stages", stages}, {"nodes", nodes}};
  // Names come from the user's graph and need not be UTF-8.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace headrace::plan
