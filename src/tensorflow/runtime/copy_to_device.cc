#include "tensorflow/runtime/copy_to_device.h"

#include <cstring>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "tensorflow/core/common_runtime/device.h"
#include "tensorflow/core/common_runtime/dma_helper.h"
#include "tensorflow/core/framework/allocator.h"
#include "tensorflow/core/framework/device_base.h"

namespace headrace {
namespace {

using ::tensorflow::AllocatorMemoryType;
using ::tensorflow::Device;
using ::tensorflow::DMAHelper;
using ::tensorflow::Tensor;

absl::Status Describe(const absl::Status& status, const Device& device) {
  return absl::Status(status.code(), absl::StrCat("copying a staged tensor to '", device.name(),
                                                  "' failed: ", status.message()));
}

// In memory that the device reads by itself, if it has an allocator of such memory; else `from`.
Tensor Pinned(const Tensor& from, Device* device) {
  tensorflow::AllocatorAttributes attr;
  attr.set_on_host(true);
  attr.set_gpu_compatible(true);
  tensorflow::Allocator* allocator = device->GetAllocator(attr);
  if (allocator->GetMemoryType() != AllocatorMemoryType::kHostPinned ||
      from.GetMemoryType() == AllocatorMemoryType::kHostPinned) {
    return from;
  }
  Tensor pinned(allocator, from.dtype(), from.shape());
  if (!pinned.IsInitialized()) return from;
  std::memcpy(DMAHelper::base(&pinned), DMAHelper::base(&from), from.TotalBytes());
  return pinned;
}

// The first error of copies that end on threads of the devices.
class FirstError {
 public:
  void Add(const absl::Status& status) {
    std::lock_guard<std::mutex> lock(mu_);
    status_.Update(status);
  }
  absl::Status Get() {
    std::lock_guard<std::mutex> lock(mu_);
    return status_;
  }

 private:
  std::mutex mu_;
  absl::Status status_;  // guarded by mu_
};

}  // namespace

absl::Status CopyToDevices(const std::vector<DeviceCopy>& wanted, Tensors* copies) {
  copies->assign(wanted.size(), Tensor());
  Tensors sources;  // stay until the devices have read them
  sources.reserve(wanted.size());
  FirstError error;
  absl::BlockingCounter open(static_cast<int>(wanted.size()));
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    Device* device = wanted[i].to;
    const auto ended = [device, &error, &open](const absl::Status& status) {
      if (!status.ok()) error.Add(Describe(status, *device));
      open.DecrementCount();
    };
    const Tensor& from = wanted[i].from;
    Tensor& copy = (*copies)[i];
    copy = Tensor(device->GetAllocator({}), from.dtype(), from.shape());
    const auto* info = device->tensorflow_accelerator_device_info();
    if (!copy.IsInitialized()) {
      ended(absl::ResourceExhaustedError(
          absl::StrCat("no memory for ", from.TotalBytes(), " bytes")));
    } else if (from.TotalBytes() == 0) {
      ended(absl::OkStatus());
    } else if (info == nullptr || info->default_context == nullptr) {
      ended(absl::InternalError("the device has no context for copies"));
    } else {
      sources.push_back(Pinned(from, device));
      info->default_context->CopyCPUTensorToDevice(&sources.back(), device, &copy, ended);
    }
  }
  open.Wait();
  return error.Get();
}

}  // namespace headrace
