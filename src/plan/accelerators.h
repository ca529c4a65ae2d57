// Which accelerators take what crosses, as far as the graph says it by name.
#ifndef HEADRACE_PLAN_ACCELERATORS_H_
#define HEADRACE_PLAN_ACCELERATORS_H_

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "plan/plan.h"

namespace headrace::plan {

// Of one graph and its plan.
class Accelerators {
 public:
  Accelerators(const Graph& graph, const StagePlan& plan);

  // Devices that nodes of the main graph which take `from` ask for, sorted.
  std::vector<std::string> Taking(const Endpoint& from) const;

 private:
  std::map<std::pair<int, int>, std::set<std::string>> devices_;  // by node and output
};

}  // namespace headrace::plan

#endif  // HEADRACE_PLAN_ACCELERATORS_H_
