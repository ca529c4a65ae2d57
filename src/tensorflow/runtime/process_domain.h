// The one stage::Domain of this process.
#ifndef HEADRACE_TENSORFLOW_RUNTIME_PROCESS_DOMAIN_H_
#define HEADRACE_TENSORFLOW_RUNTIME_PROCESS_DOMAIN_H_

#include <memory>

#include "stage/domain.h"

namespace headrace {

// Exists as long as somebody holds it; its watching thread ends with it. Logs to TensorFlow's log.
std::shared_ptr<stage::Domain> ProcessDomain();

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_RUNTIME_PROCESS_DOMAIN_H_
