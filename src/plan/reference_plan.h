// What may be staged, straight from the definition and slowly: an oracle for the planner's tests.
// Shares no code with the planner.
#ifndef HEADRACE_PLAN_REFERENCE_PLAN_H_
#define HEADRACE_PLAN_REFERENCE_PLAN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "plan/plan.h"

namespace headrace::plan {

// A set of nodes of a graph of at most 31 nodes, one bit each.
using NodeSet = std::uint32_t;

// Tries every set of nodes. Devices are ignored.
struct ReferencePlan {
  bool unique = true;           // one largest legal set exists, of which all others are part
  std::vector<NodeSet> stages;  // its connected parts, less those that are not wanted
  NodeSet staged = 0;           // all of these
};
ReferencePlan PlanByEnumeration(const Graph& graph, const PlanOptions& options);

// The least cost of any cut of the given stages (each a set of nodes that kLargest stages), and the
// least number of recomputed nodes at that cost; found by trying every set of cheap nodes.
struct ReferenceCut {
  double cost = 0;
  int recomputed = 0;
};
ReferenceCut CutByEnumeration(const Graph& graph, const PlanOptions& options,
                              const std::vector<NodeSet>& stages);

}  // namespace headrace::plan

#endif  // HEADRACE_PLAN_REFERENCE_PLAN_H_
