// The description that `headrace export` leaves beside a job's SavedModel (docs/formats.md,
// "Exported job").
#ifndef HEADRACE_TRAINER_EXPORTED_JOB_H_
#define HEADRACE_TRAINER_EXPORTED_JOB_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"

namespace headrace::trainer {

struct ElementSpec {
  std::string name;
  std::string dtype;  // "float32"
  bool known_rank = false;
  std::vector<std::int64_t> shape;  // -1: not known
};

struct DatasetSpec {
  std::string signature;
  std::string account;  // that its ops report to
  std::vector<ElementSpec> elements;
};

struct FunctionSpec {
  std::string signature;
  std::vector<std::string> inputs;
};

struct ExportedJob {
  static constexpr int kVersion = 1;

  std::string directory;
  std::string model_file;
  DatasetSpec training, evaluation, prediction;
  FunctionSpec train, evaluate, metrics, predict;
  std::int64_t sums = 0;             // numbers that `evaluate` gives
  std::vector<ElementSpec> outputs;  // of predict
  std::map<std::string, int> lines;  // op -> line of model_file
};

// Errors: NOT_FOUND, DATA_LOSS (file and what is wrong), UNIMPLEMENTED (a newer version, by name).
Status LoadExportedJob(const std::string& directory, ExportedJob* job);

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_EXPORTED_JOB_H_
