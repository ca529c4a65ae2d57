#include "plan/random_graph.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <string>

namespace headrace::plan {
namespace {

class Generator {
 public:
  Generator(Random& random, const RandomGraphOptions& options)
      : random_(random), options_(options) {}

  Graph Run() {
    const int n = Uniform(options_.min_nodes, options_.max_nodes);
    std::vector<int> names(n);
    std::iota(names.begin(), names.end(), 0);
    std::shuffle(names.begin(), names.end(), random_);
    sources_left_ = Uniform(1, options_.max_sources);
    // Most graphs have no flag, so that each flag is met alone as well.
    flags_ = options_.flags && Chance(0.5);
    for (int i = 0; i < n; ++i) {
      Node node = MakeNode();
      node.name = "n" + std::to_string(names[i]);
      graph_.nodes.push_back(node);
      AddInputs(i);
      if (flags_) AddFlags(graph_.nodes.back());
      if (Chance(options_.device)) graph_.nodes.back().device = Chance(0.5) ? "cpu" : "gpu";
    }
    AddLoops();
    return std::move(graph_);
  }

 private:
  int Uniform(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  bool Chance(double p) { return std::uniform_real_distribution<double>(0, 1)(random_) < p; }

  Node MakeNode() {
    Node node;
    node.op = "Op";
    node.trait = RandomTrait();
    int outputs = Chance(0.2) ? 2 : 1;
    if (node.trait == Trait::kAssert || node.trait == Trait::kQueueWrite) outputs = 0;
    if (node.trait == Trait::kPure && Chance(0.08)) outputs = 0;
    if (node.trait == Trait::kBarrier && Chance(0.5)) outputs = 0;
    node.outputs.resize(outputs);
    if (node.trait == Trait::kPure && outputs > 0 && Chance(options_.cheap)) {
      node.cheap = true;
      node.cost = 0.25 * Uniform(0, 12);
    }
    for (OutputInfo& output : node.outputs) {
      if (Chance(0.5)) output.bytes = std::int64_t{256} * Uniform(0, 16);
    }
    if (node.trait == Trait::kBarrier) {
      const int last = static_cast<int>(ReasonCode::kDevice);
      node.barrier_code = static_cast<ReasonCode>(Uniform(0, last));
      if (Chance(0.8)) node.barrier_text = "has an effect";
    }
    return node;
  }

  Trait RandomTrait() {
    if (graph_.nodes.empty() || (sources_left_ > 0 && Chance(0.25))) {
      --sources_left_;
      return Trait::kSource;
    }
    const int dice = Uniform(0, 99);
    if (options_.calm && dice >= 8 && dice < 96) return Trait::kPure;
    if (options_.calm && dice < 4) return Trait::kDraw;
    if (options_.calm && dice < 8) return Trait::kAssert;
    if (dice < 58) return Trait::kPure;
    if (dice < 64) return Trait::kConstant;
    if (dice < 70) return Trait::kHandle;
    if (dice < 78) return Trait::kDraw;
    if (dice < 85) return Trait::kAssert;
    if (dice < 88) return Trait::kQueueWrite;
    return Trait::kBarrier;
  }

  // An earlier node, recent ones more often.
  int Earlier(int i) {
    if (Chance(options_.funnel)) {
      std::vector<char> used(i, 0);
      for (const Node& node : graph_.nodes) {
        for (const Endpoint& in : node.inputs) used[in.node] = 1;
      }
      for (int j = 0; j < i; ++j) {
        if (!used[j] && !graph_.nodes[j].outputs.empty()) return j;
      }
    }
    const int near = std::max(0, i - 4);
    return Chance(0.6) ? Uniform(near, i - 1) : Uniform(0, i - 1);
  }

  void AddInputs(int i) {
    Node& node = graph_.nodes[i];
    if (i == 0) return;
    int data = 0, control = Chance(0.12) ? 1 : 0;
    switch (node.trait) {
      case Trait::kPure:
      case Trait::kAssert:
      case Trait::kBarrier:
        data = Uniform(node.trait == Trait::kAssert || options_.calm ? 1 : 0, 3);
        control = Chance(0.2) ? Uniform(1, 2) : 0;
        if (node.outputs.empty() && node.trait == Trait::kPure) data = 0, control = Uniform(1, 3);
        break;
      case Trait::kQueueWrite: data = Uniform(1, 2); break;
      case Trait::kSource:
      case Trait::kDraw:
      case Trait::kHandle: data = Chance(0.3) ? 1 : 0; break;
      case Trait::kConstant: break;
    }
    for (int k = 0; k < data; ++k) AddData(node, i);
    for (int k = 0; k < control; ++k) AddControl(node, Earlier(i));
  }

  void AddData(Node& node, int i) {
    int from = Earlier(i);
    // Sources, random ops and handles mostly take constants and handles.
    const bool picky =
        node.trait == Trait::kSource || node.trait == Trait::kDraw || node.trait == Trait::kHandle;
    if (picky && Chance(0.8)) {
      for (int j = 0; j < i; ++j) {
        const Trait trait = graph_.nodes[j].trait;
        const bool fits =
            trait == Trait::kConstant || (trait == Trait::kHandle && node.trait != Trait::kHandle);
        if (fits) from = j;
      }
    }
    const int outputs = static_cast<int>(graph_.nodes[from].outputs.size());
    if (outputs > 0) node.inputs.push_back({from, Uniform(0, outputs - 1)});
  }

  void AddControl(Node& node, int from) {
    std::vector<int>& controls = node.control_inputs;
    if (std::count(controls.begin(), controls.end(), from) == 0) controls.push_back(from);
  }

  void AddFlags(Node& node) {
    node.target = Chance(0.04);
    node.excluded = Chance(0.04);
    node.keep = Chance(0.06);
    if (node.trait == Trait::kPure && !node.outputs.empty() && Chance(0.12)) {
      node.mark = Uniform(0, 1);
    }
    for (OutputInfo& output : node.outputs) output.can_cross = !Chance(0.05);
    if (node.trait == Trait::kSource && Chance(0.15)) node.resource = "shared";
  }

  void AddLoops() {
    const int n = static_cast<int>(graph_.nodes.size());
    for (int i = 0; i + 1 < n; ++i) {
      Node& node = graph_.nodes[i];
      if (node.trait != Trait::kBarrier || !Chance(0.1)) continue;
      const int from = Uniform(i + 1, n - 1);
      const int outputs = static_cast<int>(graph_.nodes[from].outputs.size());
      if (outputs > 0) {
        node.inputs.push_back({from, Uniform(0, outputs - 1)});
      } else {
        AddControl(node, from);
      }
    }
  }

  Random& random_;
  const RandomGraphOptions& options_;
  Graph graph_;
  int sources_left_ = 0;
  bool flags_ = false;
};

}  // namespace

std::uint64_t TestSeed() {
  const char* seed = std::getenv("HEADRACE_TEST_SEED");  // NOLINT(concurrency-mt-unsafe)
  return seed != nullptr ? std::strtoull(seed, nullptr, 10) : 20240607;
}

Graph RandomGraph(Random& random, const RandomGraphOptions& options) {
  return Generator(random, options).Run();
}

PlanOptions RandomPlanOptions(Random& random, const Graph& graph) {
  bool marks = false;
  for (const Node& node : graph.nodes) marks |= node.mark >= 0;
  PlanOptions options;
  options.fetches_unknown = random() % 2 == 0;
  options.grow = !marks || random() % 2 == 0;
  return options;
}

Graph Shuffled(const Graph& graph, Random& random) {
  std::vector<int> position(graph.nodes.size());
  std::iota(position.begin(), position.end(), 0);
  std::shuffle(position.begin(), position.end(), random);
  Graph shuffled;
  shuffled.nodes.resize(graph.nodes.size());
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    Node node = graph.nodes[i];
    for (Endpoint& in : node.inputs) in.node = position[in.node];
    for (int& in : node.control_inputs) in = position[in];
    std::shuffle(node.control_inputs.begin(), node.control_inputs.end(), random);
    shuffled.nodes[position[i]] = node;
  }
  return shuffled;
}

}  // namespace headrace::plan
