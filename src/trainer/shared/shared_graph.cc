#include "trainer/shared/shared_graph.h"

#include <unordered_set>
#include <utility>

#include "tensorflow/core/common_runtime/graph_constructor.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/graph/algorithm.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/inline_calls.h"
#include "trainer/shared/assignment.h"
#include "trainer/shared/partition.h"
#include "trainer/shared/placement.h"
#include "trainer/shared/saver.h"
#include "trainer/shared/variables.h"

namespace headrace::trainer {
namespace {

using ::tensorflow::Graph;
using ::tensorflow::Node;

constexpr char kInitSignature[] = "__saved_model_init_op";

void AddPipeline(const Pipeline& pipeline, std::vector<std::string>* names) {
  for (const std::string& name : {pipeline.begin, pipeline.end, pipeline.identities}) {
    if (!name.empty()) names->push_back(NodeOf(name));
  }
  for (const std::string& output : pipeline.outputs) names->push_back(NodeOf(output));
}

void AddSignature(const tensorflow::MetaGraphDef& exported, const std::string& signature,
                  std::vector<std::string>* names) {
  const auto found = exported.signature_def().find(signature);
  if (found == exported.signature_def().end()) return;
  for (const auto& [name, tensor] : found->second.outputs()) {
    names->push_back(NodeOf(tensor.name()));
  }
}

// The nodes that `roots` do not need go.
absl::Status Prune(const std::vector<std::string>& roots, Graph* graph) {
  const std::unordered_set<std::string> names(roots.begin(), roots.end());
  std::unordered_set<const Node*> needed;
  for (const Node* node : graph->op_nodes()) {
    if (names.count(node->name()) > 0) needed.insert(node);
  }
  if (needed.size() != names.size()) {
    return absl::InternalError("a node that is run is gone after inlining");
  }
  tensorflow::PruneForReverseReachability(graph, needed);
  tensorflow::FixupSourceAndSinkEdges(graph);
  return absl::OkStatus();
}

// Looks at the asynchronous step, whichever is going to run, and at what reads the model.
absl::Status Assign(const tensorflow::MetaGraphDef& exported, int servers, SharedGraph* shared) {
  Graph graph(tensorflow::OpRegistry::Global());
  tensorflow::CopyGraph(shared->graph, &graph);
  std::vector<std::string> roots;
  AddPipeline(shared->runtime.train, &roots);
  AddPipeline(shared->runtime.evaluate, &roots);
  AddPipeline(shared->runtime.predict, &roots);
  AddSignature(exported, "train", &roots);
  TF_RETURN_IF_ERROR(Prune(roots, &graph));
  AssignServers(graph, servers, &shared->variables);
  return absl::OkStatus();
}

}  // namespace

SharedGraph::SharedGraph() : graph(tensorflow::OpRegistry::Global()) {}

absl::Status LoadGraph(const ExportedJob& job, const tensorflow::MetaGraphDef& exported,
                       bool synchronous, int servers, SharedGraph* shared) {
  absl::StatusOr<RuntimeGraph> runtime = BuildRuntimeGraph(job, exported, synchronous);
  if (!runtime.ok()) return runtime.status();
  return LoadGraph(*std::move(runtime), exported, servers, shared);
}

absl::Status LoadGraph(RuntimeGraph runtime, const tensorflow::MetaGraphDef& exported, int servers,
                       SharedGraph* shared) {
  tensorflow::GraphConstructorOptions options;
  options.allow_internal_ops = true;
  TF_RETURN_IF_ERROR(
      tensorflow::ConvertGraphDefToGraph(options, std::move(runtime.graph), &shared->graph));
  shared->runtime = std::move(runtime);
  shared->runtime.graph.Clear();
  const tensorflow::FunctionLibraryDefinition library(shared->graph.flib_def());
  TF_RETURN_IF_ERROR(InlineAllCalls(library, kSparseUpdateAttr, &shared->graph));
  SkipIdentitiesOfHandles(&shared->graph);
  absl::StatusOr<SharedVariables> variables = FindVariables(shared->graph);
  if (!variables.ok()) return variables.status();
  shared->variables = *std::move(variables);
  return Assign(exported, servers, shared);
}

absl::Status Distribute(const std::vector<std::string>& roots, const Writer& writer, bool saves,
                        SharedGraph* shared) {
  Graph* const graph = &shared->graph;
  const tensorflow::FunctionLibraryDefinition library(graph->flib_def());
  std::vector<std::string> kept = roots;
  // A table's handles stay for the saver, whether or not a step uses them.
  for (const auto& [node, variable] : shared->variables) kept.push_back(node);
  TF_RETURN_IF_ERROR(Prune(kept, graph));
  Arrivals arrivals;
  TF_RETURN_IF_ERROR(Partition(shared->variables, library, graph, &arrivals));
  SkipIdentitiesOfHandles(graph);
  PinToVariables(shared->variables, graph, &arrivals);
  const NodeSet before = BeforeArrivals(arrivals);
  TF_RETURN_IF_ERROR(AddFences(writer, arrivals, before, graph));
  if (saves) {
    TF_RETURN_IF_ERROR(AddSaver(shared->variables, shared->objects, writer.generation, graph));
  }
  tensorflow::FixupSourceAndSinkEdges(graph);
  Place(before, graph);
  return absl::OkStatus();
}

std::vector<std::string> RootsOf(const tensorflow::MetaGraphDef& exported,
                                 const RuntimeGraph& runtime) {
  std::vector<std::string> names;
  AddPipeline(runtime.train, &names);
  AddPipeline(runtime.again, &names);
  AddPipeline(runtime.evaluate, &names);
  AddPipeline(runtime.predict, &names);
  for (const auto& [name, fetch] : runtime.metrics) names.push_back(NodeOf(fetch));
  AddSignature(exported, kInitSignature, &names);
  return names;
}

}  // namespace headrace::trainer
