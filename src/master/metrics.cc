#include "master/metrics.h"

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <exception>
#include <future>
#include <utility>
#include <vector>

namespace headrace::master {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

const prometheus::Histogram::BucketBoundaries kSeconds = {
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 10, 100};

MetricFamily Family(const char* name, const char* help, MetricType type) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  return family;
}

void Add(MetricFamily* family, double value, std::vector<ClientMetric::Label> labels = {}) {
  ClientMetric metric;
  metric.label = std::move(labels);
  if (family->type == MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  family->metric.push_back(std::move(metric));
}

}  // namespace

// Reads the state when it is scraped.
class Metrics::FromState : public prometheus::Collectable {
 public:
  explicit FromState(Dispatcher* dispatcher) : dispatcher_(*dispatcher) {}

  std::vector<MetricFamily> Collect() const override {
    std::promise<v1::JobStatus> promise;
    std::future<v1::JobStatus> future = promise.get_future();
    dispatcher_.GetStatus(
        [&](const Status&, const v1::JobStatus& status) { promise.set_value(status); });
    const v1::JobStatus status = future.get();  // once the journal has synced, or has failed
    const auto number = [](auto value) { return static_cast<double>(value); };

    std::vector<MetricFamily> families;
    MetricFamily records = Family(
        "headrace_records", "Records of all epochs, by what became of them", MetricType::Gauge);
    const v1::Totals& totals = status.totals();
    Add(&records, number(totals.trained()), {{"state", "trained"}});
    Add(&records, number(totals.filtered()), {{"state", "filtered"}});
    std::int64_t dropped = 0;
    for (const auto& [op, count] : totals.dropped()) dropped += count;
    Add(&records, number(dropped), {{"state", "dropped"}});
    Add(&records, number(totals.quarantined()), {{"state", "quarantined"}});
    Add(&records, number(totals.pending()), {{"state", "pending"}});
    families.push_back(std::move(records));

    MetricFamily workers = Family("headrace_workers", "Workers, by state", MetricType::Gauge);
    for (const char* state : {"training", "held", "waiting", "gone"}) {
      std::int64_t count = 0;
      for (const v1::WorkerStatus& worker : status.workers()) count += worker.state() == state;
      Add(&workers, number(count), {{"state", state}});
    }
    families.push_back(std::move(workers));

    const journal::JournalFigures journal = dispatcher_.journal_figures();
    const auto one = [&](const char* name, const char* help, MetricType type, double value) {
      families.push_back(Family(name, help, type));
      Add(&families.back(), value);
    };
    one("headrace_leases", "Leases that are out", MetricType::Gauge, number(dispatcher_.leases()));
    const Dispatcher::Late late = dispatcher_.late();
    one("headrace_workers_fenced_total",
        "Workers that were silent past their leases and fenced off", MetricType::Counter,
        number(late.fenced));
    one("headrace_reports_refused_total", "Reports that came after the end of their leases",
        MetricType::Counter, number(late.reports));
    one("headrace_step", "The model's step", MetricType::Gauge, number(status.step()));
    one("headrace_journal_events_total", "Events made durable since the start", MetricType::Counter,
        number(journal.events));
    one("headrace_journal_commits_total", "Syncs of the disk that they took", MetricType::Counter,
        number(journal.commits));
    one("headrace_journal_bytes_total", "Bytes of those events", MetricType::Counter,
        number(journal.bytes));
    one("headrace_checkpoint_step", "Step of the last checkpoint", MetricType::Gauge,
        number(status.checkpoint_step()));
    one("headrace_checkpoint_age_seconds", "Since the last checkpoint; 0: none yet",
        MetricType::Gauge, number(status.checkpoint_age_ms()) / 1000);
    one("headrace_checkpoint_pause_seconds", "How long the last checkpoint stopped the training",
        MetricType::Gauge, number(status.checkpoint_pause_ms()) / 1000);
    return families;
  }

 private:
  Dispatcher& dispatcher_;
};

Metrics::Metrics()
    : registry_(std::make_shared<prometheus::Registry>()),
      calls_(prometheus::BuildHistogram()
                 .Name("headrace_master_call_seconds")
                 .Help("From the arrival of a call to its answer")
                 .Register(*registry_)) {}

void Metrics::Answered(const char* method, Code code, std::chrono::nanoseconds took) {
  calls_.Add({{"method", method}, {"code", CodeName(code)}}, kSeconds)
      .Observe(std::chrono::duration<double>(took).count());
}

Status Metrics::Expose(const std::string& address, Dispatcher* dispatcher) {
  try {
    exposer_ = std::make_unique<prometheus::Exposer>(address, 1);
  } catch (const std::exception& error) {
    return {Code::kUnavailable,
            "cannot serve metrics at " + address + " (" + error.what() + "); is the port in use?"};
  }
  from_state_ = std::make_shared<FromState>(dispatcher);
  exposer_->RegisterCollectable(registry_);
  exposer_->RegisterCollectable(from_state_);
  return {};
}

}  // namespace headrace::master
