// Where an agent and its training process meet.
#ifndef HEADRACE_WORKER_SOCKET_FOLDER_H_
#define HEADRACE_WORKER_SOCKET_FOLDER_H_

#include <string>

#include "base/status.h"

namespace headrace::worker {

// A folder of its own for a socket, which goes with it. An agent that is killed cannot remove its
// folder: the next one that is made in the same place does. Whose agent runs is told by a file in
// it, `lock`, which the agent has locked as long as it is there.
// Ownership: the destructor removes the folder.
class SocketFolder {
 public:
  SocketFolder() = default;
  ~SocketFolder();
  SocketFolder(const SocketFolder&) = delete;
  SocketFolder& operator=(const SocketFolder&) = delete;

  // base: the folder to make it in; empty: the one for temporary files. UNAVAILABLE with the reason
  // if it cannot be.
  Status Make(std::string base = "");
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int lock_ = -1;
};

}  // namespace headrace::worker

#endif  // HEADRACE_WORKER_SOCKET_FOLDER_H_
