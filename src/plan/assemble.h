// From grouped nodes to stages.
#ifndef HEADRACE_PLAN_ASSEMBLE_H_
#define HEADRACE_PLAN_ASSEMBLE_H_

#include <vector>

#include "plan/cut.h"
#include "plan/staging.h"

namespace headrace::plan {

// Takes back stages that are not wanted: those without a tf.staged mark where the graph has marks,
// those that feed a queue only, and those whose values nobody uses. Renumbers the rest.
// Returns the number of stages left.
int DropStages(Staging& staging, int stages, const MainUses& main_uses);

// Which side each staged node is on after the cut, and what leaves without a replacement.
struct Sides {
  std::vector<bool> in_main;   // recomputed
  std::vector<bool> in_stage;  // candidates that the stage computes
  std::vector<int> dead_in;    // dead nodes: the stage whose values they would need, or -1
};
Sides ChooseSides(const Staging& staging, const MainUses& main_uses);

// Builds a stage from its candidates and from the dead nodes that leave with it, both in
// topological order.
Stage AssembleStage(const Staging& staging, const MainUses& main_uses, const Sides& sides,
                    const std::vector<int>& members, const std::vector<int>& dead);

}  // namespace headrace::plan

#endif  // HEADRACE_PLAN_ASSEMBLE_H_
