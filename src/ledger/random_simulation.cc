#include <random>

#include "ledger/simulation.h"

namespace headrace::ledger {

SimulationOptions RandomSimulation(std::uint64_t seed) {
  std::mt19937_64 random(seed * 7919 + 17);
  const auto draw = [&](std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(high - low + 1));
  };
  const auto often = [&](int percent) { return draw(0, 99) < percent; };
  SimulationOptions o;
  o.seed = seed;
  o.truth.seed = seed;
  o.workers = static_cast<int>(often(10) ? draw(8, 64) : draw(1, 6));
  const std::int64_t files = draw(1, 5);
  for (std::int64_t i = 0; i < files; ++i) {
    o.spec.files.push_back({"file-" + std::to_string(i), draw(i == 0 ? 1 : 0, 80), often(20)});
  }
  o.spec.task_records = draw(1, 25);
  o.spec.type = often(80) ? TaskType::kTrain : often(50) ? TaskType::kEvaluate : TaskType::kPredict;
  const bool train = o.spec.type == TaskType::kTrain;
  o.spec.epochs = train ? draw(1, 3) : 1;
  o.spec.seed = random();
  o.spec.shuffle = often(70);
  o.spec.strict_epochs = often(40);
  o.spec.lease_ms = draw(500, 3000);
  o.spec.straggler_ms = draw(0, 1500);
  o.spec.train_backup = often(40);
  o.spec.max_attempts = draw(1, 3);
  if (often(40)) o.truth.bad_per_mille = static_cast<int>(draw(5, 40));
  o.spec.max_quarantined = often(85) ? 1000 : draw(0, 3);
  o.knows_culprit = often(50);
  if (train && often(50)) {
    o.spec.evaluation_files = {{"evaluation", draw(1, 30)}};
    o.spec.evaluation_task_records = draw(1, 10);
    o.spec.evaluation_every_steps = often(50) ? draw(20, 100) : 0;
    o.spec.evaluation_every_ms = often(50) ? draw(500, 3000) : 0;
    o.spec.evaluation_at_end = often(70);
    if (o.spec.evaluation_every_steps + o.spec.evaluation_every_ms == 0) {
      o.spec.evaluation_at_end = true;
    }
  }
  if (!train) o.truth.filtered_percent = o.truth.dropped_percent = 0;
  o.buffer = static_cast<int>(often(30) ? 1 : often(50) ? draw(2, 60) : 1000);
  o.batch = static_cast<int>(draw(1, 8));
  o.step_ms = draw(5, 60);
  o.delay_ms = draw(0, 100);
  const auto rate = [&](int percent, std::int64_t high) {
    return often(percent) ? static_cast<double>(draw(1, high)) : 0;
  };
  o.drop = rate(50, 20) / 100;
  o.duplicate = rate(50, 20) / 100;
  o.skew = rate(40, 40) / 100;
  o.stragglers = rate(40, 50) / 100;
  o.kills = rate(60, 200);
  o.pauses = rate(40, 100);
  o.drains = rate(40, 100);
  o.master_restarts = rate(40, 60);
  if (train) o.checkpoints = rate(60, 120);
  if (train) o.rewinds = rate(50, 60);
  // Workers are lost at random here: fewer would blame good records.
  o.spec.max_losses = often(50) ? 0 : 1000;
  o.fault_ms = draw(3000, 20000);
  // What one worker at a tenth of the speed needs for one record a step, twice.
  std::int64_t records = 0;
  for (const FileSpec& file : o.spec.files) records += file.records;
  o.limit_ms = o.fault_ms + 60000 + 20 * o.step_ms * records * o.spec.epochs;
  return o;
}

}  // namespace headrace::ledger
