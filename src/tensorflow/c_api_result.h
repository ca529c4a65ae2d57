// How functions of the C interface hand out texts and errors.
#ifndef HEADRACE_TENSORFLOW_C_API_RESULT_H_
#define HEADRACE_TENSORFLOW_C_API_RESULT_H_

#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/status/status.h"

namespace headrace {

// For headrace_free(). Bytes may be of any value; a zero byte is appended.
inline char* CopyForCaller(const std::string& bytes) {
  char* copy = static_cast<char*>(std::malloc(bytes.size() + 1));
  if (copy != nullptr) std::memcpy(copy, bytes.c_str(), bytes.size() + 1);
  return copy;
}

// Returns the status code; sets *error to the message, null if OK. `error` may be null.
inline int ReportToCaller(const absl::Status& status, char** error) {
  if (error != nullptr) {
    *error = status.ok() ? nullptr : CopyForCaller(std::string(status.message()));
  }
  return static_cast<int>(status.code());
}

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_C_API_RESULT_H_
