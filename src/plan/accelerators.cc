#include "plan/accelerators.h"

namespace headrace::plan {
namespace {

// What is in host memory on every device.
bool StaysOnHost(const OutputInfo& info) {
  return info.dtype == "string" || info.dtype == "resource" || info.dtype == "variant";
}

}  // namespace

Accelerators::Accelerators(const Graph& graph, const StagePlan& plan) {
  std::vector<bool> removed(graph.nodes.size(), false);
  for (const Stage& stage : plan.stages) {
    for (const int node : stage.removed) removed[node] = true;
  }
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (node.accelerator.empty() || removed[n]) continue;
    for (const Endpoint& input : node.inputs) {
      const std::vector<OutputInfo>& outputs = graph.nodes[input.node].outputs;
      if (StaysOnHost(outputs[input.output])) continue;
      devices_[{input.node, input.output}].insert(node.accelerator);
    }
  }
}

std::vector<std::string> Accelerators::Taking(const Endpoint& from) const {
  const auto found = devices_.find({from.node, from.output});
  if (found == devices_.end()) return {};
  return {found->second.begin(), found->second.end()};
}

}  // namespace headrace::plan
