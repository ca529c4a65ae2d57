// Finds out, in the first steps, which of two ways to run them is faster.
#ifndef HEADRACE_TRAINER_EXECUTOR_CHOICE_H_
#define HEADRACE_TRAINER_EXECUTOR_CHOICE_H_

#include <algorithm>
#include <chrono>
#include <vector>

namespace headrace::trainer {

// Way 0 runs first, since the first steps pay for everything that happens once; then the two take
// turns, and after `kSteps` each the one with the smaller median stays.
// Thread safety: none.
class ExecutorChoice {
 public:
  static constexpr int kWarmUp = 4;
  static constexpr int kSteps = 8;

  // Without a choice to make: always this way.
  void Fix(int way) { chosen_ = way; }
  bool decided() const { return chosen_ >= 0; }

  int Next() const {
    if (decided()) return chosen_;
    return steps_ < kWarmUp ? 0 : (steps_ - kWarmUp) % 2;
  }

  // The step that Next() was asked for took this long.
  void Took(std::chrono::nanoseconds time) {
    if (decided()) return;
    if (steps_ >= kWarmUp) times_[Next()].push_back(time);
    if (++steps_ < kWarmUp + 2 * kSteps) return;
    chosen_ = Median(&times_[1]) < Median(&times_[0]) ? 1 : 0;
  }

 private:
  static std::chrono::nanoseconds Median(std::vector<std::chrono::nanoseconds>* times) {
    const auto middle = times->begin() + times->size() / 2;
    std::nth_element(times->begin(), middle, times->end());
    return *middle;
  }

  int chosen_ = -1;
  int steps_ = 0;
  std::vector<std::chrono::nanoseconds> times_[2];
};

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_EXECUTOR_CHOICE_H_
