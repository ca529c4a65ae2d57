// The feed of a program under `headrace run`: one connection to its agent for the process.
#ifndef HEADRACE_TENSORFLOW_RUNTIME_PROCESS_FEED_H_
#define HEADRACE_TENSORFLOW_RUNTIME_PROCESS_FEED_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/status.h"
#include "feed/client.h"

namespace headrace {

// Thread safety: every method may run concurrently.
// Errors: FAILED_PRECONDITION before Connect() and after Leave(); else as feed::Client.
class ProcessFeed {
 public:
  static ProcessFeed& Get();

  // ALREADY_EXISTS if there is one. *welcome: JSON {"worker", "number", "job"}.
  Status Connect(const std::string& socket, const std::string& program, int prefetch,
                 std::string* welcome);
  // An iterator has given these records to the program.
  void HandedOut(std::int64_t records);
  // A step that used these records was applied.
  Status Commit(const std::vector<std::int64_t>& identities);
  // An iterator has ended; *more: there may be more for another one.
  Status IteratorEnded(bool* more);
  Status IteratorFailed(const Status& error);
  // Batches of a program that cannot name them (Keras's fit) are committed in the order in which
  // they were noted. OUT_OF_RANGE if fewer than `count` are there.
  void Note(std::vector<std::int64_t> identities);
  Status CommitNoted(std::int64_t count);
  // The last word; closes the connection.
  Status Leave(const Status& error);

 private:
  // Null and an error if there is no connection.
  Status Client(std::shared_ptr<feed::Client>* client) const;
  void Count(std::size_t records);
  void TellLocked();

  mutable std::mutex mu_;
  std::shared_ptr<feed::Client> client_;  // guarded by mu_, as is all below
  std::deque<std::vector<std::int64_t>> noted_;
  feed::Telemetry telemetry_;
};

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_RUNTIME_PROCESS_FEED_H_
