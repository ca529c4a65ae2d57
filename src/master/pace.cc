#include "master/pace.h"

#include <limits>

namespace headrace::master {
namespace {

constexpr std::int64_t kWindowMs = 10000, kSampleMs = 1000;

// Seconds for so many records; for ever at a pace of 0.
double Seconds(std::int64_t records, double pace) {
  return pace > 0 ? static_cast<double>(records) / pace : std::numeric_limits<double>::infinity();
}

}  // namespace

void Pace::Told(std::uint64_t worker, std::int64_t records, bool busy, std::int64_t now_ms) {
  std::deque<Sample>& samples = samples_[worker];
  if (samples.empty() || records < samples.back().records) {
    samples.assign(1, {now_ms, records});
    return;
  }
  if (!busy && records == samples.back().records) {
    // The time without work does not count.
    const std::int64_t idle_ms = now_ms - samples.back().at_ms;
    for (Sample& sample : samples) sample.at_ms += idle_ms;
    return;
  }
  if (now_ms - samples.back().at_ms < kSampleMs) return;
  samples.push_back({now_ms, records});
  while (samples.size() > 2 && now_ms - samples[1].at_ms >= kWindowMs) samples.pop_front();
}

void Pace::Forget(std::uint64_t worker) {
  samples_.erase(worker);
}

std::optional<double> Pace::Of(std::uint64_t worker) const {
  const auto found = samples_.find(worker);
  if (found == samples_.end() || found->second.size() < 2) return std::nullopt;
  const Sample &first = found->second.front(), &last = found->second.back();
  return static_cast<double>(last.records - first.records) * 1000 /
         static_cast<double>(last.at_ms - first.at_ms);
}

bool Pace::ShouldPass(std::uint64_t worker, const Left& left) const {
  const std::optional<double> own = Of(worker);
  if (!own.has_value()) return false;
  double others = 0;
  for (const auto& [other, unused] : samples_) {
    if (other != worker) others += Of(other).value_or(0);
  }
  if (others <= 0) return false;
  const std::int64_t held = left.held(worker);
  const double seconds = Seconds(held + left.task, *own);
  if (seconds <= Seconds(left.records - held, others)) return false;
  for (const auto& [other, unused] : samples_) {
    const double pace = other == worker ? 0 : Of(other).value_or(0);
    if (pace > 0 && Seconds(left.held(other) + left.task, pace) < seconds) return true;
  }
  return false;
}

}  // namespace headrace::master
