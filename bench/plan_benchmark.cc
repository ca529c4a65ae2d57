// How long planning takes for graphs of 100,000 nodes (goal: less than 1 s each) and how it grows.
//
//   cmake -S . -B build/bench -DHEADRACE_BUILD_BENCHMARKS=ON && cmake --build build/bench
//   build/bench/src/plan/plan_benchmark
#include <benchmark/benchmark.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>

#include "plan/plan.h"

namespace headrace::plan {
namespace {

class Builder {
 public:
  explicit Builder(int nodes) : nodes_(nodes) { graph_.nodes.reserve(nodes); }

  bool Full() const { return Size() >= nodes_; }
  int Size() const { return static_cast<int>(graph_.nodes.size()); }

  // Names as TensorFlow gives them, in scopes, so that comparing them costs what it costs there.
  int Add(Trait trait, const std::vector<int>& inputs, int outputs = 1) {
    Node node;
    node.name = "input_layer/columns/column_" + std::to_string(Size() / 10) + "/op_" +
                std::to_string(Size() * 7919 % 10007) + "_" + std::to_string(Size());
    node.op = "Op";
    node.trait = trait;
    for (int in : inputs) node.inputs.push_back({in, 0});
    if (trait == Trait::kSource) node.resource = node.name;
    if (trait == Trait::kBarrier) node.barrier_text = "writes variable 'w'";
    node.outputs.resize(outputs);
    graph_.nodes.push_back(std::move(node));
    return Size() - 1;
  }
  int Cheap(const std::vector<int>& inputs, double cost) {
    const int n = Add(Trait::kPure, inputs);
    graph_.nodes[n].cheap = true;
    graph_.nodes[n].cost = cost;
    return n;
  }
  Graph Take() { return std::move(graph_); }

 private:
  const int nodes_;
  Graph graph_;
};

// One source, many short columns: parse, hash, shape, reshape, gather, train.
Graph Wide(int nodes) {
  Builder b(nodes);
  const int next = b.Add(Trait::kSource, {});
  while (!b.Full()) {
    const int constant = b.Add(Trait::kConstant, {});
    const int hash = b.Add(Trait::kPure, {b.Add(Trait::kPure, {next, constant})});
    const int shape = b.Cheap({hash}, 1.0);
    const int flat = b.Cheap({hash, shape}, 1.0);
    const int variable = b.Add(Trait::kBarrier, {});
    const int gather = b.Add(Trait::kPure, {variable, flat});
    b.Add(Trait::kBarrier, {b.Add(Trait::kPure, {gather, shape})}, 0);
  }
  return b.Take();
}

// One chain.
Graph Deep(int nodes) {
  Builder b(nodes);
  int last = b.Add(Trait::kSource, {});
  while (b.Size() < nodes - 1)
    last = b.Size() % 3 == 0 ? b.Cheap({last}, 1.0) : b.Add(Trait::kPure, {last});
  b.Add(Trait::kBarrier, {last}, 0);
  return b.Take();
}

// Layers of 1,000 nodes with inputs in the two layers above; `cheap` of them cheap; every tenth is
// used by the main graph too.
Graph Layered(int nodes, double cheap, double cost) {
  Builder b(nodes);
  std::mt19937_64 random(1);
  constexpr int kWidth = 1000;
  b.Add(Trait::kSource, {});
  const int first = b.Size();
  while (b.Size() < first + kWidth) b.Add(Trait::kPure, {0});
  while (!b.Full()) {
    const auto pick = [&] {
      return b.Size() - 1 - static_cast<int>(random() % std::min(2 * kWidth, b.Size() - first));
    };
    if (random() % 10 == 0) {
      b.Add(Trait::kBarrier, {pick()}, 0);
    } else if (static_cast<double>(random() % 1000) < 1000 * cheap) {
      int x = pick(), y = pick();
      if (b.Size() > 2 * kWidth)
        b.Cheap({x, y}, cost);
      else
        b.Add(Trait::kPure, {x, y});
    } else {
      b.Add(Trait::kPure, {0, 0});
    }
  }
  return b.Take();
}

// Many sources with a short chain each; `meet`: the chains meet two by two until one is left.
Graph Sources(int nodes, int sources, bool meet) {
  Builder b(nodes);
  std::vector<int> ends;
  const int length = (nodes - 2 * sources) / sources;
  for (int s = 0; s < sources; ++s) {
    int last = b.Add(Trait::kSource, {});
    for (int i = 1; i < length; ++i) last = b.Add(Trait::kPure, {last});
    ends.push_back(last);
  }
  if (meet) {
    for (std::size_t i = 0; i + 1 < ends.size(); i += 2) {
      ends.push_back(b.Add(Trait::kPure, {ends[i], ends[i + 1]}));
    }
  }
  while (!b.Full()) b.Add(Trait::kBarrier, {ends.back()}, 0);
  return b.Take();
}

// A chain of zips; `used`: after every step, so that no two sources may share a stage.
Graph Zips(int nodes, int sources, bool used) {
  Builder b(nodes);
  int zip = b.Add(Trait::kSource, {});
  for (int s = 1; s < sources; ++s) {
    zip = b.Add(Trait::kPure, {zip, b.Add(Trait::kSource, {})});
    if (used) b.Add(Trait::kBarrier, {zip}, 0);
  }
  while (!b.Full()) zip = b.Add(Trait::kPure, {zip});
  return b.Take();
}

// Random ops that tie parts together: each is used by two neighbours, the last one by the main
// graph.
Graph Draws(int nodes) {
  Builder b(nodes);
  const int next = b.Add(Trait::kSource, {});
  int draw = b.Add(Trait::kDraw, {});
  b.Add(Trait::kBarrier, {draw}, 0);
  while (!b.Full()) {
    const int other = b.Add(Trait::kDraw, {});
    b.Add(Trait::kPure, {next, draw, other});
    draw = other;
  }
  return b.Take();
}

void Plan(benchmark::State& state, const Graph& graph, bool session = true) {
  PlanOptions options;
  options.fetches_unknown = session;
  std::size_t staged = 0, crossing = 0, stages = 0;
  for (auto _ : state) {
    const StagePlan plan = MakePlan(graph, options);
    benchmark::DoNotOptimize(plan.hash.data());
    staged = crossing = 0;
    stages = plan.stages.size();
    for (const Stage& stage : plan.stages) {
      staged += stage.removed.size();
      crossing += stage.outputs.size();
    }
  }
  state.counters["stages"] = static_cast<double>(stages);
  state.counters["staged"] = static_cast<double>(staged);
  state.counters["crossing"] = static_cast<double>(crossing);
  state.SetComplexityN(state.range(0));
}

int Nodes(const benchmark::State& state) {
  return static_cast<int>(state.range(0));
}

void BM_Wide(benchmark::State& state) {
  Plan(state, Wide(Nodes(state)));
}
void BM_WideFunction(benchmark::State& state) {
  Plan(state, Wide(Nodes(state)), false);
}
void BM_Deep(benchmark::State& state) {
  Plan(state, Deep(Nodes(state)));
}
void BM_Layered(benchmark::State& state) {
  Plan(state, Layered(Nodes(state), 0.3, 1.0));
}
void BM_AllCheap(benchmark::State& state) {
  Plan(state, Layered(Nodes(state), 1.0, 0.5));
}
void BM_AllFree(benchmark::State& state) {
  Plan(state, Layered(Nodes(state), 1.0, 0.0));
}
void BM_Sources(benchmark::State& state) {
  Plan(state, Sources(Nodes(state), Nodes(state) / 20, false));
}
void BM_SourcesMerge(benchmark::State& state) {
  Plan(state, Sources(Nodes(state), Nodes(state) / 100, true));
}
void BM_SourcesMeetFunction(benchmark::State& state) {
  Plan(state, Sources(Nodes(state), Nodes(state) / 100, true), false);
}
void BM_ZipsApart(benchmark::State& state) {
  Plan(state, Zips(Nodes(state), Nodes(state) / 100, true));
}
void BM_ZipsMerge(benchmark::State& state) {
  Plan(state, Zips(Nodes(state), Nodes(state) / 20, false));
}
void BM_Draws(benchmark::State& state) {
  Plan(state, Draws(Nodes(state)));
}

void BM_Check(benchmark::State& state) {
  const Graph graph = Layered(Nodes(state), 0.3, 1.0);
  const PlanOptions options;
  const StagePlan plan = MakePlan(graph, options);
  for (auto _ : state) benchmark::DoNotOptimize(CheckPlan(graph, options, plan).size());
  state.SetComplexityN(state.range(0));
}

void BM_ExplainJson(benchmark::State& state) {
  const Graph graph = Layered(Nodes(state), 0.3, 1.0);
  const StagePlan plan = MakePlan(graph, {});
  for (auto _ : state) benchmark::DoNotOptimize(ExplainJson(graph, plan).size());
  state.SetComplexityN(state.range(0));
}

void Sizes(benchmark::internal::Benchmark* benchmark) {
  benchmark->Arg(25000)->Arg(50000)->Arg(100000)->Unit(benchmark::kMillisecond)->Complexity();
}

BENCHMARK(BM_Wide)->Apply(Sizes);
BENCHMARK(BM_WideFunction)->Apply(Sizes);
BENCHMARK(BM_Deep)->Apply(Sizes);
BENCHMARK(BM_Layered)->Apply(Sizes);
BENCHMARK(BM_AllCheap)->Apply(Sizes);
BENCHMARK(BM_AllFree)->Apply(Sizes);
BENCHMARK(BM_Sources)->Apply(Sizes);
BENCHMARK(BM_SourcesMerge)->Apply(Sizes);
BENCHMARK(BM_SourcesMeetFunction)->Apply(Sizes);
BENCHMARK(BM_ZipsApart)->Apply(Sizes);
BENCHMARK(BM_ZipsMerge)->Apply(Sizes);
BENCHMARK(BM_Draws)->Apply(Sizes);
BENCHMARK(BM_Check)->Apply(Sizes);
BENCHMARK(BM_ExplainJson)->Apply(Sizes);

}  // namespace
}  // namespace headrace::plan
