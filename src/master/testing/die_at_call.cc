// To be preloaded: the process kills itself right before or right after its N-th call of a function
// that writes, as HEADRACE_DIE_AT says: "FUNCTION:before:N" or "FUNCTION:after:N", N from 1 on.
//
// A function that is not among those below, or a text that is not of that form, ends the program at
// once, with exit code 99.
#include <dlfcn.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

constexpr const char* kFunctions[] = {"pwrite64", "fdatasync", "fsync",  "ftruncate64",
                                      "unlink",   "rename",    "sendmsg"};

struct Fate {
  std::string function;
  bool before = false;
  long call = 0;  // 0: lives on
};

Fate ReadFate() {
  Fate fate;
  const char* text = std::getenv("HEADRACE_DIE_AT");
  if (text == nullptr) return fate;
  const std::string all(text);
  const std::size_t first = all.find(':'), second = all.find(':', first + 1);
  if (second == std::string::npos) _exit(99);
  fate.function = all.substr(0, first);
  const std::string when = all.substr(first + 1, second - first - 1);
  fate.before = when == "before";
  fate.call = std::atol(all.c_str() + second + 1);
  bool known = false;
  for (const char* function : kFunctions) known = known || fate.function == function;
  if (!known || fate.call < 1 || (!fate.before && when != "after")) _exit(99);
  return fate;
}

const Fate& TheFate() {
  static const Fate* const fate = new Fate(ReadFate());
  return *fate;
}

[[noreturn]] void Die() {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

template <class Function>
Function* Real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

// Calls `real`, unless this is where the process dies.
template <class Call>
auto Through(const char* name, std::atomic<long>* calls, const Call& real) {
  const Fate& fate = TheFate();
  const bool mine = fate.call > 0 && fate.function == name && ++*calls == fate.call;
  if (mine && fate.before) Die();
  const auto result = real();
  if (mine) Die();
  return result;
}

}  // namespace

// Same names, parameters and results as the C library's.
extern "C" {

#pragma GCC visibility push(default)

ssize_t pwrite64(int file, const void* bytes, size_t size, off64_t offset) {
  static const auto real = Real<decltype(pwrite64)>("pwrite64");
  static std::atomic<long> calls{0};
  return Through("pwrite64", &calls, [&] { return real(file, bytes, size, offset); });
}

int fdatasync(int file) {
  static const auto real = Real<decltype(fdatasync)>("fdatasync");
  static std::atomic<long> calls{0};
  return Through("fdatasync", &calls, [&] { return real(file); });
}

int fsync(int file) {
  static const auto real = Real<decltype(fsync)>("fsync");
  static std::atomic<long> calls{0};
  return Through("fsync", &calls, [&] { return real(file); });
}

int ftruncate64(int file, off64_t size) noexcept {
  static const auto real = Real<decltype(ftruncate64)>("ftruncate64");
  static std::atomic<long> calls{0};
  return Through("ftruncate64", &calls, [&] { return real(file, size); });
}

int unlink(const char* path) noexcept {
  static const auto real = Real<decltype(unlink)>("unlink");
  static std::atomic<long> calls{0};
  return Through("unlink", &calls, [&] { return real(path); });
}

int rename(const char* from, const char* to) noexcept {
  static const auto real = Real<decltype(rename)>("rename");
  static std::atomic<long> calls{0};
  return Through("rename", &calls, [&] { return real(from, to); });
}

ssize_t sendmsg(int socket, const msghdr* message, int flags) {
  static const auto real = Real<decltype(sendmsg)>("sendmsg");
  static std::atomic<long> calls{0};
  return Through("sendmsg", &calls, [&] { return real(socket, message, flags); });
}

#pragma GCC visibility pop

}  // extern "C"
