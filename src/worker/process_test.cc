// Jobs with real processes: the master, agents, fake trainers.
#include <gtest/gtest.h>

#include <atomic>
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

TEST_F(WorkerProcessTest, TwoWorkersDoAJob) {
  StartMaster(1000, R"("epochs": 2)");
  Process* a = StartWorker("worker-0", FakeTrainer({"--shuffle", "100", "--step_ms", "1"}));
  Process* b = StartWorker("worker-1", FakeTrainer({"--shuffle", "100000", "--step_ms", "1"}));
  EXPECT_EQ(a->ExitCode(), 0) << a->output();
  EXPECT_EQ(b->ExitCode(), 0) << b->output();
  ExpectComplete(1000, 2, /*none_repeated=*/true);
  EndMaster(0);
}

TEST_F(WorkerProcessTest, AJobThatIsDoneIsLeftAtOnce) {
  StartMaster(100);
  for (const char* name : {"worker-0", "worker-1"}) {
    Process* worker = StartWorker(name, FakeTrainer());
    EXPECT_EQ(worker->ExitCode(), 0);
    EXPECT_EQ(worker->output().find("warning"), std::string::npos) << worker->output();
  }
  ExpectComplete(100, 1, true);
}

// Trainers and agents are killed at random moments; who kills an agent starts another one.
TEST_F(WorkerProcessTest, KilledAtRandomMoments) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
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
  const std::int64_t records = static_cast<std::int64_t>(turns) * 1800 + 200;
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

TEST_F(WorkerProcessTest, ADrainHandsBackTheUnreadAtOnce) {
  constexpr std::int64_t kRecords = 4000;
  StartMaster(kRecords, R"("task_records": 1000)");
  Process* drained = StartWorker("worker-0", FakeTrainer({"--step_ms", "20"}));
  ASSERT_TRUE(Until([&] { return trained() > 20; }));
  const Clock::time_point began = Clock::now();
  drained->Signal(SIGTERM);
  EXPECT_EQ(drained->ExitCode(), 0) << drained->output();
  EXPECT_LT(Clock::now() - began, std::chrono::seconds(1));
  EXPECT_EQ(Status().workers_size() == 0 || Status().workers(0).leases() == 0, true);
  EXPECT_LT(trained(), 1000);
  EXPECT_EQ(StartWorker("worker-1", FakeTrainer())->ExitCode(), 0);
  ExpectComplete(kRecords, 1, /*none_repeated=*/true);
  EndMaster(0);
}

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

TEST_F(WorkerProcessTest, ACrashIsReportedAndMadeUpFor) {
  StartMaster(1000);
  Process* worker = StartWorker("worker-0", FakeTrainer({"--kill_at", "40"}));
  ASSERT_TRUE(Until([&] {
    const auto status = Status();
    return status.workers_size() > 0 && !status.workers(0).last_exit().empty();
  }));
  EXPECT_EQ(Status().workers(0).last_exit(), "killed by signal 9 (KILL)");
  EXPECT_EQ(worker->ExitCode(), 0) << worker->output();
  ExpectComplete(1000, 1, false);
}

TEST_F(WorkerProcessTest, AStepThatHangsIsEnded) {
  StartMaster(1000, R"("step_timeout_ms": 1000)");
  Process* worker = StartWorker(
      "worker-0", FakeTrainer({"--shuffle", "40", "--hang_at", "40", "--once", folder_ + "/once"}));
  ASSERT_TRUE(Until([&] {
    const auto status = Status();
    return status.workers_size() > 0 && !status.workers(0).last_exit().empty();
  }));
  EXPECT_NE(Status().workers(0).last_exit().find("while it held "), std::string::npos)
      << Status().workers(0).last_exit();
  EXPECT_EQ(worker->ExitCode(), 0) << worker->output();
  ExpectComplete(1000, 1, false);
}

TEST_F(WorkerProcessTest, AProcessThatIsStoppedAsAWholeIsEnded) {
  StartMaster(1000);
  Process* worker = StartWorker(
      "worker-0", FakeTrainer({"--shuffle", "40", "--pause_at", "40", "--once", folder_ + "/once"}),
      {"--step_timeout_s", "1"});
  EXPECT_EQ(worker->ExitCode(), 0) << worker->output();
  EXPECT_NE(worker->output().find(" while it held "), std::string::npos) << worker->output();
  ExpectComplete(1000, 1, false);
}

// It holds leases, and can train none of their records before the master gives it more.
TEST_F(WorkerProcessTest, WaitingForTheMasterIsNoHang) {
  StartMaster(1000, R"("step_timeout_ms": 1000)");
  Process* worker = StartWorker("worker-0", FakeTrainer({"--shuffle", "100000"}));
  ASSERT_TRUE(Until([&] {
    const v1::JobStatus status = Status();
    return status.workers_size() > 0 && status.workers(0).leases() > 0;
  }));
  master_->Signal(SIGSTOP);
  std::this_thread::sleep_for(milliseconds(2500));  // more than twice the limit
  master_->Signal(SIGCONT);
  EXPECT_EQ(worker->ExitCode(), 0) << worker->output();
  EXPECT_EQ(worker->output().find("kills"), std::string::npos) << worker->output();
  ExpectComplete(1000, 1, /*none_repeated=*/true);
}

// More deaths in a row than an agent puts up with, were nobody counting them.
TEST_F(WorkerProcessTest, ARecordThatKillsIsFound) {
  StartMaster(300, R"("max_losses": 8, "max_quarantined": 2, "backoff_ms": 0)");
  Process* worker = StartWorker("worker-0", FakeTrainer({"--kill_on", "149", "--step_ms", "5"}),
                                {"--max_restarts", "2"});
  EXPECT_EQ(worker->ExitCode(), 0) << worker->output();
  const v1::Ledger ledger = Ledger();
  EXPECT_EQ(ledger.verdict(), "done-with-quarantined");
  EXPECT_EQ(ledger.totals().quarantined(), 2) << "one of each file";
  EndMaster(3);
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

TEST_F(WorkerProcessTest, ACommandThatAlwaysCrashes) {
  StartMaster(1000);
  Process* worker =
      StartWorker("worker-0", FakeTrainer({"--exit_at", "0"}), {"--max_restarts", "2"});
  EXPECT_EQ(worker->ExitCode(), 1);
  EXPECT_NE(worker->output().find("3 times in a row without progress"), std::string::npos)
      << worker->output();
  ASSERT_EQ(Status().workers_size(), 1);
  EXPECT_EQ(Status().workers(0).last_exit(),
            "exit code 3; its last line: ValueError: the third step is cursed");
  EXPECT_EQ(Status().totals().trained(), 0);
}

TEST_F(WorkerProcessTest, AModelThatCannotBeWrittenIsNotTrainedAgain) {
  StartMaster(200, R"("model": "local")");
  Process* worker = StartWorker("worker-0", FakeTrainer({"--fail_at_delivery"}));
  EXPECT_EQ(worker->ExitCode(), 1);
  EXPECT_NE(worker->output().find("its model cannot be written: RESOURCE_EXHAUSTED: no room"),
            std::string::npos)
      << worker->output();
  EXPECT_EQ(Status().workers(0).restarts(), 0);
}

TEST_F(WorkerProcessTest, ACommandThatSaysNothing) {
  StartMaster(1000);
  Process* worker = StartWorker("worker-0", FakeTrainer({"--silent"}),
                                {"--max_restarts", "1", "--hello_timeout_s", "0.2"});
  EXPECT_EQ(worker->ExitCode(), 1);
  EXPECT_NE(worker->output().find("did not connect to the agent within"), std::string::npos)
      << worker->output();
}

TEST_F(WorkerProcessTest, NoSuchCommand) {
  StartMaster(1000);
  const Clock::time_point began = Clock::now();
  Process* worker = StartWorker("worker-0", {"no-such-program"});
  EXPECT_EQ(worker->ExitCode(), 1);
  EXPECT_LT(Clock::now() - began, std::chrono::seconds(1));
  EXPECT_NE(worker->output().find("there is no program 'no-such-program'"), std::string::npos);
}

TEST_F(WorkerProcessTest, NoMaster) {
  address_ = "127.0.0.1:1";
  Process* worker = StartWorker("worker-0", FakeTrainer(), {"--master_timeout_s", "0.5"});
  EXPECT_EQ(worker->ExitCode(), 1);
  EXPECT_NE(worker->output().find("is --master right"), std::string::npos) << worker->output();
}

// Starting it again would not help.
TEST_F(WorkerProcessTest, ATrainingProcessOfAnotherRelease) {
  StartMaster(1000);
  Process* worker = StartWorker("worker-0", FakeTrainer({"--protocol", "2"}));
  EXPECT_EQ(worker->ExitCode(), 1);
  EXPECT_NE(worker->output().find("fake-trainer speaks version 2 of the feed protocol, "
                                  "headrace-worker version 1: install the same version"),
            std::string::npos)
      << worker->output();
  EXPECT_EQ(worker->output().find("is started again"), std::string::npos) << worker->output();
}

// Answers as a master of another release would, and counts.
class OtherMaster final : public v1::Control::Service {
 public:
  explicit OtherMaster(int protocol) : protocol_(std::to_string(protocol)) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    address_ = "127.0.0.1:" + std::to_string(port);
  }
  const std::string& address() const { return address_; }
  int calls() const { return calls_; }
  bool refuses = false;  // as one that knows of versions does
  int good_answers = 0;  // the first ones, as one of this release gives them

  grpc::Status Join(grpc::ServerContext* context, const v1::JoinRequest*,
                    v1::JoinReply* reply) override {
    reply->set_worker(1);
    reply->mutable_orders()->set_state(v1::JOB_STATE_RUNNING);
    return Answer(context);
  }
  grpc::Status GetStatus(grpc::ServerContext* context, const v1::GetStatusRequest*,
                         v1::JobStatus*) override {
    return Answer(context);
  }

 private:
  grpc::Status Answer(grpc::ServerContext* context) {
    const bool good = ++calls_ <= good_answers;
    context->AddInitialMetadata("headrace-protocol",
                                good ? std::to_string(v1::kControlProtocol) : protocol_);
    context->AddInitialMetadata("headrace-program", "headrace-master 9.9.9");
    if (!refuses) return grpc::Status::OK;
    return {grpc::StatusCode::UNIMPLEMENTED, "you speak version 1, I do not"};
  }

  const std::string protocol_;
  std::string address_;
  std::atomic<int> calls_{0};
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(WorkerProcessTest, AMasterOfAnotherReleaseIsLeft) {
  for (const int protocol : {v1::kControlProtocol - 1, v1::kControlProtocol + 1}) {
    for (const bool refuses : {false, true}) {
      OtherMaster master(protocol);
      master.refuses = refuses;
      address_ = master.address();
      const std::string why = refuses ? "you speak version 1, I do not"
                                      : "headrace-master 9.9.9 speaks version " +
                                            std::to_string(protocol) + " of the control protocol, ";
      Process* worker = StartWorker("worker-0", FakeTrainer());
      EXPECT_EQ(worker->ExitCode(), 1) << worker->output();
      EXPECT_NE(worker->output().find(why), std::string::npos) << worker->output();
      EXPECT_EQ(master.calls(), 1) << "it tried again";
      Process ctl({HEADRACE_CTL, "status", "--master", address_}, folder_ + "/ctl.log");
      EXPECT_EQ(ctl.ExitCode(), 1) << ctl.output();
      EXPECT_NE(ctl.output().find(why), std::string::npos) << ctl.output();
      if (refuses) continue;
      EXPECT_NE(worker->output().find("headrace-worker "), std::string::npos);
      EXPECT_NE(ctl.output().find("headrace-ctl "), std::string::npos);
      for (const Process* one : {worker, &ctl}) {
        EXPECT_NE(one->output().find("speaks version 1: install the same version of headrace on "
                                     "all machines"),
                  std::string::npos)
            << one->output();
      }
    }
  }
}

// Its successor was installed while the job ran: it knows none of the calls that follow.
TEST_F(WorkerProcessTest, AMasterThatIsReplacedByAnotherReleaseIsLeft) {
  OtherMaster master(v1::kControlProtocol + 1);
  master.good_answers = 1;
  address_ = master.address();
  Process* worker = StartWorker("worker-0", FakeTrainer());
  EXPECT_EQ(worker->ExitCode(), 1) << worker->output();
  EXPECT_NE(worker->output().find("headrace-master 9.9.9 speaks version 2 of the control protocol"),
            std::string::npos)
      << worker->output();
  EXPECT_EQ(master.calls(), 2) << "it joined, and once more";
}

TEST_F(WorkerProcessTest, NoProcessStays) {
  StartMaster(200);
  const std::string pids = folder_ + "/pids";
  std::string script =
      "sleep 1000 & echo $! >" + pids + "; setsid sleep 1000 & echo $! >>" + pids + "; exec";
  for (const std::string& word : FakeTrainer()) script += " " + word;
  Process* worker = StartWorker("worker-0", {"/bin/sh", "-c", script});
  EXPECT_EQ(worker->ExitCode(), 0) << worker->output();
  std::ifstream list(pids);
  int count = 0;
  for (pid_t pid = 0; list >> pid; ++count) EXPECT_TRUE(Dead(pid)) << pid;
  EXPECT_EQ(count, 2);
}

TEST_F(WorkerProcessTest, StoppedTwiceIsKilled) {
  StartMaster(100000);
  Process* worker = StartWorker("worker-0", FakeTrainer({"--step_ms", "20", "--deaf"}));
  ASSERT_TRUE(Until([&] { return trained() > 20; }));
  const std::vector<pid_t> trainers = ChildrenOf(worker->pid());
  worker->Signal(SIGTERM);
  ASSERT_TRUE(Until([&] { return worker->output().find("drains") != std::string::npos; }));
  worker->Signal(SIGTERM);
  EXPECT_EQ(worker->ExitCode(milliseconds(5000)), 0) << worker->output();
  for (const pid_t trainer : trainers) EXPECT_TRUE(Dead(trainer));
}

TEST_F(WorkerProcessTest, AStoppedJobIsWorthATry) {
  StartMaster(100000);
  Process* worker = StartWorker("worker-0", FakeTrainer({"--step_ms", "5"}));
  ASSERT_TRUE(Until([&] { return trained() > 20; }));
  grpc::ClientContext context;
  v1::Introduce("test", &context);
  v1::StopRequest stop;
  v1::StopReply reply;
  EXPECT_TRUE(stub_->Stop(&context, stop, &reply).ok());
  EXPECT_EQ(worker->ExitCode(), 75) << worker->output();
  EXPECT_EQ(Status().totals().possibly_repeated(), 0);
  EndMaster(75);
}

TEST_F(WorkerProcessTest, ACheckpointWhileItStandsStill) {
  constexpr std::int64_t kRecords = 3000;
  StartMaster(kRecords, R"("model": "local", "checkpoint": {"directory": ")" + folder_ +
                            R"(/checkpoints", "every_steps": 0})");
  Process* a = StartWorker("worker-0", FakeTrainer({"--shuffle", "40", "--step_ms", "3"}));
  ASSERT_TRUE(Until([&] { return trained() > 50; }));
  grpc::ClientContext context;
  v1::Introduce("test", &context);
  v1::CheckpointReply reply;
  const grpc::Status status = stub_->Checkpoint(&context, {}, &reply);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(std::filesystem::exists(reply.directory() + "/position")) << reply.directory();
  EXPECT_EQ(a->ExitCode(), 0) << a->output();
  ExpectComplete(kRecords, 1, true);
}

}  // namespace
}  // namespace headrace::worker
