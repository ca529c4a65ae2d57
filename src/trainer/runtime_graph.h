// The graph that a training process runs: the exported job's, with the job's record ranges as the
// source of its datasets, and their elements as the arguments of its functions.
#ifndef HEADRACE_TRAINER_RUNTIME_GRAPH_H_
#define HEADRACE_TRAINER_RUNTIME_GRAPH_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"
#include "trainer/exported_job.h"

namespace headrace::trainer {

// Counts the batches that synchronous steps got (feed::Counters).
inline constexpr char kBatchesCounter[] = "headrace/batches";

// One dataset and the function that takes its elements.
struct Pipeline {
  std::string begin;                 // target: a new iterator
  std::string end;                   // target: an iterator without elements in its place
  std::string next;                  // node that takes an element: it names errors of the data
  std::string identities;            // fetch: of the records of the batch
  std::vector<std::string> outputs;  // fetches: of the function
};

struct RuntimeGraph {
  tensorflow::GraphDef graph;
  // Outputs: loss, step; of a synchronous step loss, gradients, state, in the order of the job.
  Pipeline train;
  Pipeline again;     // a synchronous step on the last batch once more: outputs as of train
  Pipeline evaluate;  // sums
  Pipeline predict;   // as ExportedJob::outputs
  std::string metrics_input;
  std::vector<std::pair<std::string, std::string>> metrics;  // name, fetch
};

// The name of the node that gives a tensor: "a/b" of "a/b:0".
std::string NodeOf(const std::string& tensor);

// Errors: INVALID_ARGUMENT if the SavedModel is not what the description says.
absl::StatusOr<RuntimeGraph> BuildRuntimeGraph(const ExportedJob& job,
                                               const tensorflow::MetaGraphDef& exported,
                                               bool synchronous);

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_RUNTIME_GRAPH_H_
