// Says for each node of a graph whether the worker or a parameter server runs it.
#ifndef HEADRACE_TRAINER_SHARED_PLACEMENT_H_
#define HEADRACE_TRAINER_SHARED_PLACEMENT_H_

#include <unordered_set>

#include "tensorflow/core/graph/graph.h"
#include "trainer/shared/partition.h"
#include "trainer/shared/variables.h"

namespace headrace::trainer {

inline constexpr int kWorker = -1;
// The parameter server that a node is pinned to, or kWorker.
int ServerOf(const tensorflow::Node& node);

using NodeSet = std::unordered_set<const tensorflow::Node*>;

// Pins what uses a variable to the variable's server, and each dense gradient to the server of what
// it updates first. Adds these gradients to *arrivals.
void PinToVariables(const SharedVariables& variables, tensorflow::Graph* graph, Arrivals* arrivals);

// All that must have happened before the gradients have arrived, and the arrivals themselves: the
// worker's part of a step, and the reads of variables that it needs.
NodeSet BeforeArrivals(const Arrivals& arrivals);

// Every node that is not pinned: to the worker, unless it is not in `before` and only updates of
// variables need it. Then it goes to the server of these, so that weights and slots stay where they
// are. Constants are copied to where they are used; what waits for many nodes of another process
// waits for one.
void Place(const NodeSet& before, tensorflow::Graph* graph);

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_SHARED_PLACEMENT_H_
