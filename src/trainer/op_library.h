// Users' own ops.
#ifndef HEADRACE_TRAINER_OP_LIBRARY_H_
#define HEADRACE_TRAINER_OP_LIBRARY_H_

#include <string>

#include "base/status.h"

namespace headrace::trainer {

// Loads a library of ops for the rest of the process. Errors: INVALID_ARGUMENT with the path and
// why.
Status LoadOpLibrary(const std::string& path);

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_OP_LIBRARY_H_
