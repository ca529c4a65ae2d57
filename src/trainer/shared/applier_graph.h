// The graph by which the applier of synchronous training adds gradients up and applies their mean.
#ifndef HEADRACE_TRAINER_SHARED_APPLIER_GRAPH_H_
#define HEADRACE_TRAINER_SHARED_APPLIER_GRAPH_H_

#include <cstdint>

#include "absl/status/status.h"
#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"
#include "trainer/exported_job.h"

namespace headrace::trainer {

// Names in the graph.
inline constexpr char kApplyKey[] = "headrace/apply/key";      // feed: int64, of a push
inline constexpr char kApplyPlace[] = "headrace/apply/place";  // feed: int64, its place in the step
inline constexpr char kApplyCount[] = "headrace/apply/count";  // feed: int32, pushes of the step
inline constexpr char kAddPush[] = "headrace/apply/add";       // target: the push is added
inline constexpr char kDropPush[] = "headrace/apply/drop";     // target: the push is thrown away
inline constexpr char kModelStep[] = "headrace/apply/step:0";  // fetch: int64
inline constexpr char kApply[] = "headrace/apply/applied";     // target: the mean is applied

// generation: of the model; its updates fail once there is another.
// Errors: INVALID_ARGUMENT if the export has no synchronous step.
absl::Status MakeApplierGraph(const ExportedJob& job, const tensorflow::MetaGraphDef& exported,
                              int servers, std::int64_t generation, tensorflow::GraphDef* graph);

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_SHARED_APPLIER_GRAPH_H_
