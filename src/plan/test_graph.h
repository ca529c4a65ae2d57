// Small graphs for tests, written in topological order:
//
//   GraphBuilder g;
//   g.Handle("it");
//   g.Source("next", {"it"}, 2);           // two outputs
//   g.Pure("hash", {"next:1", "c", "^x"}); // output 1 of next, output 0 of c, after x
//   g.Main("matmul", {"hash"});
//
// Inputs may name nodes that are added later (loops).
#ifndef HEADRACE_PLAN_TEST_GRAPH_H_
#define HEADRACE_PLAN_TEST_GRAPH_H_

#include <map>
#include <string>
#include <vector>

#include "plan/plan.h"

namespace headrace::plan {

class GraphBuilder {
 public:
  using Inputs = std::vector<std::string>;

  Node& Add(const std::string& name, Trait trait, const Inputs& inputs = {}, int outputs = 1);
  Node& Constant(const std::string& name, const Inputs& inputs = {}) {
    return Add(name, Trait::kConstant, inputs);
  }
  Node& Handle(const std::string& name, const Inputs& inputs = {}) {
    return Add(name, Trait::kHandle, inputs);
  }
  // Its resource is the first input's name, or its own.
  Node& Source(const std::string& name, const Inputs& inputs = {}, int outputs = 1);
  Node& Draw(const std::string& name, const Inputs& inputs = {}) {
    return Add(name, Trait::kDraw, inputs);
  }
  Node& Pure(const std::string& name, const Inputs& inputs = {}, int outputs = 1) {
    return Add(name, Trait::kPure, inputs, outputs);
  }
  Node& Cheap(const std::string& name, const Inputs& inputs = {}, double cost = 1.0);
  Node& Assert(const std::string& name, const Inputs& inputs) {
    return Add(name, Trait::kAssert, inputs, 0);
  }
  Node& Enqueue(const std::string& name, const Inputs& inputs) {
    return Add(name, Trait::kQueueWrite, inputs, 0);
  }
  // A barrier: something that stays in the main graph whatever feeds it.
  Node& Main(const std::string& name, const Inputs& inputs = {}, int outputs = 0,
             ReasonCode code = ReasonCode::kStateful, const std::string& text = "has an effect");

  // Resolves the inputs.
  Graph Build() const;

 private:
  std::vector<Node> nodes_;
  std::vector<Inputs> inputs_;
};

int Find(const Graph& graph, const std::string& name);
std::vector<std::string> Names(const Graph& graph, const std::vector<int>& nodes);

// The plan in words that do not depend on node indices; equal plans give equal text.
std::string Describe(const Graph& graph, const StagePlan& plan);

// A plan with its graph, for asking by name.
struct Planned {
  Planned(const GraphBuilder& builder, const PlanOptions& options = {});

  bool Staged(const std::string& name) const;  // read, drawn or in the body of a stage
  ReasonCode Code(const std::string& name) const { return Reason_(name).code; }
  std::string Ancestor(const std::string& name) const;
  const std::string& Text(const std::string& name) const { return Reason_(name).text; }
  // The crossing tensors of all stages, "name:output", with a '*' where the name is kept.
  std::vector<std::string> Crossing() const;
  // The staged nodes of the stage that has `source`, by name.
  std::vector<std::string> StageOf(const std::string& source) const;

  Graph graph;
  PlanOptions options;
  StagePlan plan;

 private:
  const Reason& Reason_(const std::string& name) const { return plan.reasons[Find(graph, name)]; }
};

// Options for tests: kLargest unless a test is about the cost-based cut.
PlanOptions Session();
PlanOptions Function();

}  // namespace headrace::plan

#endif  // HEADRACE_PLAN_TEST_GRAPH_H_
