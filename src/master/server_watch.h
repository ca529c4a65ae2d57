// Whether a job's parameter servers answer, for people who ask.
#ifndef HEADRACE_MASTER_SERVER_WATCH_H_
#define HEADRACE_MASTER_SERVER_WATCH_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"

namespace headrace::master {

// What is known of one server.
struct ServerLook {
  enum class State : std::uint8_t { kUnknown, kAnswers, kSilent };

  std::string address;
  State state = State::kUnknown;
  std::int64_t since_ms = 0;  // of the state, by the master's clock
  std::string why;            // kSilent
};

// Connects to each server and hangs up, again and again, on a thread of its own. That nobody
// answers says nothing of the model: a server that was started again has lost it, which trainers
// find.
//
// Ownership: owns its thread, which ends with it.
// Thread safety: looks() from any.
class ServerWatch {
 public:
  struct Options {
    std::function<std::int64_t()> now_ms;
    std::function<Status(const std::string& address)> reach;
    std::chrono::milliseconds every{1000};
  };
  ServerWatch(const std::vector<std::string>& addresses, Options options);
  ~ServerWatch();
  ServerWatch(const ServerWatch&) = delete;
  ServerWatch& operator=(const ServerWatch&) = delete;

  std::vector<ServerLook> looks() const;

 private:
  void Run();

  const Options options_;
  mutable std::mutex mu_;
  std::condition_variable cv_;
  std::vector<ServerLook> looks_;  // guarded by mu_, as is the next; addresses do not change
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace headrace::master

#endif  // HEADRACE_MASTER_SERVER_WATCH_H_
