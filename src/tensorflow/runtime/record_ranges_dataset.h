// What the iterator of Headrace>RecordRangesDataset can do beyond handing out elements.
#ifndef HEADRACE_TENSORFLOW_RUNTIME_RECORD_RANGES_DATASET_H_
#define HEADRACE_TENSORFLOW_RUNTIME_RECORD_RANGES_DATASET_H_

#include <cstdint>

#include "absl/status/status.h"
#include "tensorflow/core/platform/tstring.h"

namespace headrace {

class BatchReader {
 public:
  virtual ~BatchReader() = default;
  // Up to `limit` records and their identities, without a tensor for each; *count: fewer at the
  // end.
  virtual absl::Status ReadBatch(std::int64_t limit, std::int64_t* identities,
                                 tensorflow::tstring* records, std::int64_t* count) = 0;
};

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_RUNTIME_RECORD_RANGES_DATASET_H_
