// Cuts tables by rows: gathers and sparse updates go to the part that has the row.
#ifndef HEADRACE_TRAINER_SHARED_PARTITION_H_
#define HEADRACE_TRAINER_SHARED_PARTITION_H_

#include <map>
#include <vector>

#include "absl/status/status.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/graph/graph.h"
#include "trainer/shared/variables.h"

namespace headrace::trainer {

// Where gradients arrive at a server: nothing is written there that does not depend on one of them
// or comes from the server itself.
using Arrivals = std::map<int, std::vector<tensorflow::Node*>>;

// Changes `graph`: each variable's handle is on its server, a cut table's in parts; gathers of cut
// tables become one for each part; sparse updates run, inlined, on the server of the rows.
// *arrivals: of sparse updates.
absl::Status Partition(const SharedVariables& variables,
                       const tensorflow::FunctionLibraryDefinition& library,
                       tensorflow::Graph* graph, Arrivals* arrivals);

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_SHARED_PARTITION_H_
