// A resource's handle that does not keep the resource alive.
#ifndef HEADRACE_TENSORFLOW_RUNTIME_WEAK_HANDLE_H_
#define HEADRACE_TENSORFLOW_RUNTIME_WEAK_HANDLE_H_

#include <optional>

#include "tensorflow/core/framework/resource_base.h"
#include "tensorflow/core/framework/resource_handle.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/platform/refcount.h"

namespace headrace {

// Handles of eager code own what they name: an iterator ends when the last of them goes, and a
// stage that reads it must not hold one. Other resources belong to their manager, and the handle is
// a name. Thread safety: constant after construction.
class WeakHandle {
 public:
  explicit WeakHandle(const tensorflow::ResourceHandle& handle);

  // A scalar that names the resource, and owns it if handles do; none if it is gone.
  std::optional<tensorflow::Tensor> Lock() const;

 private:
  tensorflow::ResourceHandle name_;  // owns nothing
  std::optional<tensorflow::core::WeakPtr<tensorflow::ResourceBase>> owned_;
};

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_RUNTIME_WEAK_HANDLE_H_
