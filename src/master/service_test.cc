// The control plane over loopback gRPC, with workers that keep to it and train nothing.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "master/service_testing.h"

namespace headrace::master {
namespace {

using testing::Caller;
using testing::EvaluatingJob;
using testing::FakeWorker;
using testing::ServiceTest;
using testing::SmallJob;
using testing::World;

TEST_F(ServiceTest, AJobWithoutAModelFromJoinToDone) {
  StartMaster(SmallJob());
  auto one = NewCaller(), two = NewCaller();
  FakeWorker a("w-0", one.get(), &world), b("w-1", two.get(), &world);
  RunAll({&a, &b});
  EXPECT_EQ(world.Histogram(), (std::map<int, int>{{1, 200}}));
  ExpectDone();
  const v1::JobStatus status = GetStatus();
  EXPECT_EQ(status.verdict(), "done");
  EXPECT_EQ(status.totals().trained(), 200);
  EXPECT_EQ(status.epochs(), 2);
  ASSERT_EQ(status.workers_size(), 2);
  EXPECT_EQ(status.workers(0).state(), "gone");
}

TEST_F(ServiceTest, JoinTellsAWorkerWhatItNeeds) {
  StartMaster(SmallJob(ModelKind::kShared));
  auto caller = NewCaller();
  v1::JoinRequest request;
  request.set_name("w-0");
  request.set_key(5);
  v1::JoinReply first, again, other;
  ASSERT_TRUE(caller->Call(&v1::Control::Stub::Join, request, &first).ok());
  EXPECT_EQ(first.lease_ms(), 30000);
  EXPECT_EQ(first.heartbeat_ms(), 10000);
  EXPECT_EQ(first.model(), v1::MODEL_KIND_SHARED);
  EXPECT_EQ(first.job(), R"({"batch":4})");
  EXPECT_EQ(first.orders().state(), v1::JOB_STATE_RUNNING);
  // The same process; also for the next master.
  master->Restart();
  ASSERT_TRUE(caller->Call(&v1::Control::Stub::Join, request, &again).ok());
  EXPECT_EQ(again.worker(), first.worker());
  // A new one of the same name ends the old one.
  request.set_key(6);
  ASSERT_TRUE(caller->Call(&v1::Control::Stub::Join, request, &other).ok());
  EXPECT_NE(other.worker(), first.worker());
  v1::ExchangeRequest exchange;
  exchange.set_worker(first.worker());
  v1::ExchangeReply reply;
  EXPECT_EQ(caller->Call(&v1::Control::Stub::Exchange, exchange, &reply).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(GetStatus().workers(0).restarts(), 1);
  EXPECT_EQ(GetStatus().restarts(), 1);
}

TEST_F(ServiceTest, CallsThatMakeNoSenseAreRefused) {
  StartMaster(SmallJob(ModelKind::kLocal));
  auto caller = NewCaller();
  const auto join = [&](const std::string& name, std::uint64_t key, v1::JoinReply* reply) {
    v1::JoinRequest request;
    request.set_name(name);
    request.set_key(key);
    return caller->Call(&v1::Control::Stub::Join, request, reply).error_code();
  };
  v1::JoinReply reply;
  EXPECT_EQ(join("", 1, &reply), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(join("w-0", 0, &reply), grpc::StatusCode::INVALID_ARGUMENT);
  ASSERT_EQ(join("w-0", 1, &reply), grpc::StatusCode::OK);
  const std::uint64_t worker = reply.worker();
  // The model is in one process.
  EXPECT_EQ(join("w-1", 2, &reply), grpc::StatusCode::FAILED_PRECONDITION);
  v1::ExchangeRequest exchange;
  exchange.set_worker(worker);
  exchange.set_incarnation(reply.incarnation());
  exchange.set_max_tasks(1);
  v1::ExchangeReply exchanged;
  EXPECT_EQ(caller->Call(&v1::Control::Stub::Exchange, exchange, &exchanged).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  v1::SavedRequest saved;
  saved.set_worker(worker);
  saved.set_hold(77);
  v1::SavedReply saved_reply;
  EXPECT_EQ(caller->Call(&v1::Control::Stub::Saved, saved, &saved_reply).error_code(),
            grpc::StatusCode::ABORTED);
  v1::RestoredRequest restored;
  restored.set_worker(worker);
  restored.set_position("nonsense");
  v1::RestoredReply restored_reply;
  EXPECT_EQ(caller->Call(&v1::Control::Stub::Restored, restored, &restored_reply).error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
  restored.set_worker(99);
  EXPECT_EQ(caller->Call(&v1::Control::Stub::Restored, restored, &restored_reply).error_code(),
            grpc::StatusCode::NOT_FOUND);
  // When the other has been silent for a lease, it may be replaced.
  master->now_ms += 30001;
  EXPECT_EQ(join("w-1", 2, &reply), grpc::StatusCode::OK);
}

TEST_F(ServiceTest, ALocalModelWithCheckpointsAndADeath) {
  StartMaster(SmallJob(ModelKind::kLocal));
  auto caller = NewCaller();
  FakeWorker worker("w-0", caller.get(), &world);
  while (world.saves() < 2) ASSERT_TRUE(worker.Turn());
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(worker.Turn());
  const std::int64_t lost_at = worker.step();
  EXPECT_GT(lost_at, world.Last().step);
  worker.Forget();
  ASSERT_TRUE(worker.Turn());
  EXPECT_EQ(worker.step(), world.Last().step);
  RunAll({&worker});
  ExpectDone();
  const v1::JobStatus status = GetStatus();
  EXPECT_EQ(status.step(), 20);
  EXPECT_EQ(status.checkpoint_step(), 20);
  EXPECT_EQ(status.totals().trained(), 200);
  EXPECT_EQ(status.totals().trained_before_rewind(), (lost_at - 10) * 10);
  EXPECT_EQ(status.workers(0).restarts(), 1);
  EXPECT_EQ(status.workers(0).last_exit(), "");
}

TEST_F(ServiceTest, ACheckpointHoldsTwoWorkersAndAnswers) {
  Job job = SmallJob(ModelKind::kShared);
  job.checkpoint_every_steps = 0;
  StartMaster(job);
  auto one = NewCaller(), two = NewCaller(), person = NewCaller();
  FakeWorker a("w-0", one.get(), &world), b("w-1", two.get(), &world);
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(a.Turn());
    ASSERT_TRUE(b.Turn());
  }
  v1::CheckpointReply reply;
  std::future<grpc::Status> asked = std::async(std::launch::async, [&] {
    return person->Call(&v1::Control::Stub::Checkpoint, v1::CheckpointRequest(), &reply);
  });
  a.saves = false;  // so that the hold can be looked at
  while (a.orders().hold() == 0) ASSERT_TRUE(a.Turn());
  ASSERT_TRUE(a.Turn());  // says that it stands
  EXPECT_EQ(GetStatus().waits_for(), "w-1 to stand still, 1 of 2 workers do (checkpoint)");
  EXPECT_EQ(GetStatus().workers(0).state(), "held");
  while (!a.orders().has_save()) {
    ASSERT_TRUE(b.Turn());
    ASSERT_TRUE(a.Turn());
  }
  EXPECT_FALSE(b.orders().has_save());
  EXPECT_EQ(asked.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  a.saves = true;
  ASSERT_TRUE(a.Turn());
  const grpc::Status status = asked.get();
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(reply.directory(), world.Last().directory);
  EXPECT_EQ(reply.step(), world.Last().step);
  RunAll({&a, &b});
  ExpectDone();
  EXPECT_EQ(world.Histogram(), (std::map<int, int>{{1, 200}}));
}

TEST_F(ServiceTest, ASaveThatFailsFailsTheCall) {
  StartMaster(SmallJob(ModelKind::kLocal));
  auto caller = NewCaller(), person = NewCaller();
  FakeWorker worker("w-0", caller.get(), &world);
  ASSERT_TRUE(worker.Turn());
  worker.save_error = "No space left on device";
  v1::CheckpointReply reply;
  std::future<grpc::Status> asked = std::async(std::launch::async, [&] {
    grpc::ClientContext context;
    v1::Introduce("test", &context);
    return person->Stub()->Checkpoint(&context, v1::CheckpointRequest(), &reply);
  });
  for (int i = 0; asked.wait_for(std::chrono::seconds(0)) == std::future_status::timeout; ++i) {
    ASSERT_LT(i, 10000);
    if (!worker.Turn()) break;
  }
  EXPECT_NE(asked.get().error_message().find("No space left"), std::string::npos);
}

TEST_F(ServiceTest, EvaluationRoundsBesideTraining) {
  StartMaster(EvaluatingJob(ModelKind::kShared));
  auto one = NewCaller(), two = NewCaller();
  FakeWorker a("w-0", one.get(), &world), b("w-1", two.get(), &world);
  RunAll({&a, &b});
  ExpectDone();
  EXPECT_EQ(world.Histogram(), (std::map<int, int>{{1, 200}}));
  const v1::JobStatus status = GetStatus();
  ASSERT_GE(status.metrics_size(), 2);
  EXPECT_EQ(world.Histogram(true), (std::map<int, int>{{1, 30 * status.metrics_size()}}));
  for (const v1::Metric& metric : status.metrics()) {
    EXPECT_EQ(metric.name(), "records");
    EXPECT_EQ(metric.value(), 30);
  }
  EXPECT_EQ(status.evaluation_sums(0), 30);
}

TEST_F(ServiceTest, AnEvaluationJob) {
  Job job = SmallJob();
  job.type = JobType::kEvaluation;
  job.spec.type = ledger::TaskType::kEvaluate;
  job.spec.epochs = 1;
  StartMaster(job);
  auto one = NewCaller(), two = NewCaller();
  FakeWorker a("w-0", one.get(), &world), b("w-1", two.get(), &world);
  RunAll({&a, &b});
  ExpectDone();
  const v1::JobStatus status = GetStatus();
  ASSERT_EQ(status.metrics_size(), 1);
  EXPECT_EQ(status.metrics(0).value(), 100);
}

TEST_F(ServiceTest, ExpiredLeasesEndALocalModel) {
  Job job = SmallJob(ModelKind::kLocal);
  job.spec.lease_ms = 1000;
  StartMaster(job);
  auto caller = NewCaller();
  FakeWorker worker("w-0", caller.get(), &world);
  while (worker.step() < 3) ASSERT_TRUE(worker.Turn());
  const std::int64_t held = worker.lease_count();
  ASSERT_GT(held, 0);
  master->now_ms += 1001;
  master->dispatcher->Tick();
  v1::ExchangeRequest request;
  request.set_worker(worker.number());
  request.set_incarnation(worker.orders().incarnation());
  request.set_request(1000);
  request.set_max_tasks(1);
  request.set_main(true);
  v1::ExchangeReply reply;
  ASSERT_TRUE(caller->Call(&v1::Control::Stub::Exchange, request, &reply).ok());
  EXPECT_GE(reply.ended_size(), held);
  EXPECT_EQ(reply.grants_size(), 0);
  worker.Forget();
  RunAll({&worker});
  ExpectDone();
  EXPECT_EQ(GetStatus().totals().trained(), 200);
}

TEST_F(ServiceTest, ASlowWorkerLeavesTheLastTasksToOthersWhileThereAreOthers) {
  StartMaster(SmallJob());
  auto caller = NewCaller();
  std::vector<v1::ExchangeRequest> requests;
  for (const char* name : {"fast", "slow"}) {
    v1::ExchangeRequest request = ExchangeOf(Join(caller.get(), name));
    request.set_max_tasks(1);
    request.set_main(true);
    requests.push_back(request);
  }
  // Grants, and the answer.
  const auto ask = [&](v1::ExchangeRequest* request, std::int64_t records) {
    request->set_request(request->request() + 1);
    request->mutable_telemetry()->set_records(records);
    v1::ExchangeReply reply;
    EXPECT_TRUE(caller->Call(&v1::Control::Stub::Exchange, *request, &reply).ok());
    return std::pair<int, v1::Answer>(reply.grants_size(), reply.answer());
  };
  for (v1::ExchangeRequest& request : requests) {
    EXPECT_EQ(ask(&request, 0).first, 1) << "nobody's pace is known yet";
  }
  master->now_ms += 1000;
  EXPECT_EQ(ask(&requests[0], 100).first, 1);
  // 200 records are left: the fast one needs two seconds for all but the ten of the slow one, which
  // needs four for those and the task that it asks for.
  EXPECT_EQ(ask(&requests[1], 5), (std::pair<int, v1::Answer>(0, v1::ANSWER_FLUSH)));
  v1::LeaveRequest leave;
  leave.set_worker(requests[0].worker());
  v1::LeaveReply left;
  ASSERT_TRUE(caller->Call(&v1::Control::Stub::Leave, leave, &left).ok());
  EXPECT_EQ(ask(&requests[1], 5).first, 1) << "there is nobody else";
}

}  // namespace
}  // namespace headrace::master
