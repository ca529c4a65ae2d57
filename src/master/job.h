// A job as its file says it (docs/formats.md, "Job file").
#ifndef HEADRACE_MASTER_JOB_H_
#define HEADRACE_MASTER_JOB_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "ledger/job.h"

namespace headrace::master {

enum class JobType : std::uint8_t {
  kTraining,
  kTrainingWithEvaluation,
  kEvaluation,
  kPrediction,
};
const char* Name(JobType type);

enum class ModelKind : std::uint8_t {
  kNone,    // the master knows of no model: what is acknowledged stays so
  kLocal,   // in the one process that trains; dies with it
  kShared,  // on parameter servers
};
const char* Name(ModelKind kind);

struct Job {
  std::string name;
  JobType type = JobType::kTraining;
  ledger::JobSpec spec;
  ModelKind model = ModelKind::kNone;
  bool exact = false;                // shared: a model that may have seen a record twice goes back
  std::string checkpoint_directory;  // empty: no checkpoints
  std::int64_t checkpoint_every_steps = 0;  // 0: only when asked for
  // Of a training process that holds leases and is out in its step, before it is killed; 0: never.
  std::int64_t step_timeout_ms = 600000;
  std::string trainer = "{}";  // JSON, for the process that trains

  bool has_checkpoints() const {
    return model != ModelKind::kNone && !checkpoint_directory.empty();
  }
};

inline constexpr int kJobFileVersion = 1;

// Errors: INVALID_ARGUMENT with the key; UNIMPLEMENTED for a newer version.
Status ParseJob(std::string_view json, Job* job);
// The same, and NOT_FOUND, PERMISSION_DENIED; all errors begin with the path.
Status ReadJobFile(const std::string& path, Job* job);

// Addresses of the parameter servers, from the trainer's section; none: there are none.
std::vector<std::string> ServersOf(const Job& job);

// The name under which a journal belongs to this job: another one as soon as files, tasks, epochs
// or limits differ. The trainer's section and where checkpoints go may change.
std::string JournalName(const Job& job);

}  // namespace headrace::master

#endif  // HEADRACE_MASTER_JOB_H_
