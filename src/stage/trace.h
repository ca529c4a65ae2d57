// Spans of what stages do, for one process, as a Chrome trace.
#ifndef HEADRACE_STAGE_TRACE_H_
#define HEADRACE_STAGE_TRACE_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

namespace headrace::stage {

// Collects spans between Start() and Stop(). Costs one relaxed load where nothing is collected.
// Thread safety: every method may run concurrently.
// Bounds: keeps max_events; counts the rest, and the trace says how many there were.
class Trace {
 public:
  static void Start(std::size_t max_events);
  // Ends collecting; returns the trace in Chrome's JSON ("traceEvents"; ts and dur in
  // microseconds).
  static std::string Stop();
  static bool enabled() { return enabled_.load(std::memory_order_relaxed); }
  // `kind` must be a literal: "read", "body", "wait" or "step".
  static void Add(const char* kind, const std::string& name, std::uint64_t id,
                  std::chrono::steady_clock::time_point begin,
                  std::chrono::steady_clock::time_point end);

 private:
  static std::atomic<bool> enabled_;
};

// Adds a span from construction to destruction, if tracing was on at construction.
class TraceSpan {
 public:
  TraceSpan(const char* kind, const std::string& name, std::uint64_t id)
      : kind_(Trace::enabled() ? kind : nullptr), name_(name), id_(id) {
    if (kind_ != nullptr) begin_ = std::chrono::steady_clock::now();
  }
  TraceSpan(const char*, std::string&&, std::uint64_t) = delete;  // the name must outlive the span
  ~TraceSpan() {
    if (kind_ != nullptr) Trace::Add(kind_, name_, id_, begin_, std::chrono::steady_clock::now());
  }
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;

 private:
  const char* const kind_;
  const std::string& name_;
  const std::uint64_t id_;
  std::chrono::steady_clock::time_point begin_;
};

}  // namespace headrace::stage

#endif  // HEADRACE_STAGE_TRACE_H_
