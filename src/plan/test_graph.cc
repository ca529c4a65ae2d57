#include "plan/test_graph.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace headrace::plan {

Node& GraphBuilder::Add(const std::string& name, Trait trait, const Inputs& inputs, int outputs) {
  Node node;
  node.name = name;
  node.op = "Op";
  node.trait = trait;
  node.outputs.resize(outputs);
  for (OutputInfo& output : node.outputs) output.dtype = "float32";
  nodes_.push_back(node);
  inputs_.push_back(inputs);
  return nodes_.back();
}

Node& GraphBuilder::Source(const std::string& name, const Inputs& inputs, int outputs) {
  Node& node = Add(name, Trait::kSource, inputs, outputs);
  node.resource = inputs.empty() ? name : inputs.front();
  return node;
}

Node& GraphBuilder::Cheap(const std::string& name, const Inputs& inputs, double cost) {
  Node& node = Add(name, Trait::kPure, inputs, 1);
  node.cheap = true;
  node.cost = cost;
  return node;
}

Node& GraphBuilder::Main(const std::string& name, const Inputs& inputs, int outputs,
                         ReasonCode code, const std::string& text) {
  Node& node = Add(name, Trait::kBarrier, inputs, outputs);
  node.barrier_code = code;
  node.barrier_text = text;
  return node;
}

Graph GraphBuilder::Build() const {
  Graph graph{nodes_};
  std::map<std::string, int> by_name;
  for (std::size_t i = 0; i < nodes_.size(); ++i) by_name[nodes_[i].name] = static_cast<int>(i);
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    for (const std::string& input : inputs_[i]) {
      const bool control = input.front() == '^';
      const std::size_t colon = input.find(':');
      const std::string name = input.substr(control, colon - control);
      if (by_name.count(name) == 0) ADD_FAILURE() << "no node " << name;
      if (control) {
        graph.nodes[i].control_inputs.push_back(by_name[name]);
      } else {
        const int output = colon == std::string::npos ? 0 : std::stoi(input.substr(colon + 1));
        graph.nodes[i].inputs.push_back({by_name[name], output});
      }
    }
  }
  return graph;
}

int Find(const Graph& graph, const std::string& name) {
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (graph.nodes[i].name == name) return static_cast<int>(i);
  }
  ADD_FAILURE() << "no node " << name;
  return 0;
}

std::vector<std::string> Names(const Graph& graph, const std::vector<int>& nodes) {
  std::vector<std::string> names;
  names.reserve(nodes.size());
  for (int n : nodes) names.push_back(graph.nodes[n].name);
  return names;
}

std::string Describe(const Graph& graph, const StagePlan& plan) {
  std::ostringstream out;
  const auto list = [&](const char* what, const std::vector<int>& nodes) {
    out << "  " << what << ":";
    for (const std::string& name : Names(graph, nodes)) out << " " << name;
    out << "\n";
  };
  out << plan.hash << "\n";
  for (const Stage& stage : plan.stages) {
    out << stage.name << " mark " << stage.mark << " device '" << stage.device << "'\n";
    list("sources", stage.sources);
    list("draws", stage.draws);
    list("body", stage.body);
    list("constants", stage.constants);
    list("recomputed", stage.recomputed);
    list("removed", stage.removed);
    for (const Endpoint& arg : stage.args) {
      out << "  arg " << graph.nodes[arg.node].name << ":" << arg.output << "\n";
    }
    for (const Crossing& crossing : stage.outputs) {
      out << "  output " << graph.nodes[crossing.from.node].name << ":" << crossing.from.output
          << (crossing.keeps_name ? "*" : "") << "\n";
    }
  }
  std::map<std::string, std::string> reasons;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Reason& reason = plan.reasons[n];
    reasons[graph.nodes[n].name] =
        std::string(ReasonCodeName(reason.code)) + " " +
        (reason.ancestor >= 0 ? graph.nodes[reason.ancestor].name : "-") + " " + reason.text;
  }
  for (const auto& [name, reason] : reasons) out << name << ": " << reason << "\n";
  return out.str();
}

Planned::Planned(const GraphBuilder& builder, const PlanOptions& o)
    : graph(builder.Build()), options(o), plan(MakePlan(graph, options)) {
  for (const std::string& broken : CheckPlan(graph, options, plan)) ADD_FAILURE() << broken;
}

bool Planned::Staged(const std::string& name) const {
  const int n = Find(graph, name);
  for (const Stage& stage : plan.stages) {
    for (const std::vector<int>* list : {&stage.sources, &stage.draws, &stage.body}) {
      if (std::count(list->begin(), list->end(), n) != 0) return true;
    }
  }
  return false;
}

std::string Planned::Ancestor(const std::string& name) const {
  const int ancestor = Reason_(name).ancestor;
  return ancestor < 0 ? "" : graph.nodes[ancestor].name;
}

std::vector<std::string> Planned::Crossing() const {
  std::vector<std::string> crossing;
  for (const Stage& stage : plan.stages) {
    for (const headrace::plan::Crossing& c : stage.outputs) {
      crossing.push_back(graph.nodes[c.from.node].name + ":" + std::to_string(c.from.output) +
                         (c.keeps_name ? "*" : ""));
    }
  }
  return crossing;
}

std::vector<std::string> Planned::StageOf(const std::string& source) const {
  const int n = Find(graph, source);
  for (const Stage& stage : plan.stages) {
    if (std::count(stage.sources.begin(), stage.sources.end(), n) == 0) continue;
    std::vector<int> nodes = stage.sources;
    nodes.insert(nodes.end(), stage.draws.begin(), stage.draws.end());
    nodes.insert(nodes.end(), stage.body.begin(), stage.body.end());
    std::vector<std::string> names = Names(graph, nodes);
    std::sort(names.begin(), names.end());
    return names;
  }
  return {};
}

PlanOptions Session() {
  PlanOptions options;
  options.cut = Cut::kLargest;
  return options;
}

PlanOptions Function() {
  PlanOptions options = Session();
  options.fetches_unknown = false;
  return options;
}

}  // namespace headrace::plan
