#include "trainer/shared/rounds.h"

#include <algorithm>
#include <utility>

namespace headrace::trainer {

void Rounds::Begin(std::int64_t generation, std::int64_t step) {
  if (generation != generation_) {
    // Everybody starts again with a model of another generation.
    working_.clear();
    fenced_.clear();
    taken_.clear();
  }
  generation_ = generation;
  step_ = step;
}

Rounds::Answer Rounds::Take(const Push& push) {
  switch (push.kind) {
    case Push::Kind::kLive: OnLive(push.step); return Answer::kNone;
    case Push::Kind::kJoin: {
      const auto [place, first] = places_.emplace(push.step, push.number);
      if (!first) Forget(std::exchange(place->second, push.number));
      return Answer::kNone;
    }
    case Push::Kind::kIdle: working_.erase(push.number); return Answer::kNone;
    case Push::Kind::kFence: {
      const auto late = static_cast<std::uint64_t>(push.step);
      fenced_.insert(late);
      Forget(late);
      return Answer::kAnswered;
    }
    case Push::Kind::kGradients: break;
  }
  const bool fits = push.generation == generation_ && push.step == step_;
  if (!fits || fenced_.count(push.number) > 0) {
    ++refused_;
    if (push.generation == generation_ && fenced_.count(push.number) == 0) {
      working_.insert(push.number);
    }
    return Answer::kRefused;
  }
  working_.insert(push.number);
  taken_.push_back(push);
  return Answer::kTaken;
}

void Rounds::Forget(std::uint64_t number) {
  working_.erase(number);
  taken_.erase(std::remove_if(taken_.begin(), taken_.end(),
                              [&](const Push& taken) { return taken.number == number; }),
               taken_.end());
}

void Rounds::OnLive(std::int64_t workers) {
  if (workers < live_) {
    working_.clear();
    for (const Push& push : taken_) working_.insert(push.number);
  }
  live_ = workers;
}

std::int64_t Rounds::wanted() const {
  std::int64_t wanted = std::min(grads_to_wait_, static_cast<std::int64_t>(working_.size()));
  if (live_ > 0) wanted = std::min(wanted, live_);
  return std::max<std::int64_t>(wanted, 1);
}

std::optional<std::vector<Push>> Rounds::Ready() {
  if (static_cast<std::int64_t>(taken_.size()) < wanted()) return std::nullopt;
  return std::exchange(taken_, {});
}

std::vector<Push> Rounds::Abandon() {
  return std::exchange(taken_, {});
}

}  // namespace headrace::trainer
