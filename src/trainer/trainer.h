// Runs a job's share of this process: takes leases from the agent, trains, evaluates or predicts,
// stands still when it is told to, and says what became of every record.
#ifndef HEADRACE_TRAINER_TRAINER_H_
#define HEADRACE_TRAINER_TRAINER_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"
#include "feed/client.h"
#include "trainer/event_log.h"
#include "trainer/exported_job.h"
#include "trainer/failpoint.h"
#include "trainer/program.h"
#include "trainer/settings.h"
#include "trainer/shared/idle_watch.h"

namespace headrace::trainer {

// Ownership: borrows all that it is given.
// Thread safety: one thread.
class Trainer {
 public:
  // shared: nullptr if the model is in this process.
  Trainer(const ExportedJob& job, const Settings& settings, Program* program, SharedModel* shared,
          feed::Client* client, Failpoint* failpoint);

  // Until there is nothing left to do, or the agent wants this process to end. *output: the path of
  // what was written, if it was.
  Status Run(std::string* output);

  std::int64_t steps() const { return telemetry_.steps; }  // that this process trained

 private:
  using Clock = std::chrono::steady_clock;

  // The model that this process begins with.
  Status Restore();
  Status TrainAll();
  // One iterator, to its end. *more: make another one.
  Status Iterate(bool* more);
  void Count(const Program::Trained& trained);
  bool IsBoundary(std::int64_t step);
  Status StandAtBoundary(std::int64_t step);
  // Stands still for as long as there is a hold, and does what is wanted meanwhile.
  Status Obey();
  Status Save(const feed::SaveOrder& order);
  Status ReportMetrics(const feed::EvaluatedOrder& order);

  Status DoTasks();
  Status DoTask(const feed::Task& task);
  Status Evaluate(const feed::Task& task);
  Status Predict(const feed::Task& task);
  // The task's iterator came to its end, or failed with `ended`.
  Status EndTask(const feed::Task& task, Program::Mode mode, const Status& ended,
                 const std::vector<double>& sums);

  // WriteModel, again and again for a minute: what was trained is lost with this process.
  Status Deliver(std::string* output);
  Status WriteModel();
  void Tell(const std::string& waits_for);

  const ExportedJob& job_;
  const Settings& settings_;
  Program* const program_;
  SharedModel* const shared_;
  feed::Client* const client_;
  std::unique_ptr<IdleWatch> idle_;  // of synchronous training
  EventLog events_;
  Failpoint* const failpoint_;

  std::int64_t last_step_ = -1;     // that was looked at for a boundary; -1: none yet
  std::int64_t counted_step_ = -1;  // the last one that was applied; -1: none yet
  std::int64_t shown_step_ = -1;    // the last one of these in TensorBoard
  std::uint64_t held_ = 0;          // the hold that this stands still for, as told to the agent
  std::uint64_t saved_ = 0;         // the last hold in which it saved
  std::int64_t evaluated_ = -1;     // the last round whose metrics it told

  feed::Telemetry telemetry_;
  const Clock::time_point began_ = Clock::now();
  Clock::time_point told_{};
  std::chrono::nanoseconds stepping_{0};  // in steps, waiting for data included
};

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_TRAINER_H_
