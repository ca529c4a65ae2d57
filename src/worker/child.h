// A command in a process group of its own.
#ifndef HEADRACE_WORKER_CHILD_H_
#define HEADRACE_WORKER_CHILD_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace headrace::worker {

// Processes that it leaves behind become children of this process (BecomeReaper()), and are killed
// with it. It is killed when the thread that started it ends: start it from main's.
//
// Ownership: the destructor kills what still runs.
// Thread safety: none.
class Child {
 public:
  struct Options {
    std::vector<std::string> command;
    std::vector<std::pair<std::string, std::string>> environment;  // beside this process's own
    std::string log;  // file that its output is appended to; empty: this process's own output
  };

  Child() = default;
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // To be called once, before any child is started.
  static void BecomeReaper();
  // NOT_FOUND if there is no such program.
  static Status CheckCommand(const std::string& program);

  Status Start(const Options& options);
  pid_t pid() const { return pid_; }
  // True once it has ended; *how then says how: "exit code 3".
  bool Ended(std::string* how);
  // To its group.
  void Signal(int signal);
  // The last line of its output that may say why it ended; empty: there is none, or no log.
  std::string LastLine() const;
  // Ends everything that is left of it: TERM, and KILL after `grace`.
  void EndAll(std::chrono::milliseconds grace);

 private:
  bool Alive();  // any of its group

  pid_t pid_ = 0;  // 0: none
  bool ended_ = false;
  int wait_status_ = 0;
  std::string log_;
  std::int64_t log_begin_ = 0;  // of its own output
};

// "exit code 3", "killed by signal 9 (KILL)".
std::string Describe(int wait_status);
// The last line of a file, from this byte on, that may say why a process ended: what TensorFlow
// logs as information or warnings and Python's warnings are left out. Cut to some length.
std::string LastLine(const std::string& path, std::int64_t begin = 0);

}  // namespace headrace::worker

#endif  // HEADRACE_WORKER_CHILD_H_
