#include "ledger/job.h"

namespace headrace::ledger {
namespace {

// So that the number of any record in any epoch, and sums of a few of them, fit into 64 bits.
constexpr std::int64_t kMaxRecords = std::int64_t{1} << 60;

Status Invalid(const std::string& message) {
  return {Code::kInvalidArgument, message};
}

Status ValidateFiles(const char* field, const std::vector<FileSpec>& files, std::int64_t epochs) {
  std::int64_t records = 0;
  for (const FileSpec& file : files) {
    if (file.records < 0) {
      return Invalid(std::string(field) + ": " + file.path + " has " +
                     std::to_string(file.records) + " records; give 0 or more");
    }
    if (file.records > kMaxRecords / epochs - records) {
      return Invalid(std::string(field) + ": more than 2^60 records in all epochs at " + file.path);
    }
    records += file.records;
  }
  if (records == 0) {
    return Invalid(std::string(field) + ": no records in " + std::to_string(files.size()) +
                   " files; give files with data");
  }
  return {};
}

Status AtLeast(const char* field, std::int64_t value, std::int64_t least) {
  if (value >= least) return {};
  return Invalid(std::string(field) + " is " + std::to_string(value) + "; give " +
                 std::to_string(least) + " or more");
}

}  // namespace

const char* Name(TaskType type) {
  switch (type) {
    case TaskType::kTrain: return "train";
    case TaskType::kEvaluate: return "evaluate";
    case TaskType::kPredict: return "predict";
  }
  return "?";
}

Status Validate(const JobSpec& spec) {
  const struct {
    const char* field;
    std::int64_t value, least;
  } limits[] = {
      {"task_records", spec.task_records, 1},
      {"epochs", spec.epochs, 1},
      {"lease_ms", spec.lease_ms, 1},
      {"straggler_ms", spec.straggler_ms, 0},
      {"max_attempts", spec.max_attempts, 1},
      {"max_losses", spec.max_losses, 0},
      {"max_quarantined", spec.max_quarantined, 0},
      {"backoff_ms", spec.backoff_ms, 0},
      {"max_backoff_ms", spec.max_backoff_ms, 0},
      {"evaluation_task_records", spec.evaluation_task_records, 1},
      {"evaluation_every_steps", spec.evaluation_every_steps, 0},
      {"evaluation_every_ms", spec.evaluation_every_ms, 0},
  };
  for (const auto& limit : limits) {
    Status status = AtLeast(limit.field, limit.value, limit.least);
    if (!status.ok()) return status;
  }
  const bool evaluates =
      spec.evaluation_every_steps > 0 || spec.evaluation_every_ms > 0 || spec.evaluation_at_end;
  if (spec.type != TaskType::kTrain && spec.epochs != 1) {
    return Invalid(std::string("epochs: a job that is to ") + Name(spec.type) + " has one epoch");
  }
  if (spec.type != TaskType::kTrain && evaluates) {
    return Invalid("evaluation rounds belong to training jobs; leave evaluation_* unset");
  }
  Status status = ValidateFiles("files", spec.files, spec.epochs);
  if (!status.ok() || !evaluates) return status;
  return ValidateFiles("evaluation_files", spec.evaluation_files, 1);
}

}  // namespace headrace::ledger
