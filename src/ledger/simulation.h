// A master and its workers in virtual time, with a network that drops, delays, doubles and
// reorders, and workers that pause, die, drain and come back. For tests.
#ifndef HEADRACE_LEDGER_SIMULATION_H_
#define HEADRACE_LEDGER_SIMULATION_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <string>
#include <vector>

#include "ledger/ledger.h"
#include "ledger/simulation_oracle.h"

namespace headrace::ledger {

struct SimulationOptions {
  std::uint64_t seed = 1;
  JobSpec spec;
  int workers = 3;
  std::int64_t fault_ms = 60000;  // no new faults after this time, so that the job can end
  std::int64_t limit_ms = 3600000;
  double drop = 0, duplicate = 0;
  std::int64_t delay_ms = 5;  // largest
  // Mean number of each a minute; 0: never.
  double kills = 0, pauses = 0, drains = 0, master_restarts = 0, checkpoints = 0, rewinds = 0;
  int buffer = 1;  // records in a worker's shuffle buffer
  int batch = 4;
  std::int64_t step_ms = 20;
  double skew = 0;        // a worker's clock runs at 1 - skew to 1 + skew
  double stragglers = 0;  // share of workers at a tenth of the speed
  bool knows_culprit = false;
  Truth truth;
};

struct SimulationResult {
  std::string violation;  // empty: everything held
  std::int64_t events = 0;
  std::uint64_t log_hash = 0;
  std::map<std::string, std::int64_t> counts;  // what happened, by name
  Verdict verdict = Verdict::kRunning;
};

// A job, its options and its faults drawn from a seed.
SimulationOptions RandomSimulation(std::uint64_t seed);

SimulationResult Simulate(const SimulationOptions& options);

}  // namespace headrace::ledger

#endif  // HEADRACE_LEDGER_SIMULATION_H_
