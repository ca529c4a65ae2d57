// Which resource has a stage::Source that reads ahead of it.
#ifndef HEADRACE_TENSORFLOW_RUNTIME_SOURCE_REGISTRY_H_
#define HEADRACE_TENSORFLOW_RUNTIME_SOURCE_REGISTRY_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "stage/source.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/resource_base.h"

namespace headrace {

// One source per resource: every stage in the process that reads an iterator, and every kernel that
// reads it without a stage, meets the same elements. A queue or reader has one source per node that
// reads it, since what one read returns is the node's business (dequeue, dequeue_many, ...).
//
// Ownership: a source lives as long as its resource; the registry holds the resource weakly. When
// the resource is destroyed, the source is closed. When a device clears its resource manager (a
// session ends), the sources on it are closed first, so that no read outlives the device. Thread
// safety: every method may run concurrently.
class SourceRegistry {
 public:
  static SourceRegistry& Get();

  using Make = std::function<absl::Status(std::shared_ptr<stage::Source>*)>;

  // The source of the resource that `handle` names, made by `make` if there is none. `reader` tells
  // the readers of one resource apart; empty for iterators.
  absl::Status FindOrMake(tensorflow::OpKernelContext* ctx,
                          const tensorflow::ResourceHandle& handle, const std::string& reader,
                          const Make& make, std::shared_ptr<stage::Source>* source);

  // Of an iterator, or null. Costs one load where nothing in the process is staged.
  std::shared_ptr<stage::Source> Find(tensorflow::OpKernelContext* ctx,
                                      const tensorflow::ResourceHandle& handle);

  // Closes a source that no stage reads any more, and forgets it.
  void CloseIfUnused(const std::shared_ptr<stage::Source>& source);

  // The state of a random op belongs to its session, not to a resource: shared by the plans that a
  // session makes one after the other, gone with the last of them.
  absl::Status FindOrMakeDraw(const std::string& session, const std::string& node, const Make& make,
                              std::shared_ptr<stage::Source>* source);

 private:
  SourceRegistry() = default;
};

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_RUNTIME_SOURCE_REGISTRY_H_
