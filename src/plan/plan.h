// The planner's answer: which nodes run ahead, what crosses from them to the training step, and
// for every other node the reason why it does not.
#ifndef HEADRACE_PLAN_PLAN_H_
#define HEADRACE_PLAN_PLAN_H_

#include <set>
#include <string>
#include <vector>

#include "plan/graph.h"

namespace headrace::plan {

enum class Cut {
  kAuto,     // by cost: tensors that are cheap to recompute do not cross (default)
  kLargest,  // the seed's maximal range: everything that may be staged is
};

// Static costs in Node::cost units (one small kernel launch, about a microsecond).
struct CostModel {
  double per_crossing_tensor = 2.0;    // hand-over, plus the node that keeps the name
  double per_crossing_kilobyte = 0.0;  // 0 on a CPU, where tensors cross by reference
};

struct PlanOptions {
  // True for session graphs: what is fetched is unknown, so a tensor without consumers may be a
  // fetch, and two sources share a stage only where no fetch can consume one without the other.
  bool fetches_unknown = true;
  // True: grow from the sources (and past tf.staged marks) as far as is legal. False: stages end at
  // tf.staged marks, and without marks nothing is staged.
  bool grow = true;
  Cut cut = Cut::kAuto;
  CostModel cost;
};

struct Crossing {
  Endpoint from;
  // True: feeding and fetching the tensor under its own name stays exact (no other crossing
  // tensor of the stage is computed from it), so the main graph keeps the name.
  bool keeps_name = false;
};

struct Stage {
  std::string name;               // from the first source's node name; unique within the plan
  int mark = -1;                  // lowest tf.staged group that it contains, or -1
  std::vector<int> sources;       // in the order in which one ticket reads them
  std::vector<int> draws;         // random ops run once per ticket, in topological order
  std::vector<int> body;          // everything else that runs ahead, in topological order
  std::vector<int> constants;     // copied into the stage; remain in the main graph as well
  std::vector<Endpoint> args;     // handles that the main graph passes in, in first-use order
  std::vector<Crossing> outputs;  // what the call returns, sorted by (node name, output)
  // Nodes that the main graph computes from what crosses; those also in `body` exist on both sides.
  std::vector<int> recomputed;
  // Nodes that leave the main graph: sources, draws and body less recomputed. In function graphs
  // also pure nodes that nothing uses and that need a removed node (reason kUnused): they leave
  // without replacement, with all their edges, which may come from other stages and from the main
  // graph.
  std::vector<int> removed;
  std::string device;  // common requested placement; empty = anywhere
};

struct Reason {
  ReasonCode code = ReasonCode::kNone;  // kNone: the node is staged and nowhere else
  int ancestor = -1;                    // the node that blocks, where one does
  std::string text;                     // a sentence that names the ancestor
};

struct StagePlan {
  std::vector<Stage> stages;
  std::vector<Reason> reasons;  // one per node of the graph
  std::string hash;             // 16 hex digits over everything that the rewrite depends on
};

// Cuts `graph` into stages and a main graph. Deterministic: node order in `graph` does not matter
// except through the names; the same graph and options give the same plan, byte for byte.
// Requires: every index is in range. Cycles are allowed only through kBarrier nodes (v1 loops).
// Near-linear in nodes and edges.
StagePlan MakePlan(const Graph& graph, const PlanOptions& options);

// Checks the invariants of a plan against the graph it was made for: convexity, every resource read
// once, no barrier staged, crossing complete. Returns the broken ones, one sentence each. The pass
// publishes no plan for which this is not empty.
std::vector<std::string> CheckPlan(const Graph& graph, const PlanOptions& options,
                                   const StagePlan& plan);

// For people: stages, what crosses, what was left out and why (grouped by reason, blocking ancestor
// first).
std::string ExplainText(const Graph& graph, const StagePlan& plan);
// For tools: {"version": 1, "hash": ..., "stages": [...], "nodes": [...]}; docs/formats.md has the
// schema.
std::string ExplainJson(const Graph& graph, const StagePlan& plan);

}  // namespace headrace::plan

#endif  // HEADRACE_PLAN_PLAN_H_
