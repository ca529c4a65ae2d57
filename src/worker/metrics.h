// The agent's figures for Prometheus.
#ifndef HEADRACE_WORKER_METRICS_H_
#define HEADRACE_WORKER_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <chrono>
#include <memory>
#include <string>

#include "base/status.h"

namespace headrace::worker {

// Thread safety: every method may run concurrently.
class Metrics {
 public:
  explicit Metrics(const std::string& worker);

  void Called(const char* method, Code code, std::chrono::nanoseconds took);
  void Restarted() { restarts_.Increment(); }
  void HoldsLeases(std::size_t leases) { leases_.Set(static_cast<double>(leases)); }

  // Serves them at http://127.0.0.1:PORT/metrics.
  Status Expose(int port);

 private:
  std::shared_ptr<prometheus::Registry> registry_;
  prometheus::Family<prometheus::Histogram>& calls_;
  prometheus::Counter& restarts_;
  prometheus::Gauge& leases_;
  std::unique_ptr<prometheus::Exposer> exposer_;
};

}  // namespace headrace::worker

#endif  // HEADRACE_WORKER_METRICS_H_
