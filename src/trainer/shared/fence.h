// Keeps the updates of a worker out that may not write any more.
#ifndef HEADRACE_TRAINER_SHARED_FENCE_H_
#define HEADRACE_TRAINER_SHARED_FENCE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "tensorflow/core/graph/graph.h"
#include "trainer/shared/graph_edit.h"
#include "trainer/shared/placement.h"

namespace headrace::trainer {

// On each server, by these names:
inline constexpr char kGeneration[] = "headrace/generation";  // int64: of the model that it holds
inline constexpr char kClaim[] = "headrace/claim";            // int64: who may write a model there
// int64, on the first server, of synchronous training: whose gradients its applier takes
// (FingerprintOf()), and how many to a step.
inline constexpr char kApplier[] = "headrace/applier";
inline constexpr char kApplierGrads[] = "headrace/applier_grads";
inline constexpr char kFenced[] = "headrace/fenced";  // table of int64: workers that may not write

// What the errors of checks say.
inline constexpr char kFencedOff[] = "Headrace: this trainer may not update the model any more";
inline constexpr char kNotClaimed[] = "Headrace: somebody else restores the model";

// Who is asking.
struct Writer {
  std::uint64_t number = 0;     // of the training process
  std::int64_t generation = 0;  // of the model that it knows
};

// On each server, once all gradients of a step have arrived there, the writer is checked, and only
// then anything is written there (except what the gradients themselves depend on). A step so has an
// effect on a server or none, whenever its worker stops or wakes up.
absl::Status AddFences(const Writer& writer, const Arrivals& arrivals, const NodeSet& before,
                       tensorflow::Graph* graph);

// Handles, under the name `node`, on the edit's server: of the variable kGeneration or kClaim, and
// of the table kFenced.
tensorflow::Node* AddNumber(const std::string& node, const std::string& name, GraphEdit* edit);
tensorflow::Node* AddFencedTable(const std::string& node, GraphEdit* edit);

// An op that fails with `message` unless the int64 variable `name` of that server has this value.
absl::Status AddCheck(const std::string& prefix, int server, const std::string& name,
                      std::int64_t value, const std::string& message,
                      const std::vector<tensorflow::Node*>& after, tensorflow::Graph* graph,
                      tensorflow::Node** check);

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_SHARED_FENCE_H_
