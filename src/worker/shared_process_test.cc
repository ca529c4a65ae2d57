// Jobs of a shared model with real processes: the master, agents, fake trainers at fake servers.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/testing.h"
#include "worker/testing/fake_servers.h"
#include "worker/testing/processes.h"

namespace headrace::worker {
namespace {

using headrace::testing::Report;
using headrace::testing::Scaled;
using std::chrono::milliseconds;
using testing::ChildrenOf;
using testing::FakeServers;
using testing::kLongPatience;
using testing::Process;
using testing::Read;
using testing::Until;

class SharedProcessTest : public testing::JobTest {
 protected:
  SharedProcessTest() { witness_ = folder_ + "/model"; }

  void Start(std::int64_t records, const std::string& more = "") {
    StartMaster(records, R"("model": "shared", "max_losses": 0, "checkpoint": {"directory": ")" +
                             folder_ + R"(/checkpoints"})" + (more.empty() ? "" : ", " + more));
  }
  Process* Train(const std::string& name, const std::vector<std::string>& more = {}) {
    std::vector<std::string> flags{"--servers",     folder_ + "/servers",
                                   "--checkpoints", folder_ + "/checkpoints",
                                   "--model",       folder_ + "/model",
                                   "--once",        folder_ + "/failed",
                                   "--shuffle",     "40"};
    flags.insert(flags.end(), more.begin(), more.end());
    return StartWorker(name, FakeTrainer(flags), {"--max_restarts", "100"});
  }
  grpc::Status Checkpoint() {
    grpc::ClientContext context;
    v1::Introduce("test", &context);
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    v1::CheckpointReply reply;
    return stub_->Checkpoint(&context, {}, &reply);
  }
  std::vector<std::string> Events() {
    std::vector<std::string> events;
    std::ifstream lines(folder_ + "/servers/events");
    for (std::string line; std::getline(lines, line);) events.push_back(line);
    return events;
  }
  // Where it is in the list; its length if it is not there.
  static std::size_t Place(const std::vector<std::string>& events, const std::string& event) {
    return static_cast<std::size_t>(std::find(events.begin(), events.end(), event) -
                                    events.begin());
  }
  int Restarts(const std::string& name) {
    const v1::JobStatus status = Status();
    for (const v1::WorkerStatus& worker : status.workers()) {
      if (worker.name() == name) return worker.restarts();
    }
    return -1;
  }
  std::vector<std::string> EventsOf(const std::string& what) {
    std::vector<std::string> found;
    for (const std::string& event : Events()) {
      if (event.rfind(what, 0) == 0) found.push_back(event);
    }
    return found;
  }
  std::vector<std::string> Restores() { return EventsOf("restored"); }
  // All have left in order, one has written the model.
  void ExpectDelivered(const std::vector<Process*>& agents) {
    for (Process* agent : agents) EXPECT_EQ(agent->ExitCode(), 0) << agent->output();
    EXPECT_EQ(EventsOf("delivered").size(), 1u);
    EXPECT_EQ(Status().model(), folder_ + "/model");
    EXPECT_EQ(Read(folder_ + "/model"), FakeServers(folder_ + "/servers").Model());
  }
};

TEST_F(SharedProcessTest, TwoWorkersOfOneModel) {
  Start(1000, R"("epochs": 2)");
  Process* a = Train("worker-0", {"--step_ms", "2", "--restore_ms", "200"});
  Process* b = Train("worker-1", {"--step_ms", "2", "--restore_ms", "200"});
  ExpectDelivered({a, b});
  ExpectComplete(1000, 2, /*none_repeated=*/true);
  EXPECT_EQ(Restores(), std::vector<std::string>{"restored generation 1"});
  EXPECT_EQ(Restarts("worker-0") + Restarts("worker-1"), 0);
  EXPECT_EQ(Status().totals().trained_before_rewind(), 0);
  EndMaster(0);
}

TEST_F(SharedProcessTest, AKilledTrainerTakesNoModelWithIt) {
  Start(2000);
  Process* a = Train("worker-0", {"--step_ms", "3", "--kill_at", "30"});
  Process* b = Train("worker-1", {"--step_ms", "3"});
  ExpectDelivered({a, b});
  ExpectComplete(2000, 1, /*none_repeated=*/false);
  EXPECT_GT(Status().totals().possibly_repeated(), 0);
  EXPECT_EQ(Restores().size(), 1u);
  EXPECT_EQ(Restarts("worker-0"), 1);
  EXPECT_EQ(Restarts("worker-1"), 0) << b->output();
  EndMaster(0);
}

TEST_F(SharedProcessTest, AStepThatComesPastItsLeaseIsFencedOff) {
  Start(2000, R"("lease_ms": 500)");
  Process* paused = Train("worker-0", {"--step_ms", "2", "--pause_at", "20"});
  ASSERT_TRUE(Until([&] { return std::filesystem::exists(folder_ + "/failed"); }));
  const std::vector<pid_t> trainers = ChildrenOf(paused->pid());
  ASSERT_EQ(trainers.size(), 1u);
  ASSERT_TRUE(Until([&] {
    return Read("/proc/" + std::to_string(trainers[0]) + "/status").find("State:\tT") !=
           std::string::npos;
  }));
  paused->Signal(SIGSTOP);
  Process* other = Train("worker-1", {"--step_ms", "8"});
  const std::string fence = "worker 1 fenced off by 2";
  ASSERT_TRUE(Until([&] { return !EventsOf(fence).empty(); }));
  const v1::Ledger lost = Ledger();
  kill(trainers[0], SIGCONT);
  ASSERT_TRUE(Until([&] { return !EventsOf("worker 1 refused: fenced off").empty(); }));
  paused->Signal(SIGCONT);
  ExpectDelivered({paused, other});
  EXPECT_GE(Restarts("worker-0"), 1) << paused->output();
  ExpectComplete(2000, 1, /*none_repeated=*/false);
  const std::vector<std::string> events = Events();
  // Of the records that it lost none was trained by another before the fence stood.
  std::int64_t records = 0;
  for (const v1::FileCoverage& file : lost.files()) {
    for (const v1::Range& range : file.possibly_repeated()) {
      for (std::int64_t i = range.begin(); i < range.end(); ++i, ++records) {
        const std::string trained = " trained " + file.path() + " " + std::to_string(i);
        EXPECT_GT(Place(events, "worker 2" + trained), Place(events, fence)) << trained;
        EXPECT_GT(Place(events, "worker 3" + trained), Place(events, fence)) << trained;
      }
    }
  }
  EXPECT_GT(records, 0);
  EXPECT_EQ(Restores().size(), 1u);
  EXPECT_EQ(Restarts("worker-1"), 0);
  EndMaster(0);
}

TEST_F(SharedProcessTest, TheRestorerIsKilledWhileItRestores) {
  Start(1000);
  Process* a = Train("worker-0", {"--restore_ms", "200", "--kill_at_restore"});
  ASSERT_TRUE(Until([&] { return Status().waits_for() == "worker-0 to restore the model"; }));
  Process* b = Train("worker-1");
  ExpectDelivered({a, b});
  ExpectComplete(1000, 1, /*none_repeated=*/true);
  EXPECT_EQ(Restores(), std::vector<std::string>{"restored generation 2"});
  EXPECT_EQ(Restarts("worker-0"), 1);
  EndMaster(0);
}

TEST_F(SharedProcessTest, ServersThatDieAreFilledFromTheCheckpoint) {
  Start(2000);
  Process* a = Train("worker-0", {"--step_ms", "3"});
  Process* b = Train("worker-1", {"--step_ms", "3"});
  ASSERT_TRUE(Until([&] { return trained() > 300; }));
  ASSERT_TRUE(Checkpoint().ok());
  const std::int64_t saved = trained();
  ASSERT_TRUE(Until([&] { return trained() > saved + 200; }));
  FakeServers(folder_ + "/servers").Die();
  ExpectDelivered({a, b});
  // With respect to the model that came out.
  ExpectComplete(2000, 1, /*none_repeated=*/true);
  EXPECT_GE(Status().totals().trained_before_rewind(), 200);
  EXPECT_EQ(Restores(),
            (std::vector<std::string>{"restored generation 1", "restored generation 2"}));
  EndMaster(0);
}

TEST_F(SharedProcessTest, AnExactJobGoesBackForEachLoss) {
  Start(2000, R"("exact": true)");
  Process* a = Train("worker-0", {"--step_ms", "3", "--kill_at", "60"});
  Process* b = Train("worker-1", {"--step_ms", "3"});
  ASSERT_TRUE(Until([&] { return trained() > 100; }));
  ASSERT_TRUE(Checkpoint().ok());
  ExpectDelivered({a, b});
  ExpectComplete(2000, 1, /*none_repeated=*/true);
  EXPECT_GT(Status().totals().trained_before_rewind(), 0);
  EXPECT_EQ(Restores().size(), 2u);
  EXPECT_EQ(Restarts("worker-0"), 1);
  EXPECT_EQ(Restarts("worker-1"), 1) << "everybody begins with the restored model";
  EXPECT_NE(b->output().find("the model was rewound"), std::string::npos) << b->output();
  EndMaster(0);
}

TEST_F(SharedProcessTest, AnotherDeliversWhenTheFirstDies) {
  Start(500);
  Process* a = Train("worker-0", {"--kill_at_delivery"});
  Process* b = Train("worker-1", {"--kill_at_delivery"});
  ExpectDelivered({a, b});
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/failed"));
  ExpectComplete(500, 1, /*none_repeated=*/true);
  EXPECT_EQ(Restores().size(), 1u);
  EndMaster(0);
}

TEST_F(SharedProcessTest, TheLastWorkerIsKilledWhenItDelivers) {
  Start(500);
  Process* a = Train("worker-0", {"--kill_at_delivery"});
  ExpectDelivered({a});
  EXPECT_EQ(Restarts("worker-0"), 1);
  ExpectComplete(500, 1, /*none_repeated=*/true);
  EXPECT_EQ(Restores().size(), 1u);
  EndMaster(0);
}

class SharedStormTest : public SharedProcessTest, public ::testing::WithParamInterface<bool> {};

// Trainers, agents and the master are killed at random moments; the servers stay.
TEST_P(SharedStormTest, KilledAtRandomMoments) {
  const bool exact = GetParam();
  std::mt19937 random(headrace::testing::Seed());
  const std::int64_t records = Scaled(6000), most = Scaled(12);
  Start(records, std::string(R"("lease_ms": 1000, "exact": )") + (exact ? "true" : "false"));
  const std::vector<std::string> names{"worker-0", "worker-1", "worker-2"};
  for (const std::string& name : names) Train(name, {"--step_ms", "3"});
  std::int64_t killed = 0;
  for (std::int64_t kills = 0; kills < most; ++kills) {
    std::this_thread::sleep_for(milliseconds(random() % 200));
    if (exact && kills % 3 == 0) Checkpoint();  // unless all is done
    const std::string& name = names[random() % names.size()];
    Process* agent = workers_[name].get();
    if (!agent->running()) continue;  // it has done all there was
    ++killed;
    switch (random() % 4) {
      case 0: {
        agent->Signal(SIGKILL);
        agent->ExitCode();
        Train(name, {"--step_ms", "3"});
        break;
      }
      case 1: {
        master_->Signal(SIGKILL);
        master_->ExitCode();
        RestartMaster();
        break;
      }
      default:
        for (const pid_t trainer : ChildrenOf(agent->pid())) kill(trainer, SIGKILL);
    }
  }
  for (const std::string& name : names) {
    EXPECT_EQ(workers_[name]->ExitCode(kLongPatience), 0) << workers_[name]->output();
  }
  ExpectComplete(records, 1, /*none_repeated=*/exact);
  Report("kills", static_cast<double>(killed));
  Report("tasks", static_cast<double>(records) / 50);
  EXPECT_EQ(Status().model(), folder_ + "/model");
  EndMaster(0);
}

INSTANTIATE_TEST_SUITE_P(SharedModel, SharedStormTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Exact" : "AtLeastOnce"; });

}  // namespace
}  // namespace headrace::worker
