// The result of an operation that can fail, for the libraries that know nothing of TensorFlow.
//
// Codes are the canonical ones (google/rpc/code.proto), so that they convert to and from
// absl::Status by number. abseil itself is not used here: libheadrace.so must use the copy inside
// the TensorFlow wheel, the tests of the pure libraries must not, and the two never mix.
#ifndef HEADRACE_BASE_STATUS_H_
#define HEADRACE_BASE_STATUS_H_

#include <string>
#include <string_view>
#include <utility>

namespace headrace {

enum class Code : int {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

// "OUT_OF_RANGE" and so on; "CODE_42" for a number that is no canonical code.
std::string CodeName(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  // "OK" or "CODE_NAME: message".
  std::string ToString() const;

  // For a failure that the caller has decided to disregard.
  void IgnoreError() const {}

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

}  // namespace headrace

#endif  // HEADRACE_BASE_STATUS_H_
