// How a stage changes its setting while it runs.
#include <algorithm>
#include <utility>

#include "stage/stage.h"

namespace headrace::stage {
namespace {

// A stage that measures and took no step for so long lets another one measure.
constexpr std::chrono::seconds kMeasuringLapses{1};

}  // namespace

std::size_t Stage::LimitLocked() const {
  if (!setting_.ahead()) return waiters_.size();
  return static_cast<std::size_t>(std::max(setting_.capacity, config_.num_clients)) +
         static_cast<std::size_t>(setting_.num_threads);
}

bool Stage::MayMeasureLocked(TimePoint now) {
  if (!tuner_->due(now)) return true;
  const bool taken = domain_->measuring_ != nullptr && domain_->measuring_ != this &&
                     now - domain_->measuring_last_ < kMeasuringLapses;
  if (taken) return false;
  domain_->measuring_ = this;
  domain_->measuring_last_ = now;
  return true;
}

void Stage::TuneLocked(bool waited, bool full, Deferred* deferred) {
  const TimePoint now = domain_->Now();
  if (!MayMeasureLocked(now)) {
    tuner_->OnBreak();
    return;
  }
  Tuner::Observed observed;
  observed.read_us = ReadTimeLocked();
  observed.body_us = figures_.body_us;
  observed.wait_us = figures_.consumer_wait_us;
  observed.results = figures_.produced;
  observed.waited = waited;
  observed.full = full;
  observed.held_bytes = HeldBytesLocked();
  const bool changed = tuner_->OnStep(now, observed);
  if (domain_->measuring_ == this && !tuner_->measuring()) domain_->measuring_ = nullptr;
  const std::string report = tuner_->TakeReport();
  if (!report.empty()) {
    // A plain pointer: the last reference must not go on the domain's own thread.
    deferred->calls.push_back([domain = domain_.get(), line = "stage '" + config_.name + "' " +
                                                              report] { domain->Log(line); });
  }
  if (!changed) return;
  setting_ = tuner_->setting();
  work_cv_.notify_all();
  spare_cv_.notify_all();
  FormTicketsLocked();
  domain_->TouchLocked(this);
}

}  // namespace headrace::stage
