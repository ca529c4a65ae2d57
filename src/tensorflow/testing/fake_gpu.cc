#include "tensorflow/testing/fake_gpu.h"

#include <pthread.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tensorflow/core/common_runtime/device.h"
#include "tensorflow/core/common_runtime/dma_helper.h"
#include "tensorflow/core/common_runtime/local_device.h"
#include "tensorflow/core/framework/allocator.h"
#include "tensorflow/core/framework/device_factory.h"
#include "tensorflow/core/framework/tensor.pb.h"
#include "tensorflow/core/platform/threadpool.h"
#include "tensorflow/core/public/session_options.h"

namespace headrace::fake_gpu {
namespace {

using ::tensorflow::Allocator;
using ::tensorflow::AllocatorAttributes;
using ::tensorflow::AllocatorMemoryType;
using ::tensorflow::Device;
using ::tensorflow::DeviceContext;
using ::tensorflow::DMAHelper;
using ::tensorflow::SessionOptions;
using ::tensorflow::StatusCallback;
using ::tensorflow::Tensor;

struct State {
  std::mutex mu;
  std::condition_variable changed;
  int physical = 1;
  std::vector<Copy> copies;
  int failing = 0;
  bool holding = false;
  int held = 0;
  std::map<const char*, std::size_t> buffers;  // in device memory
  bool died_too_early = false;
  std::set<std::string> run_on;
};

State& Shared() {
  static State* const state = new State;  // devices may outlive static destruction
  return *state;
}

std::string ThisThread() {
  char name[16] = "";
  pthread_getname_np(pthread_self(), name, sizeof(name));
  return name;
}

// Memory of one device.
class DeviceMemory : public Allocator {
 public:
  ~DeviceMemory() override {
    std::lock_guard<std::mutex> lock(Shared().mu);
    if (used_ > 0) Shared().died_too_early = true;
  }
  std::string Name() override { return "fake_gpu"; }
  AllocatorMemoryType GetMemoryType() const override { return AllocatorMemoryType::kDevice; }

  void* AllocateRaw(std::size_t alignment, std::size_t bytes) override {
    const std::size_t whole = (std::max<std::size_t>(bytes, 1) + alignment - 1) / alignment;
    auto* memory = static_cast<char*>(std::aligned_alloc(alignment, whole * alignment));
    std::lock_guard<std::mutex> lock(Shared().mu);
    Shared().buffers[memory] = whole * alignment;
    ++used_;
    return memory;
  }

  void DeallocateRaw(void* pointer) override {
    std::lock_guard<std::mutex> lock(Shared().mu);
    const auto found = Shared().buffers.find(static_cast<char*>(pointer));
    std::fill_n(static_cast<char*>(pointer), found->second, '\xdd');
    Shared().buffers.erase(found);
    --used_;
    std::free(pointer);
  }

 private:
  int used_ = 0;  // guarded by Shared().mu
};

class PinnedMemory : public Allocator {
 public:
  std::string Name() override { return "fake_gpu_host"; }
  AllocatorMemoryType GetMemoryType() const override { return AllocatorMemoryType::kHostPinned; }
  void* AllocateRaw(std::size_t alignment, std::size_t bytes) override {
    const std::size_t whole = (std::max<std::size_t>(bytes, 1) + alignment - 1) / alignment;
    return std::aligned_alloc(alignment, whole * alignment);
  }
  void DeallocateRaw(void* pointer) override { std::free(pointer); }
};

PinnedMemory* Pinned() {
  static auto* const memory = new PinnedMemory;
  return memory;
}

// The device's stream: copies run one after the other on a thread.
class Stream : public DeviceContext {
 public:
  Stream() : thread_(tensorflow::Env::Default(), tensorflow::ThreadOptions(), "fake_gpu", 1) {}

  void CopyCPUTensorToDevice(const Tensor* cpu, Device* device, Tensor* on_device,
                             StatusCallback done, bool) const override {
    Log(true, *cpu, device);
    const Tensor from = *cpu;
    thread_.Schedule([from, on_device, done = std::move(done)] {
      const bool fails = WaitForRelease();
      if (!fails) Recode(DMAHelper::base(&from), DMAHelper::base(on_device), from.TotalBytes());
      done(fails ? absl::InternalError("the fake GPU was told to fail") : absl::OkStatus());
    });
  }

  void CopyDeviceTensorToCPU(const Tensor* on_device, absl::string_view, Device* device,
                             Tensor* cpu, StatusCallback done) override {
    Log(false, *cpu, device);
    const Tensor from = *on_device;
    thread_.Schedule([from, cpu, done = std::move(done)] {
      Recode(DMAHelper::base(&from), DMAHelper::base(cpu), from.TotalBytes());
      done(absl::OkStatus());
    });
  }

  void CopyTensorInSameDevice(const Tensor* from, Device*, Tensor* to,
                              StatusCallback done) const override {
    std::copy_n(static_cast<const char*>(DMAHelper::base(from)), from->TotalBytes(),
                static_cast<char*>(DMAHelper::base(to)));
    done(absl::OkStatus());
  }

 private:
  static void Log(bool to_device, const Tensor& host, Device* device) {
    Copy copy;
    copy.to_device = to_device;
    copy.device = device->name();
    copy.asked_by = ThisThread();
    copy.bytes = static_cast<std::int64_t>(host.TotalBytes());
    copy.pinned = host.TotalBytes() > 0 && host.GetMemoryType() == AllocatorMemoryType::kHostPinned;
    std::lock_guard<std::mutex> lock(Shared().mu);
    Shared().copies.push_back(std::move(copy));
  }

  // True if the copy must fail.
  static bool WaitForRelease() {
    State& state = Shared();
    std::unique_lock<std::mutex> lock(state.mu);
    if (state.holding) {
      ++state.held;
      state.changed.notify_all();
      state.changed.wait(lock, [&state] { return !state.holding; });
      --state.held;
    }
    if (state.failing == 0) return false;
    --state.failing;
    return true;
  }

  mutable tensorflow::thread::ThreadPool thread_;
};

class FakeGpu : public tensorflow::LocalDevice {
 public:
  FakeGpu(const SessionOptions& options, const std::string& name, int physical)
      : LocalDevice(options, Device::BuildDeviceAttributes(
                                 name, tensorflow::DEVICE_GPU, tensorflow::Bytes(1 << 30), {},
                                 absl::StrCat("device: ", physical,
                                              ", name: fake, pci bus id: fake-", physical))),
        stream_(new Stream) {
    info_.default_context = stream_.get();
    info_.gpu_id = physical;
    set_tensorflow_accelerator_device_info(&info_);
  }

  Allocator* GetAllocator(AllocatorAttributes attr) override {
    if (!attr.on_host()) return &memory_;
    return attr.gpu_compatible() ? Pinned() : tensorflow::cpu_allocator();
  }
  absl::Status Sync() override { return absl::OkStatus(); }
  absl::Status TryGetDeviceContext(DeviceContext** context) override {
    stream_->Ref();
    *context = stream_.get();
    return absl::OkStatus();
  }
  absl::Status MakeTensorFromProto(const tensorflow::TensorProto& proto, AllocatorAttributes attr,
                                   Tensor* tensor) override {
    Tensor host;
    if (!host.FromProto(proto)) return absl::InvalidArgumentError("cannot parse the tensor");
    *tensor = host;
    if (attr.on_host() || !tensorflow::DataTypeCanUseMemcpy(host.dtype())) return absl::OkStatus();
    *tensor = Tensor(&memory_, host.dtype(), host.shape());
    Recode(DMAHelper::base(&host), DMAHelper::base(tensor), host.TotalBytes());
    return absl::OkStatus();
  }
  void CopyTensorInSameDevice(const Tensor* from, Tensor* to, const DeviceContext*,
                              StatusCallback done) override {
    stream_->CopyTensorInSameDevice(from, this, to, std::move(done));
  }

 private:
  DeviceMemory memory_;
  const tensorflow::core::RefCountPtr<Stream> stream_;
  AcceleratorDeviceInfo info_;
};

class FakeGpuFactory : public tensorflow::DeviceFactory {
 public:
  absl::Status ListPhysicalDevices(std::vector<std::string>* devices) override {
    for (int i = 0; i < Physical(); ++i) {
      devices->push_back(absl::StrCat("/physical_device:GPU:", i));
    }
    return absl::OkStatus();
  }

  absl::Status CreateDevices(const SessionOptions& options, const std::string& prefix,
                             std::vector<std::unique_ptr<Device>>* devices) override {
    const auto& counts = options.config.device_count();
    const auto limit = counts.find("GPU");
    const int physical =
        limit == counts.end() ? Physical() : std::min<int>(Physical(), limit->second);
    const auto& divided = options.config.gpu_options().experimental().virtual_devices();
    int logical = 0;
    for (int i = 0; i < physical; ++i) {
      const int parts = i < divided.size() ? std::max(divided.Get(i).memory_limit_mb_size(), 1) : 1;
      for (int part = 0; part < parts; ++part) {
        devices->push_back(
            std::make_unique<FakeGpu>(options, absl::StrCat(prefix, "/device:GPU:", logical++), i));
      }
    }
    return absl::OkStatus();
  }

 private:
  static int Physical() {
    std::lock_guard<std::mutex> lock(Shared().mu);
    return Shared().physical;
  }
};

REGISTER_LOCAL_DEVICE_FACTORY("GPU", FakeGpuFactory, 210);

}  // namespace

void SetPhysical(int physical) {
  std::lock_guard<std::mutex> lock(Shared().mu);
  Shared().physical = physical;
}

std::vector<Copy> Copies() {
  std::lock_guard<std::mutex> lock(Shared().mu);
  return Shared().copies;
}

void Forget() {
  std::lock_guard<std::mutex> lock(Shared().mu);
  Shared().copies.clear();
  Shared().failing = 0;
  Shared().holding = false;
  Shared().died_too_early = false;
  Shared().run_on.clear();
  Shared().changed.notify_all();
}

void FailCopies(int count) {
  std::lock_guard<std::mutex> lock(Shared().mu);
  Shared().failing = count;
}

void Hold() {
  std::lock_guard<std::mutex> lock(Shared().mu);
  Shared().holding = true;
}

void Release() {
  std::lock_guard<std::mutex> lock(Shared().mu);
  Shared().holding = false;
  Shared().changed.notify_all();
}

int Held() {
  std::lock_guard<std::mutex> lock(Shared().mu);
  return Shared().held;
}

bool Contains(const void* address) {
  const auto* byte = static_cast<const char*>(address);
  std::lock_guard<std::mutex> lock(Shared().mu);
  const auto& buffers = Shared().buffers;
  auto after = buffers.upper_bound(byte);
  if (after == buffers.begin()) return false;
  --after;
  return byte < after->first + after->second;
}

int LiveBuffers() {
  std::lock_guard<std::mutex> lock(Shared().mu);
  return static_cast<int>(Shared().buffers.size());
}

bool DiedTooEarly() {
  std::lock_guard<std::mutex> lock(Shared().mu);
  return Shared().died_too_early;
}

void NoteRun(const std::string& device) {
  std::lock_guard<std::mutex> lock(Shared().mu);
  Shared().run_on.insert(device);
}

std::set<std::string> RunOn() {
  std::lock_guard<std::mutex> lock(Shared().mu);
  return Shared().run_on;
}

void Recode(const void* from, void* to, std::size_t bytes) {
  const auto* in = static_cast<const unsigned char*>(from);
  auto* out = static_cast<unsigned char*>(to);
  for (std::size_t i = 0; i < bytes; ++i) out[i] = in[i] ^ 0x5a;
}

}  // namespace headrace::fake_gpu
