#include "worker/metrics.h"

#include <exception>

namespace headrace::worker {

namespace {

const prometheus::Histogram::BucketBoundaries& Buckets() {
  static const auto* const bounds = new prometheus::Histogram::BucketBoundaries{
      0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 10};
  return *bounds;
}

}  // namespace

Metrics::Metrics(const std::string& worker)
    : registry_(std::make_shared<prometheus::Registry>()),
      calls_(prometheus::BuildHistogram()
                 .Name("headrace_worker_call_seconds")
                 .Help("Calls to the master, by method and code.")
                 .Labels({{"worker", worker}})
                 .Register(*registry_)),
      restarts_(prometheus::BuildCounter()
                    .Name("headrace_worker_restarts_total")
                    .Help("Times that the training process was started again.")
                    .Labels({{"worker", worker}})
                    .Register(*registry_)
                    .Add({})),
      leases_(prometheus::BuildGauge()
                  .Name("headrace_worker_leases")
                  .Help("Leases in hand.")
                  .Labels({{"worker", worker}})
                  .Register(*registry_)
                  .Add({})) {}

void Metrics::Called(const char* method, Code code, std::chrono::nanoseconds took) {
  calls_.Add({{"method", method}, {"code", CodeName(code)}}, Buckets())
      .Observe(std::chrono::duration<double>(took).count());
}

Status Metrics::Expose(int port) {
  const std::string address = "127.0.0.1:" + std::to_string(port);
  try {
    exposer_ = std::make_unique<prometheus::Exposer>(address, 1);
  } catch (const std::exception& error) {
    return {Code::kUnavailable, "metrics: " + address + " cannot be had: " + error.what()};
  }
  exposer_->RegisterCollectable(registry_);
  return {};
}

}  // namespace headrace::worker
