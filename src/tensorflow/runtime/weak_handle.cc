#include "tensorflow/runtime/weak_handle.h"

#include "tensorflow/core/framework/type_index.h"

namespace headrace {

using ::tensorflow::ResourceBase;
using ::tensorflow::ResourceHandle;
using ::tensorflow::Tensor;

namespace {

void CopyName(const ResourceHandle& from, ResourceHandle* to) {
  to->set_device(from.device());
  to->set_container(from.container());
  to->set_name(from.name());
  to->set_hash_code(from.hash_code());
  to->set_maybe_type_name(from.maybe_type_name());
  to->set_dtypes_and_shapes(from.dtypes_and_shapes());
}

}  // namespace

WeakHandle::WeakHandle(const ResourceHandle& handle) {
  CopyName(handle, &name_);
  if (handle.IsRefCounting()) owned_.emplace(handle.resource().get());
}

std::optional<Tensor> WeakHandle::Lock() const {
  Tensor tensor(tensorflow::DT_RESOURCE, {});
  ResourceHandle& handle = tensor.scalar<ResourceHandle>()();
  handle = name_;
  if (!owned_) return tensor;
  auto resource = owned_->GetNewRef();
  if (resource == nullptr) return std::nullopt;
  // The type is part of the name.
  handle = ResourceHandle::MakeRefCountingHandle(resource.release(), name_.device(),
                                                 tensorflow::TypeIndex::Make<ResourceBase>());
  CopyName(name_, &handle);
  return tensor;
}

}  // namespace headrace
