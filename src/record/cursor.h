// One format's records in order, from some offset on; what RecordFile, indexing and verifying
// share.
#ifndef HEADRACE_RECORD_CURSOR_H_
#define HEADRACE_RECORD_CURSOR_H_

#include <cstdint>
#include <string_view>

#include "base/status.h"

namespace headrace::record {

// Thread safety: one thread at a time.
// Errors: after the first one, and at the end, every call returns false; status() says which.
class Cursor {
 public:
  virtual ~Cursor() = default;

  // The next record, valid until the next call. False at the end or with an error.
  virtual bool Next(std::string_view* record) = 0;
  // Goes past the next record. Checks only what it takes to find its end, so that a record with
  // damaged contents can be left out.
  virtual bool Skip() = 0;

  // Of the record (for RecordIO: of its chunk) that the last call was about, in the unpacked file.
  virtual std::uint64_t offset() const = 0;
  const Status& status() const { return status_; }

 protected:
  bool Fail(Status status) {
    status_ = std::move(status);
    return false;
  }

  Status status_;
};

}  // namespace headrace::record

#endif  // HEADRACE_RECORD_CURSOR_H_
