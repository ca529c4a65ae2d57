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

// What a synchronous step takes from a batch: a variable's gradient, or its new value.
struct GradientSpec {
  std::string name;      // "gradient_0", "state_0"
  std::string variable;  // as the model calls it
  bool sparse = false;   // rows: name + "_indices" and name + "_values"
  std::string dtype;
  std::vector<std::int64_t> shape;  // of the variable

  std::string indices() const { return name + "_indices"; }
  std::string values() const { return name + "_values"; }
};

struct ExportedJob {
  static constexpr int kVersion = 1;

  std::string directory;
  std::string id;  // of this export: no other has it; "": it has none
  std::string model_file;
  DatasetSpec training, evaluation, prediction;
  FunctionSpec train, evaluate, metrics, predict;
  // For variables on parameter servers. No gradients: the step cannot be done in parts.
  bool sharded = false;
  FunctionSpec gradients;
  std::vector<GradientSpec> gradient_specs, state_specs;
  // The outputs of `gradients`, in order: loss, gradients, state.
  std::vector<std::string> GradientOutputs() const;
  std::int64_t sums = 0;             // numbers that `evaluate` gives
  std::vector<ElementSpec> outputs;  // of predict
  std::map<std::string, int> lines;  // op -> line of model_file
};

// Errors: NOT_FOUND, DATA_LOSS (file and what is wrong), UNIMPLEMENTED (a newer version, by name).
Status LoadExportedJob(const std::string& directory, ExportedJob* job);

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_EXPORTED_JOB_H_
