// Spreads a job's graph over its worker and the parameter servers.
#ifndef HEADRACE_TRAINER_SHARED_SHARED_GRAPH_H_
#define HEADRACE_TRAINER_SHARED_SHARED_GRAPH_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"
#include "trainer/runtime_graph.h"
#include "trainer/shared/fence.h"
#include "trainer/shared/variables.h"

namespace headrace::trainer {

// A graph without calls, whose variables have their servers.
struct SharedGraph {
  SharedGraph();
  tensorflow::Graph graph;
  RuntimeGraph runtime;  // names in it; its own graph is empty
  SharedVariables variables;
  std::string objects;  // the object graph of what was exported, for checkpoints
};

// The job's graph, with all calls inlined, so that each op can be where its variable is. Every
// process of a job finds the same servers for the same variables.
// Errors: INVALID_ARGUMENT if the graph is not what `headrace export` makes for parameter servers.
absl::Status LoadGraph(const ExportedJob& job, const tensorflow::MetaGraphDef& exported,
                       bool synchronous, int servers, SharedGraph* shared);
absl::Status LoadGraph(RuntimeGraph runtime, const tensorflow::MetaGraphDef& exported, int servers,
                       SharedGraph* shared);

// What `roots` (names of nodes) do not need goes. Large tables are cut over the servers; what only
// updates need runs there; updates are fenced. saves: kSave and kRestore are added, in the place of
// the exported saver.
absl::Status Distribute(const std::vector<std::string>& roots, const Writer& writer, bool saves,
                        SharedGraph* shared);

// The nodes that a trainer fetches and runs.
std::vector<std::string> RootsOf(const tensorflow::MetaGraphDef& exported,
                                 const RuntimeGraph& runtime);

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_SHARED_SHARED_GRAPH_H_
