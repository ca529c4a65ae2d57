// What says, in a TensorFlow checkpoint, how Python's objects hold the variables.
#ifndef HEADRACE_TRAINER_OBJECT_GRAPH_H_
#define HEADRACE_TRAINER_OBJECT_GRAPH_H_

#include <string>

#include "absl/status/statusor.h"

namespace headrace::trainer {

// Its key. What restores a SavedModel's variables reads it with them: a checkpoint without it is
// refused there.
inline constexpr char kObjectGraph[] = "_CHECKPOINTABLE_OBJECT_GRAPH";

// That of the checkpoint with this prefix, serialized.
absl::StatusOr<std::string> ReadObjectGraph(const std::string& prefix);

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_OBJECT_GRAPH_H_
