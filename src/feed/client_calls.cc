// What the training process says.
#include <utility>

#include "feed/connected_client.h"

namespace headrace::feed {

using std::chrono::milliseconds;

Status ConnectedClient::Attach(std::int64_t generation, std::int64_t expected, Attached* attached) {
  const PresentCall here(presence_.get(), "attach");
  if (welcome_.model != ModelKind::kShared) {
    return {Code::kFailedPrecondition, "the job's model is not on parameter servers"};
  }
  if (!options_.on_fence) {
    return {Code::kFailedPrecondition, "a shared model needs Client::Options::on_fence"};
  }
  {
    std::lock_guard<std::mutex> lock(mu_);
    attaching_ = true;
    generation_ = generation;
    attached_.reset();
  }
  Status status = Say(message::Attach{generation, expected});
  if (!status.ok()) return status;
  std::unique_lock<std::mutex> lock(mu_);
  status = WaitLocked(&lock, "the master's decision on the model",
                      [&] { return attached_.has_value() || draining(); });
  if (!status.ok()) return status;
  if (!attached_.has_value()) return {Code::kCancelled, "told to leave before the model was there"};
  *attached = *attached_;
  return {};
}

Status ConnectedClient::Restored(std::int64_t step, const std::string& position,
                                 const std::string& checkpoint, std::int64_t generation) {
  const PresentCall here(presence_.get(), "restored");
  {
    std::lock_guard<std::mutex> lock(mu_);
    step_ = step;
    told_step_ = step;
  }
  Status status = Say(message::Restored{step, position, checkpoint, generation});
  if (!status.ok()) return status;
  std::unique_lock<std::mutex> lock(mu_);
  return WaitLocked(&lock, "the master to take note of the restored model", [&] { return ready_; });
}

void ConnectedClient::Start() {
  const PresentCall here(presence_.get(), "start");
  std::lock_guard<std::mutex> lock(mu_);
  started_ = true;
  waker_->Signal();
}

Status ConnectedClient::Applied(const std::int64_t* identities, std::size_t count,
                                std::int64_t step) {
  const PresentCall here(presence_.get(), "applied");
  if (failed_.load(std::memory_order_relaxed)) return failure();
  step_.store(step, std::memory_order_relaxed);
  applied_.store(Clock::now(), std::memory_order_relaxed);
  return stream_account_->Applied(identities, count);
}

Status ConnectedClient::IteratorEnded(const std::string& op, bool* more) {
  const PresentCall here(presence_.get(), "iterator ended");
  std::lock_guard<std::mutex> lock(mu_);
  *more = false;
  if (!failure_.ok()) return failure_;
  Status status = stream_.Ended(op, more);
  waker_->Signal();
  return status;
}

Status ConnectedClient::IteratorFailed(const Status& error) {
  const PresentCall here(presence_.get(), "iterator failed");
  std::lock_guard<std::mutex> lock(mu_);
  if (!failure_.ok()) return failure_;
  Status status = stream_.Failed(error);
  waker_->Signal();
  return status;
}

Status ConnectedClient::IteratorDropped() {
  const PresentCall here(presence_.get(), "iterator dropped");
  std::lock_guard<std::mutex> lock(mu_);
  if (!failure_.ok()) return failure_;
  Status status = stream_.Dropped();
  waker_->Signal();
  return status;
}

Status ConnectedClient::Next(Queue queue, std::uint64_t seen, Found* found, Task* task) {
  const PresentCall here(presence_.get(), "next task");
  const auto from =
      queue == Queue::kMain ? message::QueueName::kMain : message::QueueName::kEvaluation;
  std::unique_lock<std::mutex> lock(mu_);
  Demand& demand = DemandOf(from);
  const auto ask = [&](std::int64_t count) {
    demand.to_ask = std::max<std::int64_t>(count - demand.asked, 0);
    waker_->Signal();
  };
  const auto over = [&] {
    return version_ != seen || tasks_.Ready(from) || tasks_.finished(from) || draining();
  };
  const std::int64_t ahead = options_.prefetch > 1 ? 1 : 0;
  if (!over()) ask(1 + ahead);
  Status status = WaitLocked(
      &lock, queue == Queue::kMain ? "a task of the main queue" : "a task of evaluation", over);
  demand.to_ask = 0;
  if (!status.ok()) return status;
  if (version_ != seen) {
    *found = Found::kOrders;
    return {};
  }
  if (!tasks_.Ready(from)) {
    *found = Found::kDone;
    return {};
  }
  message::Lease lease;
  status = tasks_.Begin(from, &lease);
  if (!status.ok()) return status;
  if (!tasks_.Ready(from)) ask(ahead);
  *found = Found::kTask;
  *task = {};
  task->token = lease.token;
  task->kind = message::Name(lease.task);
  task->path = lease.path;
  task->file = lease.file;
  for (const ledger::Range& range : lease.ranges) task->ranges.emplace_back(range.begin, range.end);
  task->epoch = lease.epoch;
  task->round = lease.round;
  task->model_version = lease.model_version;
  return {};
}

Status ConnectedClient::TaskApplied(const std::int64_t* identities, std::size_t count) {
  const PresentCall here(presence_.get(), "task applied");
  if (failed_.load(std::memory_order_relaxed)) return failure();
  return tasks_account_->Applied(identities, count);
}

Status ConnectedClient::TaskDone(const Task& task, const std::string& op,
                                 const std::vector<double>& metrics) {
  const PresentCall here(presence_.get(), "task done");
  std::lock_guard<std::mutex> lock(mu_);
  if (!failure_.ok()) return failure_;
  std::optional<message::Report> report;
  Status status = tasks_.Done(task.token, op, metrics, &report);
  if (report.has_value()) reports_.push_back(std::move(*report));
  waker_->Signal();
  return status;
}

Status ConnectedClient::TaskFailed(const Task& task, const Status& error) {
  const PresentCall here(presence_.get(), "task failed");
  std::lock_guard<std::mutex> lock(mu_);
  if (!failure_.ok()) return failure_;
  std::optional<message::Report> report;
  Status status = tasks_.Failed(task.token, error, &report);
  if (report.has_value()) reports_.push_back(std::move(*report));
  waker_->Signal();
  return status;
}

Orders ConnectedClient::current_orders(std::uint64_t* version) {
  const PresentCall here(presence_.get(), "orders");
  std::lock_guard<std::mutex> lock(mu_);
  *version = seen_ = version_;
  NoteAttentionLocked();
  return orders_;
}

Status ConnectedClient::Boundary(std::int64_t step, Orders* orders, std::uint64_t* version) {
  const PresentCall here(presence_.get(), "boundary");
  std::uint64_t id = 0;
  {
    std::lock_guard<std::mutex> lock(mu_);
    step_ = step;
    id = ++boundary_;
  }
  Status status = Say(message::Boundary{id, step});
  if (!status.ok()) return status;
  std::unique_lock<std::mutex> lock(mu_);
  status = WaitLocked(&lock, "the master's decision at step " + std::to_string(step),
                      [&] { return answered_boundary_ >= id; });
  if (!status.ok()) return status;
  *orders = orders_;
  *version = seen_ = version_;
  NoteAttentionLocked();
  return {};
}

Status ConnectedClient::Held(std::uint64_t hold) {
  const PresentCall here(presence_.get(), "held");
  return Say(message::Held{hold});
}

Status ConnectedClient::Saved(const SaveOrder& order, const Status& result, milliseconds pause,
                              std::int64_t bytes) {
  const PresentCall here(presence_.get(), "saved");
  return Say(message::Saved{order.hold, order.directory, result.ok() ? "" : result.ToString(),
                            pause.count(), bytes});
}

Status ConnectedClient::Metrics(const EvaluatedOrder& of,
                                const std::map<std::string, double>& values) {
  const PresentCall here(presence_.get(), "metrics");
  return Say(message::Metrics{of.round, of.step, values});
}

void ConnectedClient::Tell(const Telemetry& telemetry) {
  const PresentCall here(presence_.get(), "tell");
  std::lock_guard<std::mutex> lock(mu_);
  const bool more = telemetry.handed_out > telemetry_.value_or(Telemetry()).handed_out;
  if (more && applied_.load() >= handed_out_) handed_out_ = Clock::now();
  telemetry_ = telemetry;
}

Status ConnectedClient::Bye(const std::string& model, const Status& error) {
  const PresentCall here(presence_.get(), "bye");
  return Say(message::Bye{model, error.ok() ? "" : error.ToString()});
}

}  // namespace headrace::feed
