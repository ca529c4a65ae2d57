#include "stage/tuner.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

namespace headrace::stage {
namespace {

constexpr int kFirstCapacity = 2;
constexpr int kLargestCapacity = 64;
constexpr std::size_t kDefaultBudget = std::size_t{64} << 20;
constexpr int kWarmUpSteps = 4;  // plan, allocate, compile
constexpr std::size_t kSegmentSteps = 4;
constexpr double kSegmentSeconds = 0.05;
constexpr std::int64_t kMeasuredSteps = 100;
constexpr std::chrono::seconds kMeasuredTime{3};
constexpr std::size_t kLeastRounds = 2;
constexpr std::size_t kRoundsToJudge = 3;
constexpr double kSlowByFar = 1.15;
constexpr double kTie = 1.01;
constexpr double kWorthAnotherThread = 0.4;  // of the step is what one thread takes for a body
constexpr int kPatience = 10;                // times what a measurement took, until the next one
constexpr std::size_t kStepsToJudge = 8;     // settled ones, at a time
constexpr double kSecondsToJudge = 0.2;
constexpr double kSlowed = 2;

// A pause of the program, such as a checkpoint, must not count in full for the setting that it hit;
// a slow read among quick ones, which running ahead may hide, must.
constexpr double kOutlier = 10;

double Seconds(Tuner::Duration d) {
  return std::chrono::duration<double>(d).count();
}

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double MeanWithoutPauses(const std::vector<double>& seconds) {
  const double most = kOutlier * Median(seconds);
  double sum = 0;
  for (double s : seconds) sum += std::min(s, most);
  return sum / static_cast<double>(seconds.size());
}

std::string Milliseconds(double seconds) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.3g ms", 1e3 * seconds);
  return text;
}

}  // namespace

Tuner::Tuner(const TunerConfig& config) : config_(config) {
  setting_.capacity = config_.capacity == kAutotune ? kFirstCapacity : config_.capacity;
  setting_.num_threads = config_.num_threads == kAutotune ? 1 : config_.num_threads;
  to_skip_ = kWarmUpSteps;
}

bool Tuner::OnStep(TimePoint now, const Observed& observed) {
  if (!started_) {
    started_ = true;
    first_ = now;
    Begin(now);
  }
  if (!measuring() && now >= next_) Begin(now);
  now_ = observed;
  const bool timed = running_;
  const double seconds = timed ? Seconds(now - last_) : 0;
  running_ = true;
  last_ = now;
  if (phase_ == Phase::kSettled) {
    if (timed && Slowed(seconds, observed.waited)) first_ = next_ = now;
    return Grow(observed);
  }
  if (!timed) return false;
  ++steps_;
  if (to_skip_ > 0) {
    if (--to_skip_ == 0 && phase_ == Phase::kWarming) {
      phase_ = Phase::kMeasuring;
      at_begin_ = observed;
    }
    return false;
  }
  segment_.push_back(seconds);
  segment_seconds_ += seconds;
  if (segment_.size() < kSegmentSteps || segment_seconds_ < kSegmentSeconds) return false;
  return EndSegment(now);
}

void Tuner::Begin(TimePoint now) {
  phase_ = Phase::kWarming;
  begun_ = now;
  steps_ = 0;
  to_skip_ = kWarmUpSteps;
  ClearSegment();
  candidates_.assign(1, Candidate());
  dropped_.clear();
  candidates_[0].setting = setting_;
  current_ = 0;
  round_ = 0;
}

bool Tuner::EndSegment(TimePoint now) {
  candidates_[current_].seconds.push_back(MeanWithoutPauses(segment_));
  if (candidates_.size() == 1) AddCandidates();
  ClearSegment();
  const bool round_done =
      std::all_of(candidates_.begin(), candidates_.end(),
                  [this](const Candidate& c) { return c.seconds.size() == round_ + 1; });
  if (round_done) {
    ++round_;
    if (round_ >= kRoundsToJudge) DropSlow();
    const bool enough = steps_ >= kMeasuredSteps && now - begun_ >= kMeasuredTime;
    if (candidates_.size() == 1 || (enough && round_ >= kLeastRounds)) return Settle(now);
  }
  return NextSegment();
}

// How many threads make the body as fast as the rest, from the steps timed so far; 1 if one is
// enough. A quarter more, since bodies that run side by side slow each other.
int Tuner::ThreadsNeeded() const {
  const auto results = static_cast<double>(now_.results - at_begin_.results);
  if (results <= 0) return 1;
  const double read = 1e-6 * static_cast<double>(now_.read_us - at_begin_.read_us) / results;
  const double body = 1e-6 * static_cast<double>(now_.body_us - at_begin_.body_us) / results;
  const double wait = 1e-6 * static_cast<double>(now_.wait_us - at_begin_.wait_us) / results;
  const double step = Median(segment_);
  if (body < kWorthAnotherThread * step) return 1;
  const double rest = std::max({read, step - wait, step / config_.max_threads, 1e-6});
  const double needed = std::ceil(1.25 * body / rest);
  return static_cast<int>(std::min<double>(needed, config_.max_threads));
}

void Tuner::AddCandidates() {
  const Setting first = setting_;
  const int capacity = first.ahead() ? first.capacity : kFirstCapacity;
  const auto add = [this](Setting setting) {
    for (const Candidate& c : candidates_)
      if (c.setting == setting) return;
    candidates_.push_back({setting, {}});
  };
  if (config_.capacity == kAutotune) {
    const int clients = std::min(config_.num_clients, config_.max_threads);
    add({0, std::max(first.num_threads, config_.num_threads == kAutotune ? clients : 1)});
  }
  if (config_.num_threads != kAutotune) {
    add({capacity, config_.num_threads});
    return;
  }
  add({capacity, 1});
  const int needed = ThreadsNeeded();
  if (needed == 1) return;
  add({capacity, needed});
  add({capacity, std::min(2 * needed, config_.max_threads)});
}

// Forth in one round, back in the next: the last of a round goes on as the first of the next, so
// drifts cancel and every round has one change less.
bool Tuner::NextSegment() {
  const std::size_t n = candidates_.size();
  for (std::size_t k = 0; k < n; ++k) {
    const std::size_t i = round_ % 2 == 0 ? k : n - 1 - k;
    if (candidates_[i].seconds.size() > round_) continue;
    current_ = i;
    return Change(candidates_[i].setting);
  }
  return false;
}

bool Tuner::Change(const Setting& to) {
  if (to == setting_) return false;
  // Results of the setting before are there still, or the queue of this one is not yet full.
  const auto held = [](const Setting& s) { return s.ahead() ? s.capacity + s.num_threads : 1; };
  to_skip_ = std::max(held(setting_), held(to)) + 1;
  setting_ = to;
  return true;
}

std::vector<double> Tuner::RelativeTimes() const {
  std::vector<double> times;
  for (const Candidate& candidate : candidates_) {
    std::vector<double> ratios;
    for (std::size_t r = 0; r < round_; ++r) {
      // Where time stands still, nothing is slower.
      const double first = candidates_[0].seconds[r];
      ratios.push_back(first > 0 ? candidate.seconds[r] / first : 1.0);
    }
    times.push_back(Median(std::move(ratios)));
  }
  return times;
}

void Tuner::DropSlow() {
  const std::vector<double> times = RelativeTimes();
  const double best = *std::min_element(times.begin(), times.end());
  std::vector<Candidate> kept;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    auto& to = times[i] <= kSlowByFar * best ? kept : dropped_;
    to.push_back(std::move(candidates_[i]));
  }
  candidates_ = std::move(kept);
}

bool Tuner::Settle(TimePoint now) {
  const std::vector<double> times = RelativeTimes();
  const double best = *std::min_element(times.begin(), times.end());
  // Ahead before in the step, few threads before many.
  const auto preferred = [](const Setting& a, const Setting& b) {
    if (a.ahead() != b.ahead()) return a.ahead();
    return a.num_threads < b.num_threads;
  };
  const Candidate* chosen = nullptr;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    if (times[i] > kTie * best) continue;
    if (chosen == nullptr || preferred(candidates_[i].setting, chosen->setting))
      chosen = &candidates_[i];
  }
  settled_step_ = Median(chosen->seconds);
  if (chosen->setting.ahead() != was_ahead_) Report(*chosen);
  was_ahead_ = chosen->setting.ahead();
  phase_ = Phase::kSettled;
  was_full_ = false;
  ClearSegment();
  next_ = now + kPatience * std::max<Duration>(now - first_, kMeasuredTime);
  return Change(Setting(chosen->setting));
}

void Tuner::Report(const Candidate& chosen) {
  const bool ahead = chosen.setting.ahead();
  double other = 0;  // the best of the kind that was not chosen
  for (const auto* list : {&candidates_, &dropped_}) {
    for (const Candidate& c : *list) {
      if (c.setting.ahead() == ahead) continue;
      const double seconds = Median(c.seconds);
      if (other == 0 || seconds < other) other = seconds;
    }
  }
  if (other == 0) return;
  const std::string mine = Milliseconds(settled_step_), theirs = Milliseconds(other);
  report_ = std::string(ahead ? "runs ahead again" : "runs in the step") +
            ": ahead, a step takes " + (ahead ? mine : theirs) + ", in the step " +
            (ahead ? theirs : mine) + " (medians of " + std::to_string(round_) + " rounds)" +
            (ahead ? "" : "; a fixed capacity would keep it ahead");
}

bool Tuner::Grow(const Observed& observed) {
  if (observed.full) {
    was_full_ = true;
    full_bytes_ = observed.held_bytes;
  }
  if (!observed.waited || !was_full_ || !setting_.ahead() || config_.capacity != kAutotune)
    return false;
  was_full_ = false;
  const std::size_t budget = config_.budget_bytes > 0 ? config_.budget_bytes : kDefaultBudget;
  if (setting_.capacity >= kLargestCapacity || 2 * full_bytes_ > budget) return false;
  setting_.capacity *= 2;
  return true;
}

void Tuner::ClearSegment() {
  segment_.clear();
  segment_seconds_ = 0;
  segment_waits_ = 0;
}

bool Tuner::Slowed(double seconds, bool waited) {
  if (!setting_.ahead() || config_.capacity != kAutotune) return false;
  segment_.push_back(seconds);
  segment_seconds_ += seconds;
  segment_waits_ += waited ? 1 : 0;
  if (segment_.size() < kStepsToJudge || segment_seconds_ < kSecondsToJudge) return false;
  const bool waits = 2 * static_cast<std::size_t>(segment_waits_) > segment_.size();
  const bool slowed = waits && MeanWithoutPauses(segment_) > kSlowed * settled_step_;
  ClearSegment();
  return slowed;
}

std::string Tuner::TakeReport() {
  return std::exchange(report_, "");
}

}  // namespace headrace::stage
