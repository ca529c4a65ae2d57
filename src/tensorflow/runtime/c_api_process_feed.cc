// The part of the C interface for programs under `headrace run`.
#include <string>
#include <vector>

#include "tensorflow/c_api.h"
#include "tensorflow/c_api_result.h"
#include "tensorflow/runtime/convert.h"
#include "tensorflow/runtime/process_feed.h"

namespace {

using headrace::Code;
using headrace::ProcessFeed;
using headrace::Status;

int Report(const Status& status, char** error) {
  return headrace::ReportToCaller(headrace::ToAbsl(status), error);
}

}  // namespace

extern "C" {

int headrace_feed_connect(const char* socket, const char* program, int prefetch, char** welcome,
                          char** error) {
  std::string text;
  const Status status = ProcessFeed::Get().Connect(socket, program, prefetch, &text);
  *welcome = status.ok() ? headrace::CopyForCaller(text) : nullptr;
  return Report(status, error);
}

int headrace_feed_commit(const int64_t* identities, size_t count, char** error) {
  return Report(ProcessFeed::Get().Commit({identities, identities + count}), error);
}

int headrace_feed_commit_noted(int64_t count, char** error) {
  return Report(ProcessFeed::Get().CommitNoted(count), error);
}

int headrace_feed_iterator_failed(int code, const char* message, char** error) {
  return Report(ProcessFeed::Get().IteratorFailed(Status(static_cast<Code>(code), message)), error);
}

int headrace_feed_leave(const char* why, char** error) {
  const Status reason = *why == '\0' ? Status() : Status(Code::kUnknown, why);
  return Report(ProcessFeed::Get().Leave(reason), error);
}

}  // extern "C"
