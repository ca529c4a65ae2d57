// A ledger with a small job, and short ways to say what happens to it.
#ifndef HEADRACE_LEDGER_TESTING_H_
#define HEADRACE_LEDGER_TESTING_H_

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "ledger/ledger.h"

namespace headrace::ledger::testing {

// One file of 20 records in two tasks, in order, with short leases.
inline JobSpec SmallJob() {
  JobSpec spec;
  spec.files = {{"a.rec", 20}};
  spec.task_records = 10;
  spec.shuffle = false;
  spec.lease_ms = 1000;
  spec.straggler_ms = 100;
  spec.backoff_ms = 0;
  return spec;
}

class Master {
 public:
  explicit Master(JobSpec spec = SmallJob()) {
    CreateJob create;
    create.spec = std::move(spec);
    Must(create);
    for (std::uint64_t worker = 1; worker <= 3; ++worker) {
      Join join;
      join.worker = worker;
      Must(join);
    }
  }

  template <class E>
  Status Try(E event) {
    event.now_ms = now;
    return ledger.Apply(event, &effects);
  }
  template <class E>
  const Effects& Must(E event) {
    const Status status = Try(std::move(event));
    EXPECT_TRUE(status.ok()) << status.ToString();
    return effects;
  }

  Effects Ask(std::uint64_t worker, std::int64_t tasks = 1, bool evaluation = false) {
    Request request;
    request.worker = worker;
    request.request = ++requests;
    request.incarnation = ledger.incarnation();
    request.max_tasks = tasks;
    request.evaluation = evaluation;
    return Must(request);
  }
  // The one lease that the worker gets.
  Grant Lease(std::uint64_t worker, bool evaluation = false) {
    const Effects got = Ask(worker, 1, evaluation);
    EXPECT_EQ(got.grants.size(), 1u);
    return got.grants.empty() ? Grant() : got.grants[0];
  }
  Status Finish(std::uint64_t worker, const Grant& grant, std::vector<double> metrics = {}) {
    Report report = ReportOf(worker, grant, End::kFinished);
    for (const Range& range : grant.ranges) report.acknowledged.push_back({range, {}, ""});
    report.metrics = std::move(metrics);
    return Try(report);
  }
  Status Failed(std::uint64_t worker, const Grant& grant, std::int64_t culprit = -1) {
    Report report = ReportOf(worker, grant, End::kFailed);
    report.error = "bad bytes";
    report.culprit = culprit;
    return Try(report);
  }
  Status Trained(std::uint64_t worker, const Grant& grant, Range range, End end = End::kOpen) {
    Report report = ReportOf(worker, grant, end);
    report.acknowledged = {{range, Outcome::kTrained, ""}};
    return Try(report);
  }
  static Report ReportOf(std::uint64_t worker, const Grant& grant, End end) {
    Report report;
    report.worker = worker;
    report.token = grant.token;
    report.end = end;
    return report;
  }
  const Effects& TickAt(std::int64_t time) {
    now = time;
    return Must(Tick());
  }

  Ledger ledger;
  Effects effects;
  std::int64_t now = 0;
  std::uint64_t requests = 0;
};

}  // namespace headrace::ledger::testing

#endif  // HEADRACE_LEDGER_TESTING_H_
