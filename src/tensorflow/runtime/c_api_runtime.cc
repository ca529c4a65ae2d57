// The part of the C interface that looks at what runs.
#include <nlohmann/json.hpp>
#include <string>

#include "stage/stage.h"
#include "stage/trace.h"
#include "tensorflow/c_api.h"
#include "tensorflow/c_api_result.h"
#include "tensorflow/runtime/process_domain.h"
#include "tensorflow/runtime/stage_directory.h"

using headrace::CopyForCaller;

extern "C" {

char* headrace_stats(const char* tag) {
  using nlohmann::json;
  json list = json::array();
  for (const headrace::stage::StageFigures& f : headrace::ProcessDomain()->Figures()) {
    if (*tag != '\0' && f.tag != tag) continue;
    list.push_back({{"name", f.name},
                    {"tag", f.tag},
                    {"produced", f.produced},
                    {"taken", f.taken},
                    {"failed", f.failed},
                    {"skipped", f.skipped},
                    {"discarded", f.discarded},
                    {"depth", f.depth},
                    {"depth_limit", f.depth_limit},
                    {"capacity", f.capacity},
                    {"num_threads", f.num_threads},
                    {"measuring", f.measuring},
                    {"waiting", f.waiting},
                    {"held_bytes", f.held_bytes},
                    {"producer_wait_us", f.producer_wait_us},
                    {"consumer_wait_us", f.consumer_wait_us},
                    {"read_us", f.read_us},
                    {"body_us", f.body_us},
                    {"copied_tensors", f.copied_tensors},
                    {"last_error", f.last_error}});
  }
  return CopyForCaller(
      json{{"version", 1}, {"stages", list}}.dump(-1, ' ', false, json::error_handler_t::replace));
}

int headrace_close(const char* tag) {
  const auto stages = headrace::StageDirectory::Get().Tagged(tag);
  for (const auto& stage : stages) stage->Close();
  return static_cast<int>(stages.size());
}

void headrace_trace_start(size_t max_events) {
  headrace::stage::Trace::Start(max_events);
}

char* headrace_trace_stop(void) {
  return CopyForCaller(headrace::stage::Trace::Stop());
}

}  // extern "C"
