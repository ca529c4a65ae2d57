// How a trainer's gradients come to the applier, and its answers back: synchronous training.
//
// A trainer puts its gradients on the servers (MapStage, under a key of its own) and then, when all
// of them are there, one entry into the queue of pushes on the first server. That entry is the
// push: before it there is nothing that anybody looks at, and with it the gradients are complete.
// The applier takes the entries one by one (rounds.h) and answers each through the pusher's own
// queue.
#ifndef HEADRACE_TRAINER_SHARED_PUSH_H_
#define HEADRACE_TRAINER_SHARED_PUSH_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/graph/graph.h"
#include "trainer/exported_job.h"
#include "trainer/shared/fence.h"
#include "trainer/shared/graph_edit.h"
#include "trainer/shared/rounds.h"
#include "trainer/shared/shared_graph.h"
#include "trainer/shared/variables.h"

namespace headrace::trainer {

inline constexpr char kPushes[] = "headrace/pushes";     // queue of int64 [4]: a Push
inline constexpr char kAnswers[] = "headrace/answers_";  // and the number: queue of int64 [2]
inline constexpr char kFenceAnswers[] = "headrace/fence_answers_";
// Counters of this process: entries that its steps put into the queue of pushes, and those decided.
inline constexpr char kPushedCounter[] = "headrace/push/pushed";
inline constexpr char kDecidedCounter[] = "headrace/push/decided";
inline constexpr char kPushedStep[] = "headrace/push/step";  // feed: int64, of the model

inline constexpr std::uint64_t kApplierNumber = 0;  // no training process has it

// What an answer says first.
enum class Decision : std::int64_t { kLost = -1, kRefused = 0, kTaken = 1 };

// The key in checkpoints of a variable that the exporter calls `name`.
std::string CheckpointKey(const std::string& name);

// A tensor of a push, and where it waits to be applied.
struct PushedTensor {
  enum class Part {
    kWhole,
    kIndices,
    kValues
  };  // the last two of a sparse gradient, in this order

  const GradientSpec* spec = nullptr;
  Part part = Part::kWhole;
  tensorflow::DataType dtype = tensorflow::DT_INVALID;

  std::string name() const;  // output of the gradients' signature
};
// By server, in the order in which they are staged.
using PushedTensors = std::map<int, std::vector<PushedTensor>>;

// The same for trainers and applier; refers to the job. Errors: INVALID_ARGUMENT for a job whose
// variables are others.
absl::StatusOr<PushedTensors> PushedBy(const ExportedJob& job, const SharedVariables& variables,
                                       int servers);

// Of the gradients of a job: trainers and applier must agree on it. Never 0.
std::int64_t FingerprintOf(const ExportedJob& job);

// Under which the tensors of a push are staged.
std::int64_t KeyOf(const Push& push);
tensorflow::Tensor TensorOf(const Push& push);
Push PushOf(const tensorflow::Tensor& tensor);

// The queue's op, on the first server.
tensorflow::Node* AddPushes(GraphEdit* edit, const std::string& name);
tensorflow::Node* AddAnswers(GraphEdit* edit, const std::string& name, std::uint64_t number);
// Answers to fences have a queue of their own: a push may wait meanwhile.
tensorflow::Node* AddFenceAnswers(GraphEdit* edit, const std::string& name, std::uint64_t number);

// Of these queues.
tensorflow::Node* AddEnqueue(const std::string& name, tensorflow::Node* queue,
                             tensorflow::Node* value, const std::vector<tensorflow::Node*>& after,
                             GraphEdit* edit);
tensorflow::Node* AddDequeue(const std::string& name, tensorflow::Node* queue,
                             const std::vector<tensorflow::Node*>& after, GraphEdit* edit);

// How the tensors of one server are staged: attributes of the ops, and their input `indices`.
GraphEdit::Attrs StagingOf(const std::vector<PushedTensor>& tensors, std::int64_t generation);
tensorflow::Tensor PlacesOf(const std::vector<PushedTensor>& tensors);

// Adds the push of `outputs` (by name in the signature: the tensor in the graph) under `prefix`.
// *answer: the tensor that comes when it is decided: int64 [2], a Decision, and the step of the
// model now.
absl::Status AddPush(const std::string& prefix, const PushedTensors& tensors,
                     const std::map<std::string, GraphEdit::Out>& outputs, const Writer& writer,
                     tensorflow::Graph* graph, std::string* answer);

// The pushes of a trainer's synchronous step: the outputs of its pipelines become loss and answer.
absl::Status AddPushesOf(const ExportedJob& job, int servers, const Writer& writer,
                         SharedGraph* shared);

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_SHARED_PUSH_H_
