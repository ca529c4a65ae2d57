// Between the pure runtime's types and TensorFlow's.
#ifndef HEADRACE_TENSORFLOW_RUNTIME_CONVERT_H_
#define HEADRACE_TENSORFLOW_RUNTIME_CONVERT_H_

#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/status.h"
#include "stage/element.h"
#include "tensorflow/core/framework/tensor.h"

namespace headrace {

inline Status FromAbsl(const absl::Status& status) {
  return status.ok() ? Status()
                     : Status(static_cast<Code>(status.raw_code()), std::string(status.message()));
}

inline absl::Status ToAbsl(const Status& status) {
  return status.ok() ? absl::OkStatus()
                     : absl::Status(static_cast<absl::StatusCode>(status.code()), status.message());
}

// What every stage::Payload of this side points to.
using Tensors = std::vector<tensorflow::Tensor>;

inline const Tensors& TensorsOf(const stage::Payload& payload) {
  return *static_cast<const Tensors*>(payload.get());
}

// Requires: nobody else holds the payload.
inline Tensors& MutableTensorsOf(const stage::Payload& payload) {
  return *static_cast<Tensors*>(const_cast<void*>(payload.get()));
}

inline stage::ReadResult ToReadResult(const absl::Status& status, Tensors tensors) {
  stage::ReadResult result;
  result.status = FromAbsl(status);
  if (!status.ok()) return result;
  for (const tensorflow::Tensor& tensor : tensors) result.bytes += tensor.TotalBytes();
  result.value = std::make_shared<Tensors>(std::move(tensors));
  return result;
}

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_RUNTIME_CONVERT_H_
