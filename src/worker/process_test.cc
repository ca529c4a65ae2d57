// Jobs with real processes: the master, agents, fake trainers.
#include <gtest/gtest.h>

#include <atomic>

#include "worker/testing/processes.h"

namespace headrace::worker {
namespace {

using std::chrono::milliseconds;
using testing::ChildrenOf;
using testing::Clock;
using testing::Dead;
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
