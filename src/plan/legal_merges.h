// Which sources may share a stage in a graph whose fetches are not known.
#ifndef HEADRACE_PLAN_LEGAL_MERGES_H_
#define HEADRACE_PLAN_LEGAL_MERGES_H_

#include <vector>

#include "plan/dependency_sets.h"

namespace headrace::plan {

// How the values of staged nodes are used, by the set of sources that they depend on.
struct SetUses {
  // crosses[s]: a value that depends on exactly the set s is used outside every stage.
  std::vector<bool> crosses;
  // feeds[s]: the sets of nodes that use a value of set s and depend on more.
  std::vector<std::vector<int>> feeds;
  // own[i]: the set of source i itself (it contains i, and the sources that i waits for), or kEmpty
  // if source i is not staged.
  std::vector<int> own;
};

// A stage of the sources U holds every staged node that depends on a subset of U. It is legal if
// every value that leaves it depends on all of U: else a step could fetch that value, and would
// consume an element of a source that it does not need.
//
// Legal sets that share a source are nested. (Let U and V be legal, both containing a. A value that
// depends on a proper subset s of both may leave neither, so every set fed by s is a subset of
// both; growing {a} by these "forced" sets gives a set that both contain, and whose own values must
// again be used within whichever of U and V is larger than it.) So each source has one largest
// legal set, these are disjoint, and they are found by growing.
//
// Returns for each source the number of its largest legal set; -1 if it is not staged or not even
// {i} is legal (it waits for another source with which it cannot share a stage).
std::vector<int> LargestLegalMerges(const DependencySets& sets, const SetUses& uses);

}  // namespace headrace::plan

#endif  // HEADRACE_PLAN_LEGAL_MERGES_H_
