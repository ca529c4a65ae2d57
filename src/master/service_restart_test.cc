// What a master that is started again, or asked again, makes of it.
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

TEST_F(ServiceTest, StopSavesAndTheNextMasterGoesOn) {
  StartMaster(SmallJob(ModelKind::kLocal));
  auto caller = NewCaller();
  FakeWorker worker("w-0", caller.get(), &world);
  while (worker.step() < 7) ASSERT_TRUE(worker.Turn());
  v1::StopRequest request;
  request.set_reason("enough");
  v1::StopReply reply;
  ASSERT_TRUE(caller->Call(&v1::Control::Stub::Stop, request, &reply).ok());
  RunAll({&worker});
  EXPECT_EQ(world.Last().step, worker.step());
  EXPECT_EQ(GetStatus().verdict(), "stopped");
  EXPECT_TRUE(master->dispatcher->GetOutlook().over);
  EXPECT_EQ(master->dispatcher->GetOutlook().verdict, ledger::Verdict::kRunning);
  // A crash on the way does not forget it; an end in order does.
  master->Restart();
  EXPECT_EQ(GetStatus().verdict(), "stopped");
  master->dispatcher->Shutdown(/*finished=*/true);
  master->Restart();
  EXPECT_EQ(GetStatus().verdict(), "running");
  RunAll({&worker});
  ExpectDone();
  EXPECT_EQ(world.Histogram(), (std::map<int, int>{{1, 200}}));
}

TEST_F(ServiceTest, CallsThatAreRepeatedHaveOneEffect) {
  StartMaster(EvaluatingJob(ModelKind::kLocal));
  Caller::Options options;
  options.times = 2;
  auto caller = NewCaller(options);
  FakeWorker worker("w-0", caller.get(), &world);
  RunAll({&worker});
  ExpectDone();
  EXPECT_EQ(worker.refused(), 0);
  EXPECT_EQ(world.Histogram(), (std::map<int, int>{{1, 200}}));
  const v1::JobStatus status = GetStatus();
  EXPECT_EQ(status.step(), 20);
  EXPECT_EQ(status.totals().trained_before_rewind(), 0);
  EXPECT_EQ(status.metrics_size(), 3);  // steps 8, 16, 20
  EXPECT_EQ(status.workers(0).restarts(), 0);
  EXPECT_EQ(status.workers(0).worker(), 1u);
  EXPECT_EQ(world.saves(), 4);
}

TEST_F(ServiceTest, RestoredIsOneRewindUntilTheWorkerHasSeenIt) {
  StartMaster(SmallJob(ModelKind::kLocal));
  auto caller = NewCaller();
  FakeWorker worker("w-0", caller.get(), &world);
  ASSERT_TRUE(worker.Turn());
  const auto restore = [&] {
    v1::RestoredRequest request;
    request.set_worker(worker.number());
    v1::RestoredReply reply;
    EXPECT_TRUE(caller->Call(&v1::Control::Stub::Restored, request, &reply).ok());
    return reply.incarnation();
  };
  EXPECT_EQ(restore(), 2);
  EXPECT_EQ(restore(), 2);
  master->Restart();
  EXPECT_EQ(restore(), 2);
  v1::ExchangeRequest request;
  request.set_worker(worker.number());
  request.set_incarnation(2);
  v1::ExchangeReply reply;
  ASSERT_TRUE(caller->Call(&v1::Control::Stub::Exchange, request, &reply).ok());
  EXPECT_EQ(restore(), 3);
}

// Every place between two calls is met; one worker bears a restart after each call, two need both
// their words in one life of the master to stand still together.
TEST_F(ServiceTest, TheMasterMayRestartBetweenAnyTwoCalls) {
  const struct {
    ModelKind model;
    int every;
  } cases[] = {{ModelKind::kLocal, 1},  {ModelKind::kNone, 3},   {ModelKind::kNone, 4},
               {ModelKind::kShared, 3}, {ModelKind::kShared, 4}, {ModelKind::kShared, 5}};
  for (const auto& one : cases) {
    SCOPED_TRACE(std::string(Name(one.model)) + " " + std::to_string(one.every));
    std::filesystem::remove(Path("journal"));
    StartMaster(EvaluatingJob(one.model));
    World fresh;
    int calls = 0, restarts = 0;
    Caller::Options options;
    options.after_call = [&] {
      if (++calls % one.every != 0) return;
      ++restarts;
      master->Restart();
    };
    auto first = NewCaller(options), second = NewCaller(options);
    FakeWorker a("w-0", first.get(), &fresh), b("w-1", second.get(), &fresh);
    if (one.model == ModelKind::kLocal) {
      RunAll({&a}, 300);
    } else {
      RunAll({&a, &b}, 300);
    }
    ExpectDone();
    EXPECT_EQ(fresh.Histogram(), (std::map<int, int>{{1, 200}}));
    EXPECT_EQ(GetStatus().restarts(), restarts);
    EXPECT_GE(restarts, 10);
    EXPECT_GE(GetStatus().metrics_size(), 2);
    EXPECT_EQ(fresh.saves(), one.model == ModelKind::kNone ? 0 : GetStatus().step() / 5);
    master.reset();
  }
}

TEST_F(ServiceTest, TheJournalStartsOverWhenItHasGrown) {
  Dispatcher::Options options;
  std::atomic<std::int64_t> now{1000};
  options.now_ms = [&] { return now.load(); };
  options.compact_events = 50;
  Job job = SmallJob();
  job.spec.epochs = 20;
  std::unique_ptr<Dispatcher> dispatcher;
  const auto call = [&](auto request, auto reply, auto method) {
    std::promise<decltype(reply)> promise;
    ((*dispatcher).*method)(request, [&](const Status& status, const decltype(reply)& answer) {
      EXPECT_TRUE(status.ok()) << status.ToString();
      promise.set_value(answer);
    });
    return promise.get_future().get();
  };
  std::int64_t done = 0;
  for (int round = 0; round < 3; ++round) {
    const Status status = Dispatcher::Open(job, Path("journal"), options, &dispatcher);
    ASSERT_TRUE(status.ok()) << status.ToString();
    v1::JoinRequest join;
    join.set_name("w-0");
    join.set_key(7);
    const v1::JoinReply joined = call(join, v1::JoinReply(), &Dispatcher::Join);
    EXPECT_EQ(joined.worker(), 1u);
    v1::ExchangeRequest exchange;
    exchange.set_worker(joined.worker());
    exchange.set_incarnation(joined.incarnation());
    exchange.set_max_tasks(1);
    exchange.set_main(true);
    for (int i = 0; i < 60; ++i) {
      exchange.set_request(static_cast<std::uint64_t>(round * 1000 + i + 1));
      const v1::ExchangeReply reply = call(exchange, v1::ExchangeReply(), &Dispatcher::Exchange);
      EXPECT_EQ(reply.refused_size(), 0);
      exchange.clear_reports();
      if (reply.grants_size() == 0) break;
      v1::Report* report = exchange.add_reports();
      report->set_token(reply.grants(0).token());
      report->set_end(v1::LEASE_END_FINISHED);
      *report->add_acknowledged()->mutable_range() = reply.grants(0).ranges(0);
      report->mutable_acknowledged(0)->set_outcome(v1::OUTCOME_TRAINED);
      now += 10;
      dispatcher->Tick();
    }
    exchange.set_max_tasks(0);
    call(exchange, v1::ExchangeReply(), &Dispatcher::Exchange);
    done += 60;
    std::promise<v1::JobStatus> promise;
    dispatcher->GetStatus([&](const Status&, const v1::JobStatus& s) { promise.set_value(s); });
    EXPECT_EQ(promise.get_future().get().totals().trained(), done * 10);
    dispatcher.reset();
  }
  int events = 0;
  std::unique_ptr<journal::Journal> journal;
  const auto count = [&](std::uint64_t, std::string_view) {
    ++events;
    return Status();
  };
  ASSERT_TRUE(journal::Journal::Open(Path("journal"), "", {nullptr, count}, &journal).ok());
  EXPECT_LT(events, 360);
}

}  // namespace
}  // namespace headrace::master
