#include "trainer/event_log.h"

#include <filesystem>
#include <system_error>

#include "tensorflow/core/framework/summary.pb.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/util/event.pb.h"
#include "tensorflow/core/util/events_writer.h"
#include "tensorflow/runtime/convert.h"

namespace headrace::trainer {

EventLog::EventLog(const std::string& directory) : directory_(directory) {
  if (directory.empty()) return;
  std::error_code ignored;  // what is wrong with it, writing says
  std::filesystem::create_directories(directory, ignored);
  writer_ = std::make_unique<tensorflow::EventsWriter>(directory + "/events");
}

EventLog::~EventLog() {
  if (writer_ != nullptr) writer_->Close().IgnoreError();
}

void EventLog::Add(std::int64_t step, const std::map<std::string, double>& values) {
  if (writer_ == nullptr) return;
  tensorflow::Event event;
  event.set_step(step);
  event.set_wall_time(static_cast<double>(tensorflow::Env::Default()->NowMicros()) / 1e6);
  for (const auto& [name, value] : values) {
    auto* const summary = event.mutable_summary()->add_value();
    summary->set_tag(name);
    summary->set_simple_value(static_cast<float>(value));
  }
  writer_->WriteEvent(event);
}

Status EventLog::Flush() {
  if (writer_ == nullptr) return Status();
  const absl::Status status = writer_->Flush();
  if (status.ok()) return Status();
  writer_.reset();
  return Status(Code::kUnavailable, "TensorBoard's events cannot be written to " + directory_ +
                                        ": " + std::string(status.message()));
}

}  // namespace headrace::trainer
