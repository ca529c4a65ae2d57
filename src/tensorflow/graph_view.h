// A TensorFlow graph as the planner sees it.
#ifndef HEADRACE_TENSORFLOW_GRAPH_VIEW_H_
#define HEADRACE_TENSORFLOW_GRAPH_VIEW_H_

#include <string>
#include <unordered_map>
#include <vector>

#include "plan/graph.h"
#include "tensorflow/infer_shapes.h"
#include "tensorflow/traits.h"

namespace headrace {

struct StagingRequest;

// Ownership: points into the TensorFlow graph, which must outlive it.
struct GraphView {
  plan::Graph graph;
  std::vector<tensorflow::Node*> nodes;  // by index in `graph`, sorted by name
  std::unordered_map<const tensorflow::Node*, int> index;
  Shapes shapes;
};

// `traits` must be of the same graph.
GraphView MakeGraphView(const tensorflow::Graph& graph,
                        const tensorflow::FunctionLibraryDefinition& library,
                        const StagingRequest& request, TraitFinder* traits);

// True if the graph, or a function that it runs, holds an op that consumes elements.
bool HasSource(const tensorflow::Graph& graph,
               const tensorflow::FunctionLibraryDefinition& library);

// What of a requested device must not be mixed in one stage: job, replica, task, and the
// accelerator unless the stage is pinned to the host. "" = anywhere.
std::string StageDevice(const std::string& requested, bool on_cpu);

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_GRAPH_VIEW_H_
