// What the master says of its job, and how people read it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <thread>
#include <utility>

#include "master/convert.h"
#include "master/run.h"
#include "master/service_testing.h"
#include "master/text.h"

namespace headrace::master {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::ServiceTest;
using testing::SmallJob;

class StatusTest : public ServiceTest {};

TEST_F(StatusTest, WhoHasLeftWaitsForNothing) {
  StartMaster(SmallJob());
  auto caller = NewCaller();
  const v1::JoinReply joined = Join(caller.get(), "w-0");
  v1::ExchangeRequest request = ExchangeOf(joined);
  request.mutable_telemetry()->set_steps(3);
  request.mutable_telemetry()->set_waits_for("its checkpoint");
  request.mutable_telemetry()->set_waiting_ms(50);
  v1::ExchangeReply reply;
  ASSERT_TRUE(caller->Call(&v1::Control::Stub::Exchange, request, &reply).ok());
  EXPECT_EQ(GetStatus().workers(0).waits_for(), "its checkpoint");

  v1::LeaveRequest leave;
  leave.set_worker(joined.worker());
  leave.set_reason("killed by signal 9 (KILL)");
  v1::LeaveReply left;
  ASSERT_TRUE(caller->Call(&v1::Control::Stub::Leave, leave, &left).ok());
  const v1::WorkerStatus gone = GetStatus().workers(0);
  EXPECT_EQ(gone.state(), "gone");
  EXPECT_EQ(gone.telemetry().steps(), 3) << "its figures stay";
  EXPECT_EQ(gone.waits_for(), "");
  EXPECT_EQ(gone.telemetry().waits_for(), "");
  EXPECT_EQ(gone.telemetry().waiting_ms(), 0);
}

TEST_F(StatusTest, WhatATaskFailedWithIsToldAtOnce) {
  StartMaster(SmallJob());
  auto caller = NewCaller();
  const v1::JoinReply joined = Join(caller.get(), "w-0");
  v1::ExchangeRequest request = ExchangeOf(joined);
  request.set_request(1);
  request.set_max_tasks(1);
  request.set_main(true);
  v1::ExchangeReply reply;
  ASSERT_TRUE(caller->Call(&v1::Control::Stub::Exchange, request, &reply).ok());
  ASSERT_EQ(reply.grants_size(), 1);
  EXPECT_EQ(GetStatus().trouble(), "");

  v1::ExchangeRequest failed = ExchangeOf(joined);
  v1::Report* report = failed.add_reports();
  report->set_token(reply.grants(0).token());
  report->set_end(v1::LEASE_END_FAILED);
  report->set_error("DATA_LOSS: a.txt: byte 7: damaged\nand more");
  report->set_culprit(-1);
  v1::ExchangeReply settled;
  ASSERT_TRUE(caller->Call(&v1::Control::Stub::Exchange, failed, &settled).ok());
  ASSERT_EQ(settled.refused_size(), 0) << settled.refused(0).message();
  const v1::JobStatus status = GetStatus();
  EXPECT_EQ(status.trouble(), "w-0: DATA_LOSS: a.txt: byte 7: damaged\nand more");
  EXPECT_THAT(Text(status), HasSubstr("failed   and tried again: w-0: DATA_LOSS: a.txt: byte 7: "
                                      "damaged ... (more in its log)\n"));
}

// A job with a shared model whose servers a test speaks for.
class ServersTest : public StatusTest {
 protected:
  void StartMaster() {
    options_.now_ms = [this] { return now_ms_; };
    options_.servers = [this] { return looks_; };
    ASSERT_TRUE(
        Dispatcher::Open(SmallJob(ModelKind::kShared), Path("servers"), options_, &master_).ok());
  }
  v1::JobStatus Status() {
    v1::JobStatus status;
    master_->GetStatus([&](const headrace::Status&, const v1::JobStatus& said) { status = said; });
    return status;
  }
  template <class Request, class Reply>
  Reply Call(void (Dispatcher::*method)(const Request&, Dispatcher::Done<Reply>),
             const Request& request) {
    std::promise<std::pair<headrace::Status, Reply>> said;
    (master_.get()->*method)(request, [&](const headrace::Status& status, const Reply& reply) {
      said.set_value({status, reply});
    });
    auto [status, reply] = said.get_future().get();
    EXPECT_TRUE(status.ok()) << status.ToString();
    return reply;
  }
  std::uint64_t Join(const std::string& name) {
    v1::JoinRequest join;
    join.set_name(name);
    join.set_key(7);
    return Call<v1::JoinRequest, v1::JoinReply>(&Dispatcher::Join, join).worker();
  }
  v1::AttachReply Attach(std::uint64_t worker, std::int64_t generation, std::int64_t expected = 0) {
    v1::AttachRequest attach;
    attach.set_worker(worker);
    attach.set_generation(generation);
    attach.set_expected(expected);
    return Call<v1::AttachRequest, v1::AttachReply>(&Dispatcher::Attach, attach);
  }
  // The incarnation.
  std::int64_t Restored(std::uint64_t worker, std::int64_t generation) {
    v1::RestoredRequest restored;
    restored.set_worker(worker);
    restored.set_generation(generation);
    return Call<v1::RestoredRequest, v1::RestoredReply>(&Dispatcher::Restored, restored)
        .incarnation();
  }
  // One task of it, all at once.
  void Train(std::uint64_t worker, std::int64_t incarnation) {
    v1::ExchangeRequest request;
    request.set_worker(worker);
    request.set_incarnation(incarnation);
    request.set_request(++requests_);
    request.set_max_tasks(1);
    request.set_main(true);
    auto reply = Call<v1::ExchangeRequest, v1::ExchangeReply>(&Dispatcher::Exchange, request);
    ASSERT_EQ(reply.grants_size(), 1);
    v1::ExchangeRequest done;
    done.set_worker(worker);
    done.set_incarnation(incarnation);
    v1::Report* report = done.add_reports();
    report->set_token(reply.grants(0).token());
    report->set_end(v1::LEASE_END_FINISHED);
    v1::Acknowledged* what = report->add_acknowledged();
    *what->mutable_range() = reply.grants(0).ranges(0);
    what->set_outcome(v1::OUTCOME_TRAINED);
    reply = Call<v1::ExchangeRequest, v1::ExchangeReply>(&Dispatcher::Exchange, done);
    ASSERT_EQ(reply.refused_size(), 0) << reply.refused(0).message();
  }

  Dispatcher::Options options_;
  std::int64_t now_ms_ = 1'000'000;
  std::vector<ServerLook> looks_{{"a:1", ServerLook::State::kUnknown, 0, ""}};
  std::uint64_t requests_ = 0;
  std::unique_ptr<Dispatcher> master_;
};

TEST_F(ServersTest, WhetherTheyAnswerAndWhatTheyWaitFor) {
  StartMaster();
  EXPECT_THAT(Text(Status()), HasSubstr("server   a:1: unknown\n"));

  now_ms_ += 1000;
  looks_ = {{"a:1", ServerLook::State::kAnswers, now_ms_, ""},
            {"b:2", ServerLook::State::kSilent, now_ms_ - 500, "Connection refused"}};
  now_ms_ += 2000;
  v1::JobStatus status = Status();
  EXPECT_THAT(
      Text(status),
      HasSubstr("server   a:1: answers since 2.0 s, waits for a worker to restore the model "
                "since 2.0 s\nserver   b:2: silent since 2.5 s (Connection refused)\n"));
  EXPECT_EQ(status.servers(1).state_ms(), 2500);

  const std::uint64_t worker = Join("w-0");
  ASSERT_EQ(Attach(worker, 0).answer(), v1::ATTACH_RESTORE);
  now_ms_ += 700;
  EXPECT_THAT(Text(Status()),
              HasSubstr("waits for w-0 to restore the model since 0.7 s\nserver   b:2: silent"));
  Restored(worker, 1);
  status = Status();
  EXPECT_THAT(Text(status),
              HasSubstr("a:1: answers since 2.7 s, serves the model (generation 1)\n"));
  EXPECT_EQ(status.servers(0).generation(), 1);
  EXPECT_EQ(status.servers(0).waits_for(), "");

  // It has died, and another trainer finds so.
  const std::uint64_t other = Join("w-1");
  ASSERT_EQ(Attach(other, 0, 1).answer(), v1::ATTACH_RESTORE);
  now_ms_ += 300;
  EXPECT_THAT(Text(Status()), HasSubstr("a:1: answers since 3.0 s, waits for w-1 to restore the "
                                        "model since 0.3 s\n"));
}

TEST_F(ServersTest, ThePauseOfALostModel) {
  StartMaster();
  std::uint64_t worker = Join("w-0");
  Attach(worker, 0);
  Train(worker, Restored(worker, 1));
  now_ms_ += 400;  // it has died here
  EXPECT_EQ(Status().rewinds_size(), 0);
  now_ms_ += 600;
  worker = Join("w-1");
  ASSERT_EQ(Attach(worker, 0, 1).answer(), v1::ATTACH_RESTORE);
  const std::int64_t incarnation = Restored(worker, 2);
  now_ms_ += 1500;
  EXPECT_EQ(Status().rewinds_size(), 0) << "nothing is trained so far";
  Train(worker, incarnation);
  const v1::JobStatus status = Status();
  ASSERT_EQ(status.rewinds_size(), 1);
  EXPECT_EQ(status.rewinds(0).step(), 0);
  EXPECT_EQ(status.rewinds(0).pause_ms(), 2500);
  EXPECT_THAT(
      Text(status),
      HasSubstr("lost     the model, which went back to step 0: nothing trained for 2.5 s\n"));
}

TEST(StatusText, OfAJobThatHasEndedNothingRuns) {
  v1::JobStatus running;
  running.set_verdict("running");
  running.set_state(v1::JOB_STATE_RUNNING);
  running.set_step(120);
  running.set_epochs(2);
  running.set_steps_per_s(7.5);
  running.set_waits_for("a worker to join");
  v1::WorkerStatus* worker = running.add_workers();
  worker->set_name("w-0");
  worker->set_state("training");
  worker->set_waits_for("records");
  worker->set_leases(2);
  worker->mutable_telemetry()->set_steps(120);
  worker->mutable_telemetry()->set_waits_for("records");
  running.add_servers()->set_address("a:1");
  EXPECT_THAT(Text(running), HasSubstr("step     120 (7.5 steps/s"));

  const auto ended = [&](int exit_code, v1::JobState state, const char* verdict) {
    v1::JobStatus last = running;
    last.set_state(state);
    last.set_verdict(verdict);
    Conclude(exit_code, &last);
    return last;
  };
  const v1::JobStatus stopped = ended(kExitUnfinished, v1::JOB_STATE_STOPPING, "stopped");
  EXPECT_EQ(stopped.verdict(), "stopped");
  EXPECT_EQ(stopped.workers(0).telemetry().steps(), 120) << "its figures stay";
  EXPECT_THAT(Text(stopped), HasSubstr("step     120, epoch 1 of 2\n"));
  EXPECT_THAT(Text(stopped), HasSubstr("gone, 0 leases\n"));
  EXPECT_THAT(Text(stopped), Not(HasSubstr("server")));
  EXPECT_THAT(Text(stopped), Not(HasSubstr("waits")));
  EXPECT_EQ(ended(kExitUnfinished, v1::JOB_STATE_RUNNING, "running").verdict(), "interrupted");
  EXPECT_EQ(ended(kExitFailed, v1::JOB_STATE_RUNNING, "running").verdict(), "interrupted")
      << "its journal cannot be written";
  EXPECT_EQ(ended(kExitUnfinished, v1::JOB_STATE_DONE, "done").verdict(), "interrupted")
      << "its model is not written";
  EXPECT_EQ(ended(kExitFailed, v1::JOB_STATE_FAILED, "failed").verdict(), "failed");
  EXPECT_EQ(ended(kExitDone, v1::JOB_STATE_DONE, "done").verdict(), "done");
}

TEST(StatusText, OfAProgramOfOnesOwn) {
  v1::JobStatus status;
  status.set_own_program(true);
  status.set_verdict("running");
  status.set_epochs(1);
  status.set_records_per_s(12);
  for (int i = 0; i < 2; ++i) {
    v1::Telemetry* telemetry = status.add_workers()->mutable_telemetry();
    telemetry->set_handed_out(64);
    telemetry->set_records(32);
  }
  EXPECT_THAT(Text(status),
              HasSubstr("program  128 records handed out, 64 committed (12 records/s), "
                        "epoch 1 of 1\n"));
  EXPECT_THAT(Text(status), Not(HasSubstr("step ")));
}

TEST_F(StatusTest, ARestartIsAProcessThatWasLost) {
  StartMaster(SmallJob());
  auto caller = NewCaller();
  std::uint64_t key = 0;
  const auto life = [&](const std::string& reason) {
    v1::JoinRequest join;
    join.set_name("w-0");
    join.set_key(++key);
    v1::JoinReply joined;
    EXPECT_TRUE(caller->Call(&v1::Control::Stub::Join, join, &joined).ok());
    const v1::WorkerStatus worker = GetStatus().workers(0);
    v1::LeaveRequest leave;
    leave.set_worker(joined.worker());
    leave.set_reason(reason);
    v1::LeaveReply left;
    EXPECT_TRUE(caller->Call(&v1::Control::Stub::Leave, leave, &left).ok());
    return worker;
  };
  EXPECT_EQ(life("").restarts(), 0) << "it leaves as a job that is stopped has it";
  EXPECT_EQ(life("exit code 1").restarts(), 0);
  const v1::WorkerStatus again = life("");
  EXPECT_EQ(again.restarts(), 1);
  EXPECT_EQ(again.last_exit(), "exit code 1");
  EXPECT_EQ(life("").last_exit(), "");
}

TEST(ServerWatchTest, LooksAgainAndAgain) {
  std::atomic<bool> answers{true};
  std::atomic<std::int64_t> now_ms{100};
  ServerWatch::Options options;
  options.now_ms = [&] { return now_ms.load(); };
  options.reach = [&](const std::string& address) {
    if (address == "a:1" && answers) return headrace::Status();
    return headrace::Status(Code::kUnavailable, "Connection refused");
  };
  options.every = std::chrono::milliseconds(1);
  const ServerWatch watch({"a:1", "b:2"}, options);
  const auto await = [&](std::size_t server, ServerLook::State state) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (watch.looks()[server].state != state) {
      ASSERT_LT(std::chrono::steady_clock::now(), end);
      std::this_thread::yield();
    }
  };
  await(0, ServerLook::State::kAnswers);
  await(1, ServerLook::State::kSilent);
  EXPECT_EQ(watch.looks()[1].why, "Connection refused");
  now_ms = 500;
  answers = false;
  await(0, ServerLook::State::kSilent);
  EXPECT_EQ(watch.looks()[0].since_ms, 500);
  EXPECT_EQ(watch.looks()[1].since_ms, 100) << "all the time";
}

TEST(StatusText, OfManyEvaluationsTheLastOnes) {
  v1::JobStatus status;
  const auto add = [&](int round, const char* name) {
    v1::Metric* metric = status.add_metrics();
    metric->set_round(round);
    metric->set_step(round * 10);
    metric->set_name(name);
    metric->set_value(0.5);
  };
  for (int round = 1; round <= 5; ++round) add(round, "loss");
  EXPECT_THAT(Text(status), HasSubstr("metric   loss = 0.5 (step 10)\n"));
  EXPECT_THAT(Text(status), Not(HasSubstr("evaluations")));
  for (int round = 6; round <= 300; ++round) {
    add(round, "loss");
    add(round, "accuracy");
  }
  const std::string text = Text(status);
  EXPECT_THAT(text, HasSubstr("metric   of 300 evaluations, the last 5:\n"
                              "metric   loss = 0.5 (step 2960)\n"
                              "metric   accuracy = 0.5 (step 2960)\n"));
  EXPECT_THAT(text, HasSubstr("metric   accuracy = 0.5 (step 3000)\n"));
  EXPECT_THAT(text, Not(HasSubstr("(step 2950)")));
}

TEST(StatusText, WhereNothingIsTrainedThereIsNoStep) {
  v1::JobStatus status;
  status.set_type("evaluation-only");
  v1::Metric* metric = status.add_metrics();
  metric->set_name("loss");
  metric->set_value(0.5);
  EXPECT_THAT(Text(status), HasSubstr("metric   loss = 0.5\n"));
  EXPECT_THAT(Text(status), Not(HasSubstr("step")));
  metric->set_step(7);
  EXPECT_THAT(Text(status), HasSubstr("metric   loss = 0.5 (step 7)\n"));
}

// A ledger whose only file has `ranges` ranges of two records that were trained again, and as many
// records in quarantine.
v1::Ledger LedgerOf(int ranges) {
  v1::Ledger ledger;
  v1::FileCoverage* file = ledger.add_files();
  file->set_path("a");
  for (int i = 0; i < ranges; ++i) {
    v1::Range* range = file->add_trained_before_rewind();
    range->set_begin(3 * i);
    range->set_end(3 * i + 2);
    v1::Quarantined* bad = ledger.add_quarantine();
    bad->set_path("a");
    bad->set_index(3 * i + 2);
    bad->set_offset(-1);
    bad->set_error("DATA_LOSS: damaged\n  made at m.py:7");
  }
  return ledger;
}

TEST(LedgerText, OfManyRangesTheFirstOnes) {
  const std::string few = Text(LedgerOf(8), /*all=*/false);
  EXPECT_THAT(few, HasSubstr("trained before a rewind too: 16 records: [0, 2) [3, 5) "));
  EXPECT_THAT(few, HasSubstr(" [21, 23)\n"));
  EXPECT_THAT(few, Not(HasSubstr("more")));
  const std::string many = Text(LedgerOf(9000), /*all=*/false);
  EXPECT_THAT(many, HasSubstr("18000 records: [0, 2) "));
  EXPECT_THAT(many, HasSubstr(" [21, 23) and 8992 more ranges (--all prints them)\n"));
  EXPECT_LT(many.size(), 3000u);
  const std::string all = Text(LedgerOf(9000), /*all=*/true);
  EXPECT_THAT(all, HasSubstr(" [26997, 26999)\n"));
  EXPECT_THAT(all, Not(HasSubstr("more")));
}

TEST(LedgerText, OfManyBadRecordsTheFirstOnes) {
  const std::string many = Text(LedgerOf(23), /*all=*/false);
  EXPECT_THAT(many,
              HasSubstr("bad      a record 59 (epoch 1): DATA_LOSS: damaged ... (--all prints "
                        "it)\nbad      and 3 more records (--all prints them)\n"));
  EXPECT_THAT(many, Not(HasSubstr("record 62")));
  const std::string all = Text(LedgerOf(23), /*all=*/true);
  EXPECT_THAT(all, HasSubstr("record 68 (epoch 1): DATA_LOSS: damaged\n  made at m.py:7\n"));
}

TEST(LedgerText, WhatIsBadInTheEvaluationIsNoneOfTheRecords) {
  v1::Ledger ledger;
  ledger.mutable_totals()->set_records(9);
  ledger.mutable_totals()->set_trained(9);
  ledger.mutable_totals()->set_quarantined_in_evaluation(2);
  EXPECT_THAT(Text(ledger, false),
              HasSubstr("records  9 done of 9\n"
                        "         2 in quarantine, of the evaluation's data\n"));
}

TEST(StatusText, OfAnErrorOfManyLinesTheFirstOne) {
  v1::JobStatus status;
  v1::WorkerStatus* worker = status.add_workers();
  worker->set_name("w-0");
  worker->set_last_exit(
      "ABORTED: the model is loaded again: \n=====\nUNAVAILABLE: From /job:worker");
  EXPECT_THAT(Text(status),
              HasSubstr("last exit: ABORTED: the model is loaded again ... (more in its log)\n"));
  EXPECT_THAT(Text(status), Not(HasSubstr("=====")));
  worker->set_last_exit("exit code 3");
  EXPECT_THAT(Text(status), HasSubstr("last exit: exit code 3\n"));
}

}  // namespace
}  // namespace headrace::master
