// One raw element of a source, and what a read returns.
#ifndef HEADRACE_STAGE_ELEMENT_H_
#define HEADRACE_STAGE_ELEMENT_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/status.h"

namespace headrace::stage {

// What a read or a body produced; only the side that made it knows the type. Never modified after
// it was handed over, so it may be shared between threads.
using Payload = std::shared_ptr<const void>;

struct ReadResult {
  Status status;
  Payload value;          // null if the status is not OK
  std::size_t bytes = 0;  // payload held by `value`
};

struct Element {
  std::uint64_t sequence = 0;  // position in its source, counted from 0; never reused
  ReadResult read;
};

using ElementPtr = std::shared_ptr<const Element>;

}  // namespace headrace::stage

#endif  // HEADRACE_STAGE_ELEMENT_H_
