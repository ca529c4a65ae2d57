// A device of type "GPU" for tests on machines without one. A process has it once this is linked or
// loaded; other tests see no GPU.
//
// Its memory is host memory from an allocator of its own, and every byte in it is encoded: what
// reads or writes it as if it were the host's gets garbage. Copies to and from it run on a thread
// of the device, and are logged with the thread that asked for them.
#ifndef HEADRACE_TENSORFLOW_TESTING_FAKE_GPU_H_
#define HEADRACE_TENSORFLOW_TESTING_FAKE_GPU_H_

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace headrace::fake_gpu {

// A session gets one device for each of `physical` GPUs (at first 1), at most device_count["GPU"];
// more, named in one row, where gpu_options.experimental.virtual_devices divides one.
void SetPhysical(int physical);

struct Copy {
  bool to_device = false;
  std::string device;    // full name
  std::string asked_by;  // name of the thread
  std::int64_t bytes = 0;
  bool pinned = false;  // the host's side is in pinned memory
};
std::vector<Copy> Copies();
// Forgets what was logged, and what was asked for by the calls below.
void Forget();

// The next `count` copies to a device fail.
void FailCopies(int count);
// From now on copies to a device do not end, until Release().
void Hold();
void Release();
// How many have begun and are held.
int Held();

// Whether the address is in some device's memory.
bool Contains(const void* address);
// Buffers in use, of all devices.
int LiveBuffers();
// Whether a device went while a copy was asked for and not done, or before all its buffers.
bool DiedTooEarly();

// On which devices Headrace>FakeDouble ran, each once.
void NoteRun(const std::string& device);
std::set<std::string> RunOn();

// Between the encoding of device memory and plain bytes, both ways.
void Recode(const void* from, void* to, std::size_t bytes);

}  // namespace headrace::fake_gpu

#endif  // HEADRACE_TENSORFLOW_TESTING_FAKE_GPU_H_
