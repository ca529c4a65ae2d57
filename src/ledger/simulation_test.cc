// The ledger under drawn faults, in virtual time.
#include "ledger/simulation.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "base/testing.h"

namespace headrace::ledger {
namespace {

std::uint64_t FirstSeed() {
  const char* seed = std::getenv("HEADRACE_TEST_SEED");
  return seed == nullptr ? 1 : std::strtoull(seed, nullptr, 10);
}

std::uint64_t Seeds() {
  const char* seeds = std::getenv("HEADRACE_TEST_SEEDS");
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return seeds == nullptr ? 200 : std::strtoull(seeds, nullptr, 10);
#else
  return seeds == nullptr ? 1000 : std::strtoull(seeds, nullptr, 10);
#endif
}

TEST(Simulation, HoldsUnderDrawnFaults) {
  const std::uint64_t first = FirstSeed(), seeds = Seeds();
  std::cout << "seeds " << first << " to " << first + seeds - 1
            << " (HEADRACE_TEST_SEED, HEADRACE_TEST_SEEDS)\n";
  std::map<std::string, std::int64_t> counts;
  std::int64_t events = 0;
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    const SimulationResult result = Simulate(RandomSimulation(seed));
    EXPECT_EQ(result.violation, "") << "seed " << seed;
    events += result.events;
    for (const auto& [name, count] : result.counts) counts[name] += count;
    ++counts[result.verdict == Verdict::kFailed ? "verdict failed" : "verdict done"];
  }
  std::cout << events << " events";
  for (const auto& [name, count] : counts) std::cout << ", " << count << " " << name;
  std::cout << "\n";
  headrace::testing::Report("seeds", static_cast<double>(seeds));
  headrace::testing::Report("events", static_cast<double>(events));
  headrace::testing::Report("kills", static_cast<double>(counts["kills"]));
  headrace::testing::Report("master_restarts", static_cast<double>(counts["master restarts"]));
  for (const char* name :
       {"kills", "expired", "disconnected", "released", "failed", "superseded", "rewound", "flush",
        "backups", "isolated", "fenced off", "refused reports", "handed back", "drained",
        "master restarts", "checkpoints", "verdict failed"}) {
    EXPECT_GT(counts[name], 0) << name << " never happened";
  }
}

// 37568: told DONE, the evaluation at the end to come; 44289: records of two epochs counted as two.
TEST(Simulation, HoldsWhereItDidNot) {
  for (const std::uint64_t seed : {37568, 44289}) {
    EXPECT_EQ(Simulate(RandomSimulation(seed)).violation, "") << "seed " << seed;
  }
}

TEST(Simulation, SameSeedSameLog) {
  for (std::uint64_t seed = FirstSeed(); seed < FirstSeed() + 20; ++seed) {
    const SimulationResult one = Simulate(RandomSimulation(seed));
    const SimulationResult two = Simulate(RandomSimulation(seed));
    EXPECT_EQ(one.log_hash, two.log_hash) << "seed " << seed;
    EXPECT_EQ(one.events, two.events);
    EXPECT_NE(one.log_hash, Simulate(RandomSimulation(seed + 1000)).log_hash);
  }
}

}  // namespace
}  // namespace headrace::ledger
