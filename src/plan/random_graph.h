// Random small graphs for tests.
#ifndef HEADRACE_PLAN_RANDOM_GRAPH_H_
#define HEADRACE_PLAN_RANDOM_GRAPH_H_

#include <cstdint>
#include <random>

#include "plan/plan.h"

namespace headrace::plan {

using Random = std::mt19937_64;

// The seed of a random test: a fixed one, or HEADRACE_TEST_SEED. Logged by the caller.
std::uint64_t TestSeed();

struct RandomGraphOptions {
  int min_nodes = 3;
  int max_nodes = 12;
  int max_sources = 3;
  double cheap = 0.0;   // probability that a pure node is cheap, with a random cost
  double device = 0.0;  // probability that a node asks for one of two devices
  double funnel = 0.0;  // probability that an input is a node that nothing uses yet, so that
                        // sources meet and little crosses before they have met
  bool calm = false;    // nearly all nodes are pure
  bool flags = true;    // marks, targets, excluded and kept nodes, references, shared resources
};

// Names are unique and in no order; every edge points to an earlier node, but some barriers also
// take later ones (loops).
Graph RandomGraph(Random& random, const RandomGraphOptions& options);

// Session or function, growing or not.
PlanOptions RandomPlanOptions(Random& random, const Graph& graph);

// The same graph with its nodes in another order, and control inputs too.
Graph Shuffled(const Graph& graph, Random& random);

}  // namespace headrace::plan

#endif  // HEADRACE_PLAN_RANDOM_GRAPH_H_
