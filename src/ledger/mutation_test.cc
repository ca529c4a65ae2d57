// Every planted bug must be found by the simulation: else the simulation proves little.
#include "ledger/mutation.h"

#include <gtest/gtest.h>

#include <iostream>

#include "ledger/simulation.h"

namespace headrace::ledger {
namespace {

constexpr std::uint64_t kMostSeeds = 2000;

class PlantedBug : public testing::TestWithParam<int> {
 protected:
  void TearDown() override { active_mutation = Mutation::kNone; }
};

TEST_P(PlantedBug, IsFound) {
  active_mutation = static_cast<Mutation>(GetParam());
  for (std::uint64_t seed = 1; seed <= kMostSeeds; ++seed) {
    const SimulationResult result = Simulate(RandomSimulation(seed));
    if (!result.violation.empty()) {
      std::cout << "found by seed " << seed << " " << result.violation << "\n";
      return;
    }
  }
  ADD_FAILURE() << "not found within " << kMostSeeds << " seeds";
}

INSTANTIATE_TEST_SUITE_P(All, PlantedBug, testing::Range(1, static_cast<int>(Mutation::kCount)));

TEST(PlantedBugs, WithoutOneNothingIsFound) {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    EXPECT_EQ(Simulate(RandomSimulation(seed)).violation, "") << "seed " << seed;
  }
}

}  // namespace
}  // namespace headrace::ledger
