#include "master/rewinds.h"

#include <utility>

namespace headrace::master {

void Rewinds::Lost(std::int64_t now_ms) {
  if (!trained_ms_) trained_ms_ = now_ms;
}

void Rewinds::Restored(std::int64_t step, bool lost_records) {
  if (trained_ms_ && (trained_ || lost_records)) step_ = step;
}

std::optional<Rewinds::Rewind> Rewinds::Trained(std::int64_t now_ms) {
  trained_ = true;
  const std::optional<std::int64_t> since_ms = std::exchange(trained_ms_, now_ms);
  const std::optional<std::int64_t> step = std::exchange(step_, std::nullopt);
  if (!step) return std::nullopt;
  all_.push_back({*step, now_ms - *since_ms});
  return all_.back();
}

}  // namespace headrace::master
