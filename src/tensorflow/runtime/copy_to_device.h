// Copies tensors from the host into the memory of accelerators.
#ifndef HEADRACE_TENSORFLOW_RUNTIME_COPY_TO_DEVICE_H_
#define HEADRACE_TENSORFLOW_RUNTIME_COPY_TO_DEVICE_H_

#include <vector>

#include "absl/status/status.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/runtime/convert.h"

namespace tensorflow {
class Device;
}  // namespace tensorflow

namespace headrace {

struct DeviceCopy {
  tensorflow::Tensor from;  // in host memory
  tensorflow::Device* to;
};

// Asks the devices for all copies at once, through pinned memory where the device has that, and
// waits until each has ended: a copy cannot be cancelled, and writes to memory that must stay.
// Afterwards `copies` has one tensor in device memory for each of `wanted`. Errors: the first one,
// with the device's name; RESOURCE_EXHAUSTED if it has no memory left.
// Requires: the devices live until this returns, and longer than the copies.
// Thread safety: may be called by several threads at a time.
absl::Status CopyToDevices(const std::vector<DeviceCopy>& wanted, Tensors* copies);

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_RUNTIME_COPY_TO_DEVICE_H_
