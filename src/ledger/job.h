// What a job is: files, tasks, epochs, limits.
#ifndef HEADRACE_LEDGER_JOB_H_
#define HEADRACE_LEDGER_JOB_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace headrace::ledger {

enum class TaskType : std::uint8_t { kTrain, kEvaluate, kPredict };
constexpr TaskType EnumLimit(TaskType) {
  return TaskType::kPredict;
}
const char* Name(TaskType type);

struct FileSpec {
  std::string path;
  std::int64_t records = 0;
  bool whole = false;  // one task, however long: what cannot be entered in the middle, such as gzip

  template <class A>
  void Fields(A& a) {
    a(path, records, whole);
  }
};

struct JobSpec {
  // The main work: what `files` are for.
  TaskType type = TaskType::kTrain;
  std::vector<FileSpec> files;
  std::int64_t task_records = 1000;  // records a task at most; more: fewer leases, a longer tail
  std::int64_t epochs = 1;           // 1 unless type is kTrain
  std::uint64_t seed = 0;
  bool shuffle = true;         // the order of tasks, anew for each epoch
  bool strict_epochs = false;  // no task of an epoch before all of the one before are accounted for
  std::int64_t model_version = 0;  // evaluate and predict jobs: given to the workers as it is

  std::int64_t lease_ms = 30000;     // more: a silent worker's tasks come back later
  std::int64_t straggler_ms = 2000;  // age of a lease that is recalled or doubled in the tail
  // Gives the tail of a training job to a second worker while the first may still train it; its
  // records are then listed as possibly repeated. Off: such leases are recalled only. Evaluation
  // and prediction always do it, since there only the result that is accepted counts.
  bool train_backup = false;

  std::int64_t max_attempts = 3;     // reported failures of a task before it is halved
  std::int64_t max_losses = 4;       // workers lost with it before it is halved; 0: never for that
  std::int64_t max_quarantined = 0;  // one more fails the job
  std::int64_t backoff_ms = 100;     // before the second attempt; doubles
  std::int64_t max_backoff_ms = 10000;

  // Evaluation rounds beside training.
  std::vector<FileSpec> evaluation_files;
  std::int64_t evaluation_task_records = 1000;
  std::int64_t evaluation_every_steps = 0;  // 0: not by steps
  std::int64_t evaluation_every_ms = 0;     // from the end of one to the next; 0: not by time
  bool evaluation_at_end = false;

  template <class A>
  void Fields(A& a) {
    a(type, files, task_records, epochs, seed, shuffle, strict_epochs, model_version, lease_ms,
      straggler_ms, train_backup, max_attempts, max_losses, max_quarantined, backoff_ms,
      max_backoff_ms, evaluation_files, evaluation_task_records, evaluation_every_steps,
      evaluation_every_ms, evaluation_at_end);
  }
};

// INVALID_ARGUMENT with the field's name if the job cannot be run as it stands.
Status Validate(const JobSpec& spec);

}  // namespace headrace::ledger

#endif  // HEADRACE_LEDGER_JOB_H_
