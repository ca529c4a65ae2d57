// Decides which parameter server gets which variable, and which tables are cut over all of them.
#ifndef HEADRACE_TRAINER_SHARED_ASSIGNMENT_H_
#define HEADRACE_TRAINER_SHARED_ASSIGNMENT_H_

#include <cstdint>

#include "tensorflow/core/graph/graph.h"
#include "trainer/shared/variables.h"

namespace headrace::trainer {

// A part of a table that is smaller is not worth a call of its own to another server.
inline constexpr std::int64_t kLeastShardBytes = 64 * 1024;
// Nor is one of a table that is so small a part of what each server is to hold: servers are
// balanced well enough with such tables as a whole, and a step has fewer messages.
inline constexpr std::int64_t kWholeTablesPerShare = 4;

// The attributes that `headrace export` leaves (docs/formats.md).
inline constexpr char kGradientAttr[] = "_headrace_gradient";
inline constexpr char kSparseUpdateAttr[] = "_headrace_sparse_update";

// A call of a sparse update: its first two inputs are row numbers and the rows' gradients, its
// handles are of a table and of the optimizer's slots for it.
bool IsSparseUpdate(const tensorflow::Node& node);
bool IsGradient(const tensorflow::Node& node);

// Variables that one update uses lie together: a weight and its optimizer's slots. Groups go to the
// server that has the fewest bytes so far, the largest first; tables whose every use is a gather or
// a sparse update, and that are large, are cut into as many contiguous parts as there are servers.
// The same graph always gives the same assignment.
void AssignServers(const tensorflow::Graph& graph, int servers, SharedVariables* variables);

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_SHARED_ASSIGNMENT_H_
