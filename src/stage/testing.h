// Fakes for the tests of sources and stages. Threads meet at counters and gates, never by sleeping,
// and every wait has a deadline, so that a lost wake-up is a failure and not a hang.
#ifndef HEADRACE_STAGE_TESTING_H_
#define HEADRACE_STAGE_TESTING_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "stage/domain.h"
#include "stage/element.h"
#include "stage/source.h"
#include "stage/stage.h"

namespace headrace::stage::testing {

// How long a test waits for what must happen.
inline constexpr std::chrono::seconds kPatience{20};

// Ends the process if a test hangs where it has no deadline of its own (a join, a destructor).
class Test : public ::testing::Test {
 protected:
  void SetUp() override { ::alarm(60); }
  void TearDown() override { ::alarm(0); }
};

// A number that one thread raises and another waits for.
class Counter {
 public:
  void Add() {
    std::lock_guard<std::mutex> lock(mu_);
    ++value_;
    cv_.notify_all();
  }
  int value() const {
    std::lock_guard<std::mutex> lock(mu_);
    return value_;
  }
  // False if the number stayed below `n` for kPatience.
  [[nodiscard]] bool Await(int n) const {
    std::unique_lock<std::mutex> lock(mu_);
    return cv_.wait_for(lock, kPatience, [&] { return value_ >= n; });
  }

 private:
  mutable std::mutex mu_;
  mutable std::condition_variable cv_;
  int value_ = 0;
};

// Looks again and again until `condition` holds; false after kPatience.
template <typename Condition>
[[nodiscard]] bool AwaitTrue(const Condition& condition) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

inline Payload Value(std::int64_t v) {
  return std::make_shared<const std::int64_t>(v);
}
inline std::int64_t ValueOf(const Payload& payload) {
  return payload == nullptr ? -1 : *static_cast<const std::int64_t*>(payload.get());
}
inline ReadResult Number(std::int64_t v) {
  return {Status(), Value(v), 8};
}
inline ReadResult Failure(Code code, std::string message) {
  return {Status(code, std::move(message)), nullptr, 0};
}
inline ReadResult EndOfData() {
  return Failure(Code::kOutOfRange, "End of sequence");
}

// Makes what the k-th read returns.
using Script = std::function<ReadResult(std::int64_t)>;
// Numbers from 0 to n-1, then the end of data for ever.
inline Script Numbers(std::int64_t n) {
  return [n](std::int64_t k) { return k < n ? Number(k) : EndOfData(); };
}

// What a test holds of a scripted reader. Reads follow the script in order; a cancelled read does
// not advance it.
class ReaderControl {
 public:
  explicit ReaderControl(Script script = Number) : script_(std::move(script)) {}

  // From now on each read waits for a permit.
  void Hold() {
    std::lock_guard<std::mutex> lock(mu_);
    held_ = true;
    permits_ = 0;
  }
  void Allow(int reads) {
    std::lock_guard<std::mutex> lock(mu_);
    permits_ += reads;
    cv_.notify_all();
  }
  void AllowAll() {
    std::lock_guard<std::mutex> lock(mu_);
    held_ = false;
    cv_.notify_all();
  }
  // Cancelled reads go on waiting for their permit.
  void IgnoreCancellation() {
    std::lock_guard<std::mutex> lock(mu_);
    deaf_ = true;
  }
  // Cancelled reads fail, but only when they are permitted to return.
  void DelayCancellation() {
    std::lock_guard<std::mutex> lock(mu_);
    slow_ = true;
  }
  // The resource starts over: the next read follows the script from its beginning.
  void Rewind() {
    std::lock_guard<std::mutex> lock(mu_);
    next_ = 0;
  }
  // Called at the start of each read, on the reading thread. Set before the source is made.
  std::function<void()> on_read;

  Counter started;    // reads begun
  Counter finished;   // reads that returned what the script says
  Counter cancelled;  // cancellations that reached a read

  // What another consumer of the same resource does.
  ReadResult ReadNow() {
    std::lock_guard<std::mutex> lock(mu_);
    return script_(next_++);
  }

  ReadResult Read(Cancellation* cancel) {
    started.Add();
    if (on_read) on_read();
    bool stop = false;  // guarded by mu_
    const auto on_cancel = [&] {
      std::lock_guard<std::mutex> lock(mu_);
      cancelled.Add();
      stop = !deaf_;
      cv_.notify_all();
    };
    if (!cancel->Listen(on_cancel)) on_cancel();
    ReadResult read;
    {
      std::unique_lock<std::mutex> lock(mu_);
      cv_.wait(lock, [&] { return (stop && !slow_) || !held_ || permits_ > 0; });
      if (stop) {
        if (slow_ && held_) --permits_;
        read = Failure(Code::kCancelled, "the read was cancelled");
      } else {
        if (held_) --permits_;
        read = script_(next_++);
        finished.Add();
      }
    }
    cancel->StopListening();
    return read;
  }

 private:
  const Script script_;
  std::mutex mu_;
  std::condition_variable cv_;
  std::int64_t next_ = 0;
  int permits_ = 0;
  bool held_ = false;
  bool deaf_ = false;
  bool slow_ = false;
};

class FakeReader : public SourceReader {
 public:
  explicit FakeReader(std::shared_ptr<ReaderControl> control) : control_(std::move(control)) {}
  ReadResult Read(Cancellation* cancel) override { return control_->Read(cancel); }

 private:
  const std::shared_ptr<ReaderControl> control_;
};

// What a test holds of a body. By default the result is ten times the first input.
class BodyControl {
 public:
  using Function = std::function<ReadResult(const std::vector<Payload>&)>;
  explicit BodyControl(Function function =
                           [](const std::vector<Payload>& inputs) {
                             return Number(10 * ValueOf(inputs[0]));
                           })
      : function_(std::move(function)) {}

  // Bodies whose first input is `value` wait for Release(value).
  void Hold(std::int64_t value) {
    std::lock_guard<std::mutex> lock(mu_);
    held_.insert(value);
  }
  void Release(std::int64_t value) {
    std::lock_guard<std::mutex> lock(mu_);
    held_.erase(value);
    cv_.notify_all();
  }
  // First inputs, in the order in which bodies began.
  std::vector<std::int64_t> order() const {
    std::lock_guard<std::mutex> lock(mu_);
    return order_;
  }
  Counter started;
  Counter finished;
  Counter in_steps;  // bodies that were given a step's threads

  ReadResult Run(const std::vector<Payload>& inputs) {
    {
      std::unique_lock<std::mutex> lock(mu_);
      const std::int64_t value = ValueOf(inputs[0]);
      order_.push_back(value);
      started.Add();
      cv_.wait(lock, [&] { return held_.count(value) == 0; });
    }
    ReadResult result = function_(inputs);
    finished.Add();
    return result;
  }

 private:
  const Function function_;
  mutable std::mutex mu_;
  std::condition_variable cv_;
  std::set<std::int64_t> held_;
  std::vector<std::int64_t> order_;
};

class FakeBody : public StageBody {
 public:
  explicit FakeBody(std::shared_ptr<BodyControl> control) : control_(std::move(control)) {}
  ReadResult Run(const std::vector<Payload>& inputs, const Runner* step) override {
    if (step != nullptr) control_->in_steps.Add();
    return control_->Run(inputs);
  }

 private:
  const std::shared_ptr<BodyControl> control_;
};

inline std::unique_ptr<StageBody> MakeBody(std::shared_ptr<BodyControl> control) {
  return std::make_unique<FakeBody>(std::move(control));
}
inline std::unique_ptr<StageBody> MakeBody(BodyControl::Function function) {
  return MakeBody(std::make_shared<BodyControl>(std::move(function)));
}

// A domain whose time stands still until the test moves it, and whose log the test reads.
class FakeDomain {
 public:
  FakeDomain() {
    Domain::Options options;
    options.watch = false;
    options.now = [state = state_] { return TimePoint(state->now.load()); };
    options.log = [state = state_](const std::string& line) {
      std::lock_guard<std::mutex> lock(state->mu);
      state->lines.push_back(line);
      state->logged.Add();
    };
    options.report_after = std::chrono::milliseconds(10000);
    domain_ = std::make_shared<Domain>(std::move(options));
  }

  // Time passes, then the domain looks at every wait.
  void Advance(Clock::duration d) {
    state_->now.store(state_->now.load() + d);
    domain_->Tick();
  }
  std::vector<std::string> log() const {
    std::lock_guard<std::mutex> lock(state_->mu);
    return state_->lines;
  }
  const Counter& logged() const { return state_->logged; }
  const std::shared_ptr<Domain>& get() const { return domain_; }
  void Forget() { domain_.reset(); }

  std::shared_ptr<Source> MakeSource(const std::string& name,
                                     const std::shared_ptr<ReaderControl>& reader,
                                     Source::Mode mode = Source::Mode::kAhead) const {
    return std::make_shared<Source>(domain_, name, std::make_unique<FakeReader>(reader), mode);
  }
  std::unique_ptr<Stage> MakeStage(StageConfig config,
                                   const std::vector<std::shared_ptr<Source>>& sources,
                                   std::unique_ptr<StageBody> body = nullptr) const {
    std::vector<Stage::Input> inputs;
    for (const auto& source : sources) inputs.push_back({source, nullptr});
    return std::make_unique<Stage>(domain_, std::move(config), std::move(inputs), std::move(body));
  }

 private:
  struct State {
    std::atomic<Clock::duration> now{std::chrono::hours(1)};
    mutable std::mutex mu;
    std::vector<std::string> lines;
    Counter logged;
  };
  const std::shared_ptr<State> state_ = std::make_shared<State>();
  std::shared_ptr<Domain> domain_;
};

inline StageConfig Config(int capacity, int num_threads) {
  StageConfig config;
  config.name = "stage_0";
  config.capacity = capacity;
  config.num_threads = num_threads;
  return config;
}

// "3", "3+7" (several sources), "3=30" (with a body), or the status.
inline std::string Describe(const Status& status, const Taken& taken) {
  if (!status.ok()) return status.ToString();
  std::string text;
  for (const Payload& input : taken.inputs) {
    text += (text.empty() ? "" : "+") + std::to_string(ValueOf(input));
  }
  if (taken.body != nullptr) text += "=" + std::to_string(ValueOf(taken.body));
  return text;
}

// A take that has begun.
class PendingTake {
 public:
  explicit PendingTake(Stage* stage, Runner step = nullptr) {
    Status status;
    Taken taken;
    auto done = [state = state_](const Status& s, Taken what) { state->Set(s, std::move(what)); };
    if (stage->TakeOrWait(&status, &taken, &id_, std::move(done), std::move(step))) {
      state_->Set(status, std::move(taken));
      at_once_ = true;
    }
  }

  bool at_once() const { return at_once_; }
  Stage::TakeId id() const { return id_; }
  bool finished() const { return state_->calls.value() > 0; }
  // Waits for the result and describes it; "no result" after kPatience.
  std::string Await() const {
    if (!state_->calls.Await(1)) return "no result";
    std::lock_guard<std::mutex> lock(state_->mu);
    return state_->calls.value() == 1 ? state_->text : "served twice";
  }

 private:
  struct State {
    void Set(const Status& status, Taken taken) {
      {
        std::lock_guard<std::mutex> lock(mu);
        text = Describe(status, taken);
      }
      calls.Add();
    }
    Counter calls;
    std::mutex mu;
    std::string text;
  };
  const std::shared_ptr<State> state_ = std::make_shared<State>();
  Stage::TakeId id_ = 0;
  bool at_once_ = false;
};

inline std::string TakeOne(Stage* stage) {
  return PendingTake(stage).Await();
}
inline std::string TakeOne(const std::unique_ptr<Stage>& stage) {
  return TakeOne(stage.get());
}

inline std::vector<std::string> TakeMany(const std::unique_ptr<Stage>& stage, int n) {
  std::vector<std::string> texts;
  for (int i = 0; i < n; ++i) texts.push_back(TakeOne(stage));
  return texts;
}

}  // namespace headrace::stage::testing

#endif  // HEADRACE_STAGE_TESTING_H_
