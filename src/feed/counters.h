// Counts of what passed through ops of this process, for whoever runs the graph and wants to know
// how far a step is.
#ifndef HEADRACE_FEED_COUNTERS_H_
#define HEADRACE_FEED_COUNTERS_H_

#include <atomic>
#include <cstdint>

#include "feed/registry.h"

namespace headrace::feed {

using Counter = std::atomic<std::int64_t>;

// By name: graphs name the counter that their ops add to.
class Counters : public Registry<Counter> {
 public:
  static Counters& Get() {
    static auto* const counters = new Counters;
    return *counters;
  }

 private:
  Counters() : Registry("a counter") {}
};

}  // namespace headrace::feed

#endif  // HEADRACE_FEED_COUNTERS_H_
