// A fingerprint of a plan.
#ifndef HEADRACE_PLAN_HASH_H_
#define HEADRACE_PLAN_HASH_H_

#include <string>
#include <vector>

#include "plan/plan.h"

namespace headrace::plan {

// 16 hex digits (FNV-1a, 64 bits) over the options, the stages, and name, op, device and inputs of
// every node that the stages name; reasons are not part of it. Node indices do not enter.
std::string PlanHash(const Graph& graph, const PlanOptions& options,
                     const std::vector<Stage>& stages);

}  // namespace headrace::plan

#endif  // HEADRACE_PLAN_HASH_H_
