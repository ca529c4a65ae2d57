// The same with more trouble: kills, pauses, workers that come and go, records that kill; as much
// as HEADRACE_TEST_SCALE says.
#include <gtest/gtest.h>

#include <random>

#include "base/testing.h"
#include "worker/testing/processes.h"

namespace headrace::worker {
namespace {

using headrace::testing::Report;
using headrace::testing::Scaled;
using std::chrono::milliseconds;
using testing::ChildrenOf;
using testing::Clock;
using testing::Count;
using testing::Dead;
using testing::kLongPatience;
using testing::MillisecondsSince;
using testing::Process;
using testing::Until;

using WorkerProcessTest = testing::JobTest;

// Trainers and agents are killed at random moments; who kills an agent starts another one.
TEST_F(WorkerProcessTest, KilledAtRandomMoments) {
  std::mt19937 random(headrace::testing::Seed());
  const std::int64_t records = Scaled(50000);
  StartMaster(records, R"("lease_ms": 2000, "max_losses": 0)");
  const std::vector<std::string> command = FakeTrainer({"--shuffle", "30", "--step_ms", "6"});
  // Some are killed before they get anything done.
  const std::vector<std::string> flags{"--max_restarts", "100"};
  const std::vector<std::string> names{"worker-0", "worker-1", "worker-2", "worker-3"};
  for (const std::string& name : names) StartWorker(name, command, flags);
  int killed_trainers = 0, killed_agents = 0;
  double slowest_ms = 0;
  while (killed_trainers + killed_agents < Scaled(14)) {
    std::this_thread::sleep_for(milliseconds(random() % 150));
    const std::string& name = names[random() % names.size()];
    Process* agent = workers_[name].get();
    ASSERT_TRUE(agent->running()) << agent->output();
    const std::vector<pid_t> trainers = ChildrenOf(agent->pid());
    if (random() % 3 == 0) {
      const Clock::time_point begin = Clock::now();
      agent->Signal(SIGKILL);
      agent->ExitCode();
      ++killed_agents;
      EXPECT_TRUE(Until([&] { return Leases(name) == 0; }));
      slowest_ms = std::max(slowest_ms, MillisecondsSince(begin));
      for (const pid_t trainer : trainers) {
        EXPECT_TRUE(Until([&] { return Dead(trainer); })) << "it outlived its agent";
      }
      StartWorker(name, command, flags);
    } else if (!trainers.empty()) {
      kill(trainers[0], SIGKILL);
      ++killed_trainers;
    }
  }
  EXPECT_GT(killed_trainers, 0);
  for (const std::string& name : names) {
    EXPECT_EQ(workers_[name]->ExitCode(kLongPatience), 0) << workers_[name]->output();
  }
  ExpectComplete(records, 1, false);
  EndMaster(0);
  Report("kills", killed_trainers + killed_agents);
  Report("tasks", static_cast<double>(records) / 50);
  Report("repeated_records_per_kill",
         static_cast<double>(Repeated(1)) / (killed_trainers + killed_agents));
  Report("slowest_return_of_leases_ms", slowest_ms);
}

// Again and again: what it reports when it wakes is refused, and it goes on.
TEST_F(WorkerProcessTest, PausedPastItsLease) {
  constexpr int kLeaseMs = 500;
  const std::int64_t pauses = Scaled(1), records = 1500 + 3000 * (pauses - 1);
  StartMaster(records, R"("lease_ms": )" + std::to_string(kLeaseMs));
  Process* paused = StartWorker("worker-0", FakeTrainer({"--shuffle", "40", "--step_ms", "2"}));
  Process* other = nullptr;
  double slowest_ms = 0;
  for (std::int64_t i = 0; i < pauses; ++i) {
    ASSERT_TRUE(Until([&] { return Leases("worker-0") > 0 && trained() > 50; }));
    const std::vector<pid_t> trainers = ChildrenOf(paused->pid());
    ASSERT_EQ(trainers.size(), 1u);
    const Clock::time_point begin = Clock::now();
    paused->Signal(SIGSTOP);
    kill(trainers[0], SIGSTOP);
    if (other == nullptr) other = StartWorker("worker-1", FakeTrainer({"--step_ms", "2"}));
    ASSERT_TRUE(Until([&] { return Leases("worker-0") == 0; }));
    slowest_ms = std::max(slowest_ms, MillisecondsSince(begin));
    const std::size_t said = Count(paused->output(), "is no longer ours");
    kill(trainers[0], SIGCONT);
    paused->Signal(SIGCONT);
    ASSERT_TRUE(Until([&] { return Count(paused->output(), "is no longer ours") > said; }));
    ASSERT_EQ(ChildrenOf(paused->pid()), trainers) << "it goes on";
  }
  EXPECT_EQ(paused->ExitCode(kLongPatience), 0) << paused->output();
  EXPECT_EQ(other->ExitCode(kLongPatience), 0) << other->output();
  ExpectComplete(records, 1, false);
  EndMaster(0);
  Report("pauses", static_cast<double>(pauses));
  Report("slowest_return_of_leases_after_the_lease_ms", slowest_ms - kLeaseMs);
}

class ChurnTest : public WorkerProcessTest, public ::testing::WithParamInterface<bool> {
 protected:
  static constexpr int kStepMs = 40, kBatch = 8;
  static constexpr milliseconds kBetween{2000};

  void Begin() {
    const std::string name = "worker-" + std::to_string(started_++);
    StartWorker(name, FakeTrainer({"--step_ms", std::to_string(kStepMs), "--times", Times(name)}));
    names_.push_back(name);
  }
  // Whoever has worked longest, by SIGTERM or SIGKILL.
  void End(int signal) {
    const std::string name = names_.front();
    names_.erase(names_.begin());
    Process* worker = workers_[name].get();
    const std::vector<pid_t> trainers = ChildrenOf(worker->pid());
    const Clock::time_point now = Clock::now();
    worker->Signal(signal);
    const int code = worker->ExitCode();
    if (signal == SIGTERM) {
      EXPECT_EQ(code, 0) << worker->output();
      slowest_drain_ms_ = std::max(slowest_drain_ms_, MillisecondsSince(now));
      ++drained_;
    } else {
      for (const pid_t trainer : trainers) EXPECT_TRUE(Until([&] { return Dead(trainer); }));
      ++killed_;
    }
    Account(name, now);
  }
  // What it could have done from when it was ready on, had it lost no time between steps.
  void Account(const std::string& name, Clock::time_point end) {
    std::int64_t ready = 0, first = 0;
    std::ifstream(Times(name)) >> ready >> first;
    if (ready == 0) return;
    const double end_ms = std::chrono::duration<double, std::milli>(end.time_since_epoch()).count();
    capacity_ += std::max(0.0, end_ms - static_cast<double>(ready)) / kStepMs * kBatch;
    if (first > 0) {
      slowest_first_step_ms_ = std::max(slowest_first_step_ms_, static_cast<double>(first - ready));
    }
  }
  std::string Times(const std::string& name) const { return folder_ + "/" + name + ".times"; }

  std::vector<std::string> names_;  // those that work, in the order of their starts
  int started_ = 0, drained_ = 0, killed_ = 0;
  double capacity_ = 0, slowest_drain_ms_ = 0, slowest_first_step_ms_ = 0;
};

// Workers come and go every two seconds; if the test's parameter says so, every third leaves by
// SIGKILL.
TEST_P(ChurnTest, WorkersComeAndGo) {
  const bool kills = GetParam();
  const std::vector<std::size_t> counts{1, 8, 2, 5, 3, 7};
  const auto turns = static_cast<std::size_t>(Scaled(3));
  std::size_t turns_of_all = 0;
  for (std::size_t i = 0; i < turns; ++i) turns_of_all += counts[i % counts.size()];
  // More than they can do by then: some work on while others are drained.
  const std::int64_t records =
      static_cast<std::int64_t>(turns_of_all) * (kBetween.count() / kStepMs) * kBatch * 5 / 4;
  StartMaster(records, R"("max_losses": 0)");
  int leaving = 0;
  for (std::size_t i = 0; i < turns; ++i) {
    while (names_.size() < counts[i % counts.size()]) Begin();
    while (names_.size() > counts[i % counts.size()]) {
      End(kills && ++leaving % 3 == 0 ? SIGKILL : SIGTERM);
    }
    std::this_thread::sleep_for(kBetween);  // how long they work: what is tried here
  }
  const std::int64_t done = trained();
  const Clock::time_point now = Clock::now();
  ASSERT_LT(done, records) << "there was not enough to do";
  for (const std::string& name : names_) Account(name, now);
  for (const std::string& name : names_) {
    EXPECT_EQ(workers_[name]->ExitCode(kLongPatience), 0) << workers_[name]->output();
  }
  ExpectComplete(records, 1, /*none_repeated=*/!kills);
  EndMaster(0);
  Report("workers", started_);
  Report("drained", drained_);
  Report("killed", killed_);
  Report("work_of_capacity", static_cast<double>(done) / capacity_);
  Report("slowest_drain_ms", slowest_drain_ms_);
  Report("slowest_first_step_ms", slowest_first_step_ms_);
}

INSTANTIATE_TEST_SUITE_P(Workers, ChurnTest, ::testing::Bool(), [](const auto& info) {
  return info.param ? "DrainedAndKilled" : "Drained";
});

TEST_F(WorkerProcessTest, TheMasterIsKilledMeanwhile) {
  const std::int64_t kills = Scaled(4), records = 1600 + 600 * kills;
  StartMaster(records);
  Process* a = StartWorker("worker-0", FakeTrainer({"--shuffle", "40", "--step_ms", "3"}));
  Process* b = StartWorker("worker-1", FakeTrainer({"--shuffle", "40", "--step_ms", "3"}));
  double slowest_ms = 0;
  for (std::int64_t i = 1; i <= kills; ++i) {
    ASSERT_TRUE(Until([&] { return trained() > i * 600; }));
    const Clock::time_point begin = Clock::now();
    master_->Signal(SIGKILL);
    master_->ExitCode();
    RestartMaster();
    const std::int64_t before = trained();
    ASSERT_TRUE(Until([&] { return trained() > before; }));
    slowest_ms = std::max(slowest_ms, MillisecondsSince(begin));
  }
  EXPECT_EQ(a->ExitCode(), 0) << a->output();
  EXPECT_EQ(b->ExitCode(), 0) << b->output();
  EXPECT_EQ(a->output().find("started again"), std::string::npos) << "the trainer goes on";
  ExpectComplete(records, 1, /*none_repeated=*/true);
  EndMaster(0);
  Report("kills", static_cast<double>(kills));
  Report("slowest_until_work_is_done_again_ms", slowest_ms);
}

class PoisonTest : public WorkerProcessTest, public ::testing::WithParamInterface<bool> {};

// Two workers; if the test's parameter says so, a record of each file kills who trains it.
TEST_P(PoisonTest, TheOtherTasksAreTrained) {
  const bool poison = GetParam();
  const std::int64_t records = Scaled(4000);
  StartMaster(records, R"("max_losses": 3, "max_quarantined": 2)");
  const Clock::time_point begin = Clock::now();
  for (const char* name : {"worker-0", "worker-1"}) {
    StartWorker(name, FakeTrainer({"--kill_on", poison ? "149" : "-1", "--step_ms", "5"}));
  }
  for (const char* name : {"worker-0", "worker-1"}) {
    EXPECT_EQ(workers_[name]->ExitCode(kLongPatience), 0) << workers_[name]->output();
  }
  Report("seconds", MillisecondsSince(begin) / 1000);
  const v1::Ledger ledger = Ledger();
  EXPECT_EQ(ledger.totals().quarantined(), poison ? 2 : 0);
  EXPECT_EQ(ledger.totals().trained(), records - ledger.totals().quarantined());
  EndMaster(poison ? 3 : 0);
}

INSTANTIATE_TEST_SUITE_P(Records, PoisonTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "TwoKill" : "AllGood"; });

}  // namespace
}  // namespace headrace::worker
