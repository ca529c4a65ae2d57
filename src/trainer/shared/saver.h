// Saves and restores variables on the servers that have them.
#ifndef HEADRACE_TRAINER_SHARED_SAVER_H_
#define HEADRACE_TRAINER_SHARED_SAVER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "tensorflow/core/graph/graph.h"
#include "trainer/shared/variables.h"

namespace headrace::trainer {

// Names in the graph. Each server reads and writes files itself, under the path that is fed: all
// processes of a job see the same files.
inline constexpr char kSavePrefix[] = "headrace/save/prefix";        // feed: string
inline constexpr char kSave[] = "headrace/save/done";                // target
inline constexpr char kRestorePrefix[] = "headrace/restore/prefix";  // feed: string
inline constexpr char kRestore[] = "headrace/restore/done";          // target

// A checkpoint is one of TensorFlow's, with each table whole under its key, whatever the number of
// parts, and with `objects`, an object graph, so that a session without servers can restore it too.
// Restoring fails on a server that `claim` does not own.
absl::Status AddSaver(const SharedVariables& variables, const std::string& objects,
                      std::int64_t claim, tensorflow::Graph* graph);

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_SHARED_SAVER_H_
