// When the gradients of synchronous training are enough for a step: the rules, without TensorFlow.
#ifndef HEADRACE_TRAINER_SHARED_ROUNDS_H_
#define HEADRACE_TRAINER_SHARED_ROUNDS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace headrace::trainer {

// What trainers say to the applier, one after the other.
struct Push {
  enum class Kind : std::int64_t {
    kGradients = 0,  // of the model of `step`, complete on the servers
    kIdle = 1,       // nothing more for now: it stands still, or has no data
    kLive = 2,       // `step` workers of the job are alive now
    kJoin = 4,       // it takes the place, `step`, of whoever had it before
    kFence = 3,      // nothing of worker `step` comes into effect after the answer to `number`
  };
  Kind kind = Kind::kGradients;
  std::uint64_t number = 0;     // of the training process
  std::int64_t generation = 0;  // of the model that it knows
  std::int64_t step = 0;
};

// A step of synchronous training takes the mean of `grads_to_wait` gradients of one model, from as
// many workers; of fewer where fewer work. A gradient counts as a whole or not at all: it is taken
// up when it is complete, and one that comes too late, of a step that is past, is refused.
//
// Ownership: owns all of its state. Thread safety: none.
class Rounds {
 public:
  explicit Rounds(std::int64_t grads_to_wait) : grads_to_wait_(grads_to_wait) {}

  // The model is of this generation and at this step: a new one, or one more step.
  void Begin(std::int64_t generation, std::int64_t step);

  // Dead trainers say nothing: that one is gone is known when another has its place, or when there
  // are fewer. Then nobody counts as working before he says something again.
  enum class Answer {
    kNone,
    kTaken,     // it will be part of the step
    kRefused,   // compute it again
    kAnswered,  // to a fence
  };
  Answer Take(const Push& push);
  // The gradients of the step, once there are enough; these are not given again.
  std::optional<std::vector<Push>> Ready();

  // All that were taken and not given: there will be no step.
  std::vector<Push> Abandon();

  std::int64_t generation() const { return generation_; }
  std::int64_t step() const { return step_; }
  // Gradients that a step takes now.
  std::int64_t wanted() const;
  std::int64_t refused() const { return refused_; }

 private:
  // Nothing of this one is waited for or applied.
  void Forget(std::uint64_t number);
  void OnLive(std::int64_t workers);

  const std::int64_t grads_to_wait_;
  std::map<std::int64_t, std::uint64_t> places_;  // who has it
  std::int64_t generation_ = 0, step_ = 0;
  std::vector<Push> taken_;
  std::set<std::uint64_t> working_, fenced_;
  std::int64_t live_ = 0;  // 0: not known
  std::int64_t refused_ = 0;
};

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_SHARED_ROUNDS_H_
