// The model that a job ends with: what `headrace export` prepared for serving, with trained values.
#ifndef HEADRACE_TRAINER_SERVING_MODEL_H_
#define HEADRACE_TRAINER_SERVING_MODEL_H_

#include <string>

#include "base/status.h"

namespace headrace::trainer {

// Copies the SavedModel `untrained` to `output` (by one rename, in place of what is there), with
// the values of the checkpoint at `prefix` for its variables. keys: key of a variable of the
// SavedModel -> key of its value in the checkpoint; variables without one stay as they are. Errors:
// NOT_FOUND, DATA_LOSS if a value is missing or of another dtype or shape; of the system.
Status WriteServingModel(const std::string& untrained, const std::string& prefix,
                         const std::string& output);

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_SERVING_MODEL_H_
