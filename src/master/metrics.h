// The master's figures for Prometheus.
#ifndef HEADRACE_MASTER_METRICS_H_
#define HEADRACE_MASTER_METRICS_H_

#include <prometheus/exposer.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <chrono>
#include <memory>
#include <string>

#include "base/status.h"
#include "master/dispatcher.h"

namespace headrace::master {

// Thread safety: every method may run concurrently.
class Metrics {
 public:
  Metrics();

  // A call was answered.
  void Answered(const char* method, Code code, std::chrono::nanoseconds took);

  // Serves them, and what `dispatcher` knows when asked, at http://HOST:PORT/metrics. The
  // dispatcher outlives this.
  Status Expose(const std::string& address, Dispatcher* dispatcher);

 private:
  class FromState;

  std::shared_ptr<prometheus::Registry> registry_;
  prometheus::Family<prometheus::Histogram>& calls_;
  std::shared_ptr<FromState> from_state_;
  std::unique_ptr<prometheus::Exposer> exposer_;
};

}  // namespace headrace::master

#endif  // HEADRACE_MASTER_METRICS_H_
