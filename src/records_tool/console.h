// What the commands share in talking to people and to programs.
#ifndef HEADRACE_RECORDS_TOOL_CONSOLE_H_
#define HEADRACE_RECORDS_TOOL_CONSOLE_H_

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "base/status.h"

namespace headrace::records_tool {

// One line on standard error. A status gives its message, without the code.
void Complain(const std::string& text);
void Complain(const Status& status);

// On standard output. False, having complained, if it cannot be written.
bool Print(const std::string& text);
bool PrintJson(const nlohmann::json& json);

// From now on, SIGINT and SIGTERM only set what Interrupted() tells, so that a command that writes
// can remove what it has begun.
void CatchInterrupts();
bool Interrupted();
Status InterruptedError();  // CANCELLED
// Waits until reading `fd` does not block: then true; false once Interrupted().
bool WaitForInput(int fd);

// How far a long command is, on standard error if that is a terminal, a few times a second.
// Thread safety: one thread at a time.
class Progress {
 public:
  // `total` 0: not known.
  Progress(std::string doing, std::uint64_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Add() {
    if (++done_ % 1024 == 0 && shown_) Show();
  }

 private:
  void Show();

  const std::string doing_;
  const std::uint64_t total_;
  const bool shown_;
  std::uint64_t done_ = 0;
  std::chrono::steady_clock::time_point next_;
};

}  // namespace headrace::records_tool

#endif  // HEADRACE_RECORDS_TOOL_CONSOLE_H_
