// Models on parameter servers, over loopback gRPC.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "master/service_testing.h"

namespace headrace::master {
namespace {

using testing::Caller;
using testing::FakeWorker;
using testing::ServiceTest;
using testing::SmallJob;

class SharedServiceTest : public ServiceTest {
 protected:
  static Job SharedJob() {
    Job job = SmallJob(ModelKind::kShared);
    job.checkpoint_every_steps = 0;
    job.spec.lease_ms = 1000;
    return job;
  }
  std::uint64_t Join(const std::string& name, std::uint64_t key = 1) {
    v1::JoinRequest request;
    request.set_name(name);
    request.set_key(key);
    v1::JoinReply reply;
    EXPECT_TRUE(caller_->Call(&v1::Control::Stub::Join, request, &reply).ok());
    return reply.worker();
  }
  v1::AttachReply Attach(std::uint64_t worker, std::int64_t generation, std::int64_t expected = 0) {
    v1::AttachRequest request;
    request.set_worker(worker);
    request.set_generation(generation);
    request.set_expected(expected);
    v1::AttachReply reply;
    const grpc::Status status = caller_->Call(&v1::Control::Stub::Attach, request, &reply);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return reply;
  }
  grpc::Status Restore(std::uint64_t worker, std::int64_t generation, v1::RestoredReply* reply) {
    v1::RestoredRequest request;
    request.set_worker(worker);
    request.set_generation(generation);
    return caller_->Call(&v1::Control::Stub::Restored, request, reply);
  }
  // Joins, and restores the first model; its incarnation is 2.
  std::uint64_t Begin(const std::string& name) {
    const std::uint64_t worker = Join(name);
    EXPECT_EQ(Attach(worker, 0).answer(), v1::ATTACH_RESTORE);
    v1::RestoredReply reply;
    EXPECT_TRUE(Restore(worker, 1, &reply).ok());
    EXPECT_EQ(reply.incarnation(), 2);
    return worker;
  }
  v1::ExchangeReply Exchange(std::uint64_t worker, std::int64_t tasks,
                             std::int64_t incarnation = 2) {
    v1::ExchangeRequest request;
    request.set_worker(worker);
    request.set_incarnation(incarnation);
    request.set_request(++requests_);
    request.set_max_tasks(tasks);
    request.set_main(true);
    v1::ExchangeReply reply;
    const grpc::Status status = caller_->Call(&v1::Control::Stub::Exchange, request, &reply);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return reply;
  }
  void Leave(std::uint64_t worker, const std::string& reason) {
    v1::LeaveRequest request;
    request.set_worker(worker);
    request.set_reason(reason);
    v1::LeaveReply reply;
    EXPECT_TRUE(caller_->Call(&v1::Control::Stub::Leave, request, &reply).ok());
  }
  void StartShared(const Job& job) {
    StartMaster(job);
    caller_ = NewCaller();
  }

  std::unique_ptr<Caller> caller_;
  std::uint64_t requests_ = 0;
};

TEST_F(SharedServiceTest, OneRestoresTheOthersFindIt) {
  StartShared(SharedJob());
  const std::uint64_t one = Join("w-0"), two = Join("w-1");
  // Larger than what an earlier job has left at the servers.
  const v1::AttachReply first = Attach(one, 41);
  EXPECT_EQ(first.answer(), v1::ATTACH_RESTORE);
  EXPECT_EQ(first.generation(), 42);
  EXPECT_EQ(GetStatus().waits_for(), "w-0 to restore the model");
  const v1::AttachReply other = Attach(two, 0);
  EXPECT_EQ(other.answer(), v1::ATTACH_WAIT);
  EXPECT_GT(other.retry_ms(), 0);
  // The answer may be lost, and the master may restart.
  EXPECT_EQ(Attach(one, 41).generation(), 42);
  master->Restart();
  EXPECT_EQ(Attach(one, 41).generation(), 42);
  EXPECT_EQ(Attach(two, 0).answer(), v1::ATTACH_WAIT);
  v1::RestoredReply restored;
  ASSERT_TRUE(Restore(one, 42, &restored).ok());
  EXPECT_EQ(restored.incarnation(), 2);
  ASSERT_TRUE(Restore(one, 42, &restored).ok());
  EXPECT_EQ(restored.incarnation(), 2) << "said again";
  // What the other one saw was true when it looked.
  v1::AttachReply look = Attach(two, 0);
  EXPECT_EQ(look.answer(), v1::ATTACH_LOOK);
  EXPECT_EQ(look.generation(), 42);
  const v1::AttachReply ready = Attach(two, 42, 42);
  EXPECT_EQ(ready.answer(), v1::ATTACH_READY);
  EXPECT_EQ(ready.incarnation(), 2);
  EXPECT_EQ(ready.orders().live(), 2);
  EXPECT_EQ(Exchange(two, 1).grants_size(), 1);
}

TEST_F(SharedServiceTest, ARestorerThatIsGoneIsReplaced) {
  StartShared(SharedJob());
  const std::uint64_t one = Join("w-0"), two = Join("w-1"), three = Join("w-2");
  EXPECT_EQ(Attach(one, 0).generation(), 1);
  Leave(one, "killed by signal 9 (KILL)");
  EXPECT_EQ(Attach(two, 0).generation(), 2);
  EXPECT_EQ(Attach(three, 0).answer(), v1::ATTACH_WAIT);
  // Alive for as long as its agent says so.
  for (int i = 0; i < 3; ++i) {
    master->now_ms += 900;
    Exchange(two, 0, 1);
    EXPECT_EQ(Attach(three, 0).answer(), v1::ATTACH_WAIT);
  }
  master->now_ms += 1001;
  EXPECT_EQ(Attach(three, 0).generation(), 3);
  v1::RestoredReply reply;
  EXPECT_EQ(Restore(two, 2, &reply).error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(Restore(two, 3, &reply).error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(Restore(three, 2, &reply).error_code(), grpc::StatusCode::ABORTED);
  EXPECT_TRUE(Restore(three, 3, &reply).ok());
  EXPECT_EQ(Restore(two, 3, &reply).error_code(), grpc::StatusCode::ABORTED);
}

TEST_F(SharedServiceTest, AModelThatTheServersHaveLost) {
  StartShared(SharedJob());
  const std::uint64_t one = Begin("w-0");
  const v1::ExchangeReply leased = Exchange(one, 1);
  ASSERT_EQ(leased.grants_size(), 1);
  const std::uint64_t two = Join("w-1");
  EXPECT_EQ(Attach(two, 0).answer(), v1::ATTACH_LOOK) << "it may have looked too early";
  EXPECT_EQ(Exchange(one, 0).orders().incarnation(), 2);
  const v1::AttachReply lost = Attach(two, 0, 1);
  EXPECT_EQ(lost.answer(), v1::ATTACH_RESTORE);
  EXPECT_EQ(lost.generation(), 2);
  EXPECT_EQ(Attach(two, 0, 1).generation(), 2) << "asked again";
  // From now on nobody has it, and nothing that was done with it counts.
  v1::ExchangeRequest late;
  late.set_worker(one);
  late.set_incarnation(2);
  late.set_request(++requests_);
  late.set_max_tasks(1);
  late.set_main(true);
  v1::Report* report = late.add_reports();
  report->set_token(leased.grants(0).token());
  *report->add_acknowledged()->mutable_range() = leased.grants(0).ranges(0);
  report->mutable_acknowledged(0)->set_outcome(v1::OUTCOME_TRAINED);
  v1::ExchangeReply refused;
  ASSERT_TRUE(caller_->Call(&v1::Control::Stub::Exchange, late, &refused).ok());
  EXPECT_EQ(refused.refused_size(), 1);
  EXPECT_EQ(refused.grants_size(), 0);
  EXPECT_EQ(refused.orders().incarnation(), 3);
  v1::RestoredReply restored;
  ASSERT_TRUE(Restore(two, 2, &restored).ok());
  EXPECT_EQ(restored.incarnation(), 4);
  EXPECT_EQ(Attach(two, 2).answer(), v1::ATTACH_READY);
}

TEST_F(SharedServiceTest, CallsThatMakeNoSense) {
  StartShared(SharedJob());
  const std::uint64_t one = Join("w-0");
  v1::AttachRequest request;
  v1::AttachReply reply;
  request.set_worker(99);
  EXPECT_EQ(caller_->Call(&v1::Control::Stub::Attach, request, &reply).error_code(),
            grpc::StatusCode::NOT_FOUND);
  request.set_worker(one);
  for (const std::int64_t generation : {std::int64_t{-1}, INT64_MAX}) {
    request.set_generation(generation);
    EXPECT_EQ(caller_->Call(&v1::Control::Stub::Attach, request, &reply).error_code(),
              grpc::StatusCode::INVALID_ARGUMENT);
  }
  v1::RestoredReply restored;
  EXPECT_EQ(Restore(one, 0, &restored).error_code(), grpc::StatusCode::ABORTED);
  v1::ExchangeRequest exchange;
  exchange.set_worker(one);
  exchange.set_incarnation(1);
  exchange.set_max_tasks(1);
  v1::ExchangeReply exchanged;
  EXPECT_EQ(caller_->Call(&v1::Control::Stub::Exchange, exchange, &exchanged).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  master.reset();
  std::filesystem::remove(Path("journal"));
  StartShared(SmallJob(ModelKind::kLocal));
  request.set_worker(Join("w-0"));
  request.set_generation(0);
  EXPECT_EQ(caller_->Call(&v1::Control::Stub::Attach, request, &reply).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(SharedServiceTest, TheSilentAreFencedOffBeforeTheirRecordsAreLeasedAnew) {
  Job job = SharedJob();
  job.spec.files = {{"a.rec", 10}};
  job.spec.epochs = 1;
  StartShared(job);
  const std::uint64_t one = Begin("w-0"), two = Join("w-1");
  ASSERT_EQ(Attach(two, 1).answer(), v1::ATTACH_READY);
  const v1::ExchangeReply leased = Exchange(one, 1);
  ASSERT_EQ(leased.grants_size(), 1);
  master->now_ms += 1001;
  v1::ExchangeReply reply = Exchange(two, 1);
  EXPECT_EQ(reply.grants_size(), 0);
  EXPECT_EQ(reply.orders().fenced_size(), 0) << "the lease stands until the clock ticks";
  master->dispatcher->Tick();
  reply = Exchange(two, 1);
  ASSERT_EQ(reply.grants_size(), 1);
  EXPECT_EQ(reply.grants(0).path(), leased.grants(0).path());
  ASSERT_EQ(reply.orders().fenced_size(), 1) << "in the same answer";
  EXPECT_EQ(reply.orders().fenced(0), one);
  // It wakes up: its report is refused, it gets nothing, and learns why. Its place is taken anew.
  v1::ExchangeRequest late;
  late.set_worker(one);
  late.set_incarnation(2);
  v1::Report* report = late.add_reports();
  report->set_token(leased.grants(0).token());
  *report->add_acknowledged()->mutable_range() = leased.grants(0).ranges(0);
  report->mutable_acknowledged(0)->set_outcome(v1::OUTCOME_TRAINED);
  v1::ExchangeReply woken;
  ASSERT_TRUE(caller_->Call(&v1::Control::Stub::Exchange, late, &woken).ok());
  EXPECT_EQ(woken.refused_size(), 1);
  EXPECT_EQ(woken.orders().fenced_size(), 1);
  EXPECT_EQ(master->dispatcher->late().fenced, 1);
  EXPECT_EQ(master->dispatcher->late().reports, 1);
  EXPECT_EQ(Exchange(one, 1).grants_size(), 0);
  EXPECT_EQ(GetStatus().totals().possibly_repeated(), 10);
  EXPECT_EQ(GetStatus().totals().trained(), 0);
  const std::uint64_t again = Join("w-0", 2);
  EXPECT_NE(again, one);
  const v1::AttachReply ready = Attach(again, 1);
  EXPECT_EQ(ready.answer(), v1::ATTACH_READY) << "the model stays";
  EXPECT_EQ(ready.orders().fenced_size(), 1);
}

TEST_F(SharedServiceTest, AProcessThatHasNotLeftIsFencedOffByTheNextOfItsName) {
  StartShared(SharedJob());
  const std::uint64_t one = Begin("w-0");
  const std::uint64_t two = Join("w-0", 2);
  v1::AttachReply ready = Attach(two, 1);
  ASSERT_EQ(ready.orders().fenced_size(), 1);
  EXPECT_EQ(ready.orders().fenced(0), one);
  // One that has left is dead.
  Leave(two, "killed by signal 9 (KILL)");
  ready = Attach(Join("w-0", 3), 1);
  EXPECT_EQ(ready.orders().fenced_size(), 1);
}

TEST_F(SharedServiceTest, AnExactJobGoesBackWhenAWorkerIsLost) {
  Job job = SharedJob();
  job.exact = true;
  StartShared(job);
  const std::uint64_t one = Begin("w-0"), two = Join("w-1");
  ASSERT_EQ(Attach(two, 1).answer(), v1::ATTACH_READY);
  ASSERT_EQ(Exchange(one, 1).grants_size(), 1);
  ASSERT_EQ(Exchange(two, 1).grants_size(), 1);
  Leave(one, "killed by signal 9 (KILL)");
  const v1::ExchangeReply reply = Exchange(two, 1);
  EXPECT_EQ(reply.grants_size(), 0);
  EXPECT_EQ(reply.orders().incarnation(), 3);
  const std::uint64_t three = Join("w-0", 2);
  // The servers still hold what is not to be used.
  const v1::AttachReply attach = Attach(three, 1);
  EXPECT_EQ(attach.answer(), v1::ATTACH_RESTORE);
  EXPECT_EQ(attach.generation(), 2);
  v1::RestoredReply restored;
  ASSERT_TRUE(Restore(three, 2, &restored).ok());
  EXPECT_EQ(GetStatus().totals().possibly_repeated(), 0);
  EXPECT_EQ(Exchange(three, 1, restored.incarnation()).grants_size(), 1);
}

TEST_F(SharedServiceTest, OneDelivers) {
  Job job = SharedJob();
  job.spec.files = {{"a.rec", 10}};
  job.spec.epochs = 1;
  StartShared(job);
  auto one = NewCaller(), two = NewCaller();
  FakeWorker a("w-0", one.get(), &world), b("w-1", two.get(), &world);
  ASSERT_TRUE(a.Turn() && b.Turn());
  while (b.lease_count() == 0) ASSERT_TRUE(b.Turn());
  ASSERT_TRUE(b.Turn());
  EXPECT_EQ(GetStatus().verdict(), "done");
  EXPECT_EQ(GetStatus().waits_for(), "w-0 to write the model");
  EXPECT_EQ(GetStatus().workers(1).waits_for(), "w-0 to write the model");
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(b.Turn()) << "not its turn";
  EXPECT_FALSE(master->dispatcher->GetOutlook().delivered);
  a.Leave("killed by signal 9 (KILL)");
  EXPECT_FALSE(master->dispatcher->GetOutlook().delivered);
  EXPECT_FALSE(b.Turn()) << "now it is";
  ExpectDone();
  EXPECT_EQ(world.Histogram(), (std::map<int, int>{{1, 10}}));
  // Who comes now finds nothing to do, whatever the servers hold.
  const std::uint64_t three = Join("w-2");
  const v1::AttachReply attach = Attach(three, 0, 1);
  EXPECT_EQ(attach.answer(), v1::ATTACH_READY);
  EXPECT_EQ(attach.orders().state(), v1::JOB_STATE_DONE);
  EXPECT_FALSE(attach.orders().deliver());
}

TEST_F(SharedServiceTest, AJobThatStopsRestoresNothing) {
  StartShared(SharedJob());
  v1::StopReply stopped;
  ASSERT_TRUE(caller_->Call(&v1::Control::Stub::Stop, v1::StopRequest(), &stopped).ok());
  const v1::AttachReply reply = Attach(Join("w-0"), 0);
  EXPECT_EQ(reply.answer(), v1::ATTACH_WAIT);
  EXPECT_EQ(reply.orders().state(), v1::JOB_STATE_STOPPING);
}

TEST_F(SharedServiceTest, CallsThatAreRepeatedHaveOneEffect) {
  StartShared(SharedJob());
  Caller::Options options;
  options.times = 2;
  auto one = NewCaller(options), two = NewCaller(options);
  FakeWorker a("w-0", one.get(), &world), b("w-1", two.get(), &world);
  RunAll({&a, &b});
  ExpectDone();
  EXPECT_EQ(world.Histogram(), (std::map<int, int>{{1, 200}}));
  EXPECT_EQ(world.generation(), 1);
  EXPECT_EQ(GetStatus().totals().trained_before_rewind(), 0);
}

}  // namespace
}  // namespace headrace::master
