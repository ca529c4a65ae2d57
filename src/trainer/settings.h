// What a training process is told to do: the job file's section "trainer" (docs/formats.md).
#ifndef HEADRACE_TRAINER_SETTINGS_H_
#define HEADRACE_TRAINER_SETTINGS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace headrace::trainer {

struct Settings {
  enum class Verb { kTrain, kEvaluate, kPredict };
  enum class Executor {
    kAuto,    // the faster of the two, found in the first steps
    kCaller,  // the step's ops run on the thread that asks for it: least cost for narrow graphs
    kPool,    // on TensorFlow's pool: ops that do not depend on each other run side by side
  };

  Verb verb = Verb::kTrain;
  std::string exported;   // directory of the exported job
  std::string export_id;  // that it must have; "": any
  std::string output;     // directory of the model to serve, or of predictions; "": none is written
  std::string checkpoints;            // directory; "": none
  std::int64_t checkpoint_steps = 0;  // 0: only when asked to
  std::int64_t keep_checkpoints = 3;  // 0: all
  std::int64_t evaluation_steps = 0;  // 0: not by steps
  std::string restore;                // a checkpoint to begin with, where `checkpoints` has none
  std::string events;                 // directory for TensorBoard; "": none
  std::string staging;                // serialized options (docs/formats.md); "": unstaged
  std::string predictions = "jsonl";  // format: jsonl, csv, tfrecord, recordio
  std::vector<std::string> op_libraries;
  std::vector<std::string> parameter_servers;  // host:port each; none: the model is in this process
  bool synchronous = false;                    // a step is of several trainers' gradients
  std::int64_t grads_to_wait = 1;              // so many; as the applier was told
  Executor executor = Executor::kAuto;
  std::int64_t intra_op_threads = 0;  // 0: as many as cores
  std::int64_t inter_op_threads = 0;
  std::vector<std::string> die_at;  // of tests: failpoint.h; the job's first training process first
};

// Errors: INVALID_ARGUMENT naming the key, what was found and what is accepted.
Status ParseSettings(const std::string& json, Settings* settings);

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_SETTINGS_H_
