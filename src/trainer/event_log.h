// What TensorBoard shows of a job.
#ifndef HEADRACE_TRAINER_EVENT_LOG_H_
#define HEADRACE_TRAINER_EVENT_LOG_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/status.h"

namespace tensorflow {
class EventsWriter;
}  // namespace tensorflow

namespace headrace::trainer {

// Event files, one a process. Thread safety: one thread at a time.
class EventLog {
 public:
  // "": nothing is written.
  explicit EventLog(const std::string& directory);
  ~EventLog();

  void Add(std::int64_t step, const std::map<std::string, double>& values);
  // UNAVAILABLE if the file cannot be written: once, for the log.
  Status Flush();

 private:
  const std::string directory_;
  std::unique_ptr<tensorflow::EventsWriter> writer_;  // null: nothing is written
};

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_EVENT_LOG_H_
