// A job and a coordinator without dispatcher, journal and time, for the coordinator's tests.
#ifndef HEADRACE_MASTER_COORDINATOR_TESTING_H_
#define HEADRACE_MASTER_COORDINATOR_TESTING_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "master/coordinator.h"

namespace headrace::master::testing {

inline constexpr std::int64_t kLeaseMs = 1000;

inline Job TestJob(ModelKind model) {
  Job job;
  job.name = "test";
  job.model = model;
  job.checkpoint_directory = model == ModelKind::kNone ? "" : "/saved";
  job.checkpoint_every_steps = model == ModelKind::kNone ? 0 : 10;
  job.spec.files = {{"a.rec", 40}};
  job.spec.task_records = 10;
  job.spec.lease_ms = kLeaseMs;
  return job;
}

inline Job EvaluatingJob(ModelKind model) {
  Job job = TestJob(model);
  job.type = JobType::kTrainingWithEvaluation;
  job.checkpoint_every_steps = 0;
  job.spec.evaluation_files = {{"v.rec", 20}};
  job.spec.evaluation_task_records = 20;
  job.spec.evaluation_every_steps = 10;
  return job;
}

// A job, its state, and a coordinator that is asked after everything, as the dispatcher does.
class World {
 public:
  explicit World(Job job) : job_(std::move(job)) {
    ledger::CreateJob create;
    create.spec = job_.spec;
    Must(ledger::Event(create));
    StartMaster();
  }
  void StartMaster() {
    Started started;
    started.now_ms = now;
    Must(started);
    coordinator = std::make_unique<Coordinator>(&job_, &state, now);
    Settle();
  }
  void Must(const Entry& entry) {
    ledger::Effects effects;
    bool changed = false;
    const Status status = state.Apply(entry, &effects, &changed);
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  void Settle() {
    while (auto entry = coordinator->Decide(now)) Must(*entry);
  }

  std::uint64_t Join(const std::string& name) {
    Joined joined;
    joined.worker = state.next_worker();
    joined.name = name;
    joined.key = joined.worker + 1000;
    joined.now_ms = now;
    Must(joined);
    coordinator->Join(joined.worker, now);
    Settle();
    return joined.worker;
  }
  // Joins, has the model if it is shared, and has had leases.
  std::uint64_t Train(const std::string& name) {
    const std::uint64_t worker = Join(name);
    if (job_.model == ModelKind::kShared) Attach(worker);
    coordinator->Leased(worker);
    Settle();
    return worker;
  }
  // Finds the shared model, or restores it.
  void Attach(std::uint64_t worker) {
    if (state.generation() != 0) {
      Must(Attached{worker});
      return Settle();
    }
    Must(RestoreOrdered{worker, state.last_generation() + 1, now});
    Restore(worker);
  }
  void Tick() {
    ledger::Tick tick;
    tick.now_ms = now;
    Must(ledger::Event(tick));
    Settle();
  }
  void Restore(std::uint64_t worker, std::int64_t step = 0, const std::string& position = "",
               const std::string& checkpoint = "") {
    Restored restored;
    restored.worker = worker;
    restored.position = position;
    restored.step = step;
    restored.checkpoint = checkpoint;
    restored.now_ms = now;
    Must(restored);
    coordinator->VoidOrders();
    Settle();
  }
  void Leave(std::uint64_t worker, const std::string& reason = "") {
    Left left;
    left.worker = worker;
    left.reason = reason;
    left.now_ms = now;
    Must(left);
    coordinator->Leave(worker);
    Settle();
  }
  // The worker is at `step` and stands still for `held`.
  void Say(std::uint64_t worker, std::int64_t step, std::uint64_t held = 0) {
    coordinator->Hear(worker, {held, false, state.ledger().incarnation()}, now);
    ledger::Progress progress;
    progress.step = step;
    progress.incarnation = state.ledger().incarnation();
    progress.now_ms = now;
    Must(ledger::Event(progress));
    Settle();
  }
  void Save(std::uint64_t worker) {
    const Orders orders = OrdersFor(worker);
    ASSERT_TRUE(orders.save.has_value());
    Saved saved;
    saved.worker = worker;
    saved.hold = orders.save->hold;
    saved.directory = orders.save->directory;
    saved.step = orders.save->step;
    saved.now_ms = now;
    Must(saved);
    coordinator->SaveDone();
    Settle();
  }
  ledger::Effects Lease(std::uint64_t worker, bool main, bool evaluation) {
    ledger::Request request;
    request.worker = worker;
    request.request = ++requests_;
    request.incarnation = state.ledger().incarnation();
    request.max_tasks = 100;
    request.main = main;
    request.evaluation = evaluation;
    request.now_ms = now;
    ledger::Effects effects;
    bool changed = false;
    EXPECT_TRUE(state.Apply(ledger::Event(request), &effects, &changed).ok());
    return effects;
  }
  void Finish(std::uint64_t worker, const ledger::Grant& grant, std::vector<double> sums = {}) {
    ledger::Report report;
    report.worker = worker;
    report.token = grant.token;
    report.end = ledger::End::kFinished;
    for (const ledger::Range& range : grant.ranges) report.acknowledged.push_back({range, {}, ""});
    report.metrics = std::move(sums);
    report.now_ms = now;
    Must(ledger::Event(report));
    Settle();
  }
  // All of the main work that is left.
  void FinishMain(std::uint64_t worker) {
    for (const ledger::Grant& grant : Lease(worker, true, false).grants) Finish(worker, grant);
    coordinator->Leased(worker);
  }
  Orders OrdersFor(std::uint64_t worker) { return coordinator->OrdersFor(worker); }
  std::uint64_t Hold(std::uint64_t worker) { return OrdersFor(worker).hold; }
  std::string WaitsFor() {
    std::int64_t since = 0;
    return coordinator->WaitsFor(now, &since);
  }

  State state;
  std::unique_ptr<Coordinator> coordinator;
  std::int64_t now = 5000;

 private:
  const Job job_;
  std::uint64_t requests_ = 0;
};

}  // namespace headrace::master::testing

#endif  // HEADRACE_MASTER_COORDINATOR_TESTING_H_
