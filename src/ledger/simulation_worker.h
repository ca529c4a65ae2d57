// A worker of the simulation: leases ranges, reads them into a shuffle buffer, trains batches of
// what comes out, reports.
#ifndef HEADRACE_LEDGER_SIMULATION_WORKER_H_
#define HEADRACE_LEDGER_SIMULATION_WORKER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ledger/simulation_world.h"

namespace headrace::ledger {

class SimulatedWorker {
 public:
  SimulatedWorker(SimulatedWorld* world, std::uint64_t number, double speed, double clock);

  void Start();
  // Alive and not told to go.
  bool working() const { return alive_ && !draining_; }
  bool alive() const { return alive_; }
  bool paused() const { return paused_until_ > world_->now(); }
  std::uint64_t number() const { return number_; }
  void Kill() { alive_ = false; }
  void Pause(std::int64_t until) { paused_until_ = until; }
  void Drain() { draining_ = true; }
  // Everything that it applied is acknowledged, and the answers are there.
  bool Quiet() const;

 private:
  struct Held {
    Grant grant;
    std::vector<std::int64_t> unread;  // next at the back
    std::int64_t buffered = 0;
    std::vector<Acknowledged> unsent;
    Ranges returned;
    std::vector<double> metrics;
    std::string error;
    std::int64_t culprit = -1;
    bool reporting = false;
  };
  struct Call {
    Event event;
    SimulatedWorld::Reply reply;
  };

  // Runs `what` when the worker runs: later while paused, never when dead.
  void Do(std::int64_t delay, std::function<void()> what);
  void Rpc(Event event, SimulatedWorld::Reply reply);
  void Transmit(std::uint64_t call);

  void Join();
  void Step();
  void Read();
  void TrainBatch();
  void Evaluate(Held* held);
  void Ask();
  void RenewAll();
  void ReportOn(std::uint64_t token);
  void Take(const Effects& effects);
  void Forget(std::uint64_t token);
  void Purge(std::uint64_t token);
  void ForgetAll();

  SimulatedWorld* const world_;
  const std::uint64_t number_;
  const double speed_, clock_;
  bool alive_ = true, draining_ = false, joined_ = false;
  bool asking_ = false, flushing_ = false;
  std::int64_t paused_until_ = 0, ask_after_ = 0;
  std::int64_t incarnation_ = 1;
  std::uint64_t next_request_ = 1, next_call_ = 1;
  std::map<std::uint64_t, Held> held_;
  std::vector<std::pair<std::uint64_t, std::int64_t>> buffer_;  // token, record of the file
  std::map<std::uint64_t, Call> calls_;
};

}  // namespace headrace::ledger

#endif  // HEADRACE_LEDGER_SIMULATION_WORKER_H_
