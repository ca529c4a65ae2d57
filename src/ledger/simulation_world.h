// The simulation's master, network and clock; its workers are in simulation_worker.h.
#ifndef HEADRACE_LEDGER_SIMULATION_WORLD_H_
#define HEADRACE_LEDGER_SIMULATION_WORLD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <string>
#include <vector>

#include "ledger/ledger.h"
#include "ledger/simulation.h"
#include "ledger/simulation_oracle.h"

namespace headrace::ledger {

class SimulatedWorker;

// Ownership: owns the workers, which point back to it.
// Ordering: what is due at the same time happens in the order in which it was scheduled, so that a
// seed fixes everything.
class SimulatedWorld {
 public:
  using Reply = std::function<void(const Status&, const Effects&)>;

  explicit SimulatedWorld(const SimulationOptions& options);
  SimulationResult Run();

  // For workers.
  const SimulationOptions& options() const { return options_; }
  std::int64_t now() const { return now_; }
  void At(std::int64_t time, std::function<void()> what);
  void After(std::int64_t delay, std::function<void()> what) { At(now_ + delay, std::move(what)); }
  // The master sees the event, perhaps late, twice or never; so does the worker the reply.
  void Send(const Event& event, Reply reply);
  // The fence: whether the model lets this lease train now; if so, trains the record.
  bool Train(std::uint64_t token, std::uint64_t worker, std::int64_t epoch, std::int64_t file,
             std::int64_t index);
  bool barrier() const { return barrier_; }
  std::int64_t Draw(std::int64_t below);
  bool Chance(double probability);
  void Violate(const std::string& what);
  void Count(const std::string& what) { ++result_.counts[what]; }

 private:
  Status Apply(Event event, Effects* effects);
  void Transmit(std::function<void()> what);
  void AddWorker();
  void Every(double per_minute, std::function<void()> what);
  SimulatedWorker* AnyWorker();
  void Kill();
  void RestartMaster();
  void TryCheckpoint();
  void Rewind();
  void CheckReplay();

  const SimulationOptions options_;
  std::mt19937_64 random_;
  Ledger ledger_;
  Oracle oracle_;
  std::vector<std::string> journal_;
  std::map<std::uint64_t, std::unique_ptr<SimulatedWorker>> workers_;  // alive or not
  std::uint64_t next_worker_ = 1;

  std::int64_t now_ = 0, skipped_ = 0, step_ = 0;
  bool barrier_ = false;
  std::string checkpoint_;  // a position; empty: none yet
  struct Due {
    std::int64_t time;
    std::uint64_t number;
    std::function<void()> what;
    bool operator<(const Due& other) const {
      return time != other.time ? time > other.time : number > other.number;
    }
  };
  std::priority_queue<Due> due_;
  std::uint64_t next_due_ = 0;
  SimulationResult result_;
};

}  // namespace headrace::ledger

#endif  // HEADRACE_LEDGER_SIMULATION_WORLD_H_
