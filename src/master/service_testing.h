// A master on a loopback port, for tests of the control plane.
#ifndef HEADRACE_MASTER_SERVICE_TESTING_H_
#define HEADRACE_MASTER_SERVICE_TESTING_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "journal/testing.h"
#include "master/testing.h"

namespace headrace::master::testing {

inline Job SmallJob(ModelKind model = ModelKind::kNone) {
  Job job;
  job.name = "small";
  job.model = model;
  job.spec.files = {{"a.rec", 60}, {"b.rec", 40}};
  job.spec.task_records = 10;
  job.spec.epochs = 2;
  job.trainer = R"({"batch":4})";
  if (model != ModelKind::kNone) {
    job.checkpoint_directory = "/saved";
    job.checkpoint_every_steps = 5;
  }
  return job;
}

inline Job EvaluatingJob(ModelKind model) {
  Job job = SmallJob(model);
  job.type = JobType::kTrainingWithEvaluation;
  job.spec.evaluation_files = {{"v.rec", 30}};
  job.spec.evaluation_task_records = 10;
  job.spec.evaluation_every_steps = 8;
  job.spec.evaluation_at_end = true;
  return job;
}

class ServiceTest : public journal::testing::Test {
 protected:
  void StartMaster(const Job& job) { master = std::make_unique<TestMaster>(job, Path("journal")); }
  std::unique_ptr<Caller> NewCaller(Caller::Options options = {}) {
    return std::make_unique<Caller>([this] { return master->address(); }, std::move(options));
  }
  // A worker's first call; the reply's worker is 0 where it failed.
  static v1::JoinReply Join(Caller* caller, const std::string& name) {
    v1::JoinRequest join;
    join.set_name(name);
    join.set_key(7);
    v1::JoinReply joined;
    EXPECT_TRUE(caller->Call(&v1::Control::Stub::Join, join, &joined).ok());
    return joined;
  }
  // What a worker that has joined says next.
  static v1::ExchangeRequest ExchangeOf(const v1::JoinReply& joined) {
    v1::ExchangeRequest request;
    request.set_worker(joined.worker());
    request.set_incarnation(joined.incarnation());
    return request;
  }
  // Turn by turn until all have left.
  static void RunAll(const std::vector<FakeWorker*>& workers, int turns = 2000) {
    std::vector<FakeWorker*> left = workers;
    for (int turn = 0; !left.empty(); ++turn) {
      ASSERT_LT(turn, turns) << "the job does not end";
      for (auto it = left.begin(); it != left.end();) it = (*it)->Turn() ? it + 1 : left.erase(it);
    }
  }
  v1::JobStatus GetStatus() {
    v1::JobStatus status;
    const grpc::Status called =
        NewCaller()->Call(&v1::Control::Stub::GetStatus, v1::GetStatusRequest(), &status);
    EXPECT_TRUE(called.ok()) << called.error_message();
    return status;
  }
  void ExpectDone() {
    const Dispatcher::Outlook outlook = master->dispatcher->GetOutlook();
    EXPECT_EQ(outlook.verdict, ledger::Verdict::kDone);
    EXPECT_EQ(outlook.state, JobState::kDone);
    EXPECT_TRUE(outlook.over);
    EXPECT_TRUE(outlook.delivered);
  }

  std::unique_ptr<TestMaster> master;
  World world;
};

}  // namespace headrace::master::testing

#endif  // HEADRACE_MASTER_SERVICE_TESTING_H_
