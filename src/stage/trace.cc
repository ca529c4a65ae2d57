#include "stage/trace.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <vector>

namespace headrace::stage {
namespace {

struct Event {
  const char* kind;
  std::string name;
  std::uint64_t id;
  std::int64_t thread;
  std::chrono::steady_clock::time_point begin, end;
};

struct Collected {
  std::mutex mu;
  std::size_t max_events = 0;
  std::size_t dropped = 0;
  std::chrono::steady_clock::time_point start;
  std::vector<Event> events;
};

// Tracks that are no thread are numbered from here: no thread's id is as large (PID_MAX_LIMIT).
constexpr std::int64_t kFirstTrack = std::int64_t{1} << 23;

Collected& Collector() {
  static Collected* const collected = new Collected;  // never destroyed: stages may outlive statics
  return *collected;
}

double Microseconds(std::chrono::steady_clock::duration d) {
  return std::chrono::duration<double, std::micro>(d).count();
}

std::string TrackName(const std::string& kind, const std::string& name) {
  if (kind == "step") return "training step (" + name + ")";
  if (kind == "wait") return "waiting for " + name;
  return (kind == "read" ? "hr-read (" : "hr-stage (") + name + ")";
}

}  // namespace

std::atomic<bool> Trace::enabled_{false};

void Trace::Start(std::size_t max_events) {
  Collected& c = Collector();
  std::lock_guard<std::mutex> lock(c.mu);
  c.max_events = max_events;
  c.dropped = 0;
  c.events.clear();
  c.start = std::chrono::steady_clock::now();
  enabled_.store(true, std::memory_order_relaxed);
}

void Trace::Add(const char* kind, const std::string& name, std::uint64_t id,
                std::chrono::steady_clock::time_point begin,
                std::chrono::steady_clock::time_point end) {
  Collected& c = Collector();
  const std::int64_t thread = ::syscall(SYS_gettid);
  std::lock_guard<std::mutex> lock(c.mu);
  if (!enabled()) return;
  if (c.events.size() >= c.max_events) {
    ++c.dropped;
    return;
  }
  c.events.push_back({kind, name, id, thread, std::max(begin, c.start), end});
}

std::string Trace::Stop() {
  using nlohmann::json;
  Collected& c = Collector();
  std::vector<Event> events;
  std::size_t dropped;
  {
    std::lock_guard<std::mutex> lock(c.mu);
    enabled_.store(false, std::memory_order_relaxed);
    events.swap(c.events);
    dropped = c.dropped;
  }
  // Steps and waits are no thread's (a step may go on elsewhere after each op, and whoever takes
  // next ends one), so each stage gets tracks for them, besides the real threads.
  const int pid = ::getpid();
  std::map<std::string, std::int64_t> tracks;
  std::map<std::int64_t, std::string> names;  // of tracks, for people
  json list = json::array();
  for (const Event& e : events) {
    std::int64_t track = e.thread;
    if (std::string(e.kind) == "step" || std::string(e.kind) == "wait") {
      track = tracks
                  .emplace(TrackName(e.kind, e.name),
                           kFirstTrack + static_cast<std::int64_t>(tracks.size()))
                  .first->second;
    }
    names.emplace(track, TrackName(e.kind, e.name));
    list.push_back({{"name", std::string(e.kind) + " " + e.name},
                    {"cat", e.kind},
                    {"ph", "X"},
                    {"pid", pid},
                    {"tid", track},
                    {"ts", Microseconds(e.begin - c.start)},
                    {"dur", Microseconds(e.end - e.begin)},
                    {"args", {{"ticket", e.id}}}});
  }
  for (const auto& [track, name] : names) {
    list.push_back({{"name", "thread_name"},
                    {"ph", "M"},
                    {"pid", pid},
                    {"tid", track},
                    {"args", {{"name", name}}}});
  }
  return json{{"traceEvents", list},
              {"displayTimeUnit", "ms"},
              {"otherData", {{"version", 1}, {"dropped_events", dropped}}}}
      .dump(-1, ' ', false, json::error_handler_t::replace);  // a name need not be UTF-8
}

}  // namespace headrace::stage
