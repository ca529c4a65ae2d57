// A reason for every node, in words.
#ifndef HEADRACE_PLAN_REASONS_H_
#define HEADRACE_PLAN_REASONS_H_

#include <vector>

#include "plan/assemble.h"
#include "plan/staging.h"

namespace headrace::plan {

// One Reason per node of the graph. `stages` are the plan's, indexed by NodeState::group.
std::vector<Reason> GiveReasons(const Staging& staging, const Sides& sides,
                                const std::vector<Stage>& stages);

}  // namespace headrace::plan

#endif  // HEADRACE_PLAN_REASONS_H_
