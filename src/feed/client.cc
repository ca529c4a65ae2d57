#include "feed/client.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "feed/connected_client.h"

namespace headrace::feed {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kTelemetryEvery{1000};

// The queues and accounts of a client, closed again unless they are released.
struct Opened {
  std::vector<std::string> queues, accounts;

  ~Opened() {
    for (const std::string& name : queues) RangeQueues::Get().Close(name);
    for (const std::string& name : accounts) Accounts::Get().Close(name);
  }
  Status Open(const std::string& name, std::shared_ptr<RangeQueue>* queue,
              std::shared_ptr<Account>* account) {
    Status status = RangeQueues::Get().Open(name, queue);
    if (!status.ok()) return status;
    queues.push_back(name);
    status = Accounts::Get().Open(name, account);
    if (status.ok()) accounts.push_back(name);
    return status;
  }
  void Release() {
    queues.clear();
    accounts.clear();
  }
};

}  // namespace

std::int64_t Client::RecordOf(std::int64_t identity) {
  return Identity::Index(identity);
}

Status Client::Connect(const Options& options, std::unique_ptr<Client>* client) {
  Opened opened;
  std::shared_ptr<RangeQueue> stream_queue, tasks_queue;
  std::shared_ptr<Account> stream_account, tasks_account;
  Status status = opened.Open(options.stream, &stream_queue, &stream_account);
  if (status.ok()) status = opened.Open(options.tasks, &tasks_queue, &tasks_account);
  if (!status.ok()) return status;

  std::unique_ptr<LineSocket> socket;
  status = LineSocket::Connect(options.socket, options.connect_timeout, &socket);
  if (!status.ok()) return {status.code(), "no agent: " + status.message()};
  message::Hello hello;
  hello.program = options.program;
  hello.pid = getpid();
  // An agent that refuses us may have closed the connection already: then it has said why.
  const Status sent = socket->Send(Encode(ToAgent(hello)));
  std::string line;
  status = socket->Receive(&line, options.connect_timeout);
  if (!sent.ok() && !status.ok()) status = sent;
  if (!status.ok()) {
    return {status.code(),
            "no welcome from the agent at '" + options.socket + "': " + status.message()};
  }
  ToClient answer;
  status = Decode(line, &answer);
  if (!status.ok()) return {Code::kInternal, "the agent: " + status.message()};
  if (const auto* error = std::get_if<message::Error>(&answer)) {
    return {Code::kFailedPrecondition, "the agent refuses this process: " + error->message};
  }
  const auto* welcome = std::get_if<message::Welcome>(&answer);
  if (welcome == nullptr) return {Code::kInternal, "the agent's first message is no welcome"};
  if (welcome->protocol != kProtocol) {
    return {Code::kFailedPrecondition,
            "the agent speaks version " + std::to_string(welcome->protocol) +
                " of the feed protocol, this process version " + std::to_string(kProtocol) +
                "; install the same release of both"};
  }
  *client = std::make_unique<ConnectedClient>(options, std::move(socket), *welcome, stream_queue,
                                              stream_account, tasks_queue, tasks_account);
  opened.Release();
  return {};
}

ConnectedClient::ConnectedClient(const Options& options, std::unique_ptr<LineSocket> socket,
                                 const message::Welcome& welcome,
                                 std::shared_ptr<RangeQueue> stream_queue,
                                 std::shared_ptr<Account> stream_account,
                                 std::shared_ptr<RangeQueue> tasks_queue,
                                 std::shared_ptr<Account> tasks_account)
    : options_(options),
      socket_(std::move(socket)),
      welcome_{welcome.worker, welcome.number, welcome.model, welcome.job},
      stream_queue_(std::move(stream_queue)),
      tasks_queue_(std::move(tasks_queue)),
      stream_account_(std::move(stream_account)),
      tasks_account_(std::move(tasks_account)),
      stream_(stream_queue_, stream_account_),
      tasks_(tasks_queue_, tasks_account_) {
  const std::shared_ptr<Waker> waker = waker_;
  stream_queue_->OnRead([waker] { waker->Signal(); });
  stream_account_->OnFinished([waker] { waker->Signal(); });
  receiver_ = std::thread([this] { Receive(); });
  reporter_ = std::thread([this] { Report(); });
}

ConnectedClient::~ConnectedClient() {
  {
    std::lock_guard<std::mutex> lock(mu_);
    leaving_ = true;
  }
  socket_->Shutdown();
  waker_->Signal();
  receiver_.join();
  reporter_.join();
  stream_queue_->OnRead(nullptr);
  stream_account_->OnFinished(nullptr);
  for (const std::string& name : {options_.stream, options_.tasks}) {
    RangeQueues::Get().Close(name);
    Accounts::Get().Close(name);
  }
}

// --- the two threads -----------------------------------------------------------------------------

void ConnectedClient::Receive() {
  std::string line;
  for (;;) {
    Status status = socket_->Receive(&line);
    if (!status.ok()) return Fail({Code::kUnavailable, "the agent is gone: " + status.message()});
    ToClient message;
    status = Decode(line, &message);
    if (!status.ok()) {
      status = {Code::kInternal, "the agent sent " + status.message()};
      socket_->Send(Encode(ToAgent(message::Error{status.message()}))).IgnoreError();
      return Fail(status);
    }
    {
      std::lock_guard<std::mutex> lock(mu_);
      std::visit([this](const auto& from_agent) { On(from_agent); }, message);
      cv_.notify_all();
    }
    waker_->Signal();
  }
}

void ConnectedClient::Report() {
  for (;;) {
    waker_->Wait(options_.report_every);
    {
      std::lock_guard<std::mutex> lock(mu_);
      if (leaving_ || !failure_.ok()) return;
    }
    const Status status = Say(std::nullopt);
    if (!status.ok()) return Fail(status);
  }
}

Status ConnectedClient::Say(const std::optional<ToAgent>& last) {
  std::lock_guard<std::mutex> order(sending_);
  std::vector<ToAgent> messages;
  {
    std::lock_guard<std::mutex> lock(mu_);
    if (!failure_.ok()) return failure_;
    if (leaving_ && !last.has_value()) return {};
    if (leaving_) return {Code::kFailedPrecondition, "bye was said"};
    leaving_ = last.has_value() && std::holds_alternative<message::Bye>(*last);
    CollectLocked(/*parting=*/leaving_, &messages);
  }
  if (last.has_value()) messages.push_back(*last);
  for (const ToAgent& message : messages) {
    const Status status = socket_->Send(Encode(message));
    if (!status.ok()) return {status.code(), "the agent is gone: " + status.message()};
  }
  return {};
}

void ConnectedClient::CollectLocked(bool parting, std::vector<ToAgent>* messages) {
  message::Settled settled;
  settled.reports = stream_.Take();
  settled.reports.insert(settled.reports.end(), std::make_move_iterator(reports_.begin()),
                         std::make_move_iterator(reports_.end()));
  reports_.clear();
  settled.step = step_.load(std::memory_order_relaxed);
  if (!settled.reports.empty() || settled.step != told_step_) {
    told_step_ = settled.step;
    messages->push_back(std::move(settled));
  }

  Demand& main = DemandOf(message::QueueName::kMain);
  if (started_ && !draining()) {
    main.to_ask = std::max<std::int64_t>(options_.prefetch - stream_.unbegun() - main.asked, 0);
  }
  for (const auto queue : {message::QueueName::kMain, message::QueueName::kEvaluation}) {
    Demand& demand = DemandOf(queue);
    if (demand.to_ask == 0 || parting) continue;
    messages->push_back(message::Want{queue, demand.to_ask});
    demand.asked += std::exchange(demand.to_ask, 0);
  }

  const Clock::time_point now = Clock::now();
  const bool due = now - telemetry_sent_ >= kTelemetryEvery || parting;
  if (!due || (!telemetry_.has_value() && waits_for_.empty())) return;
  const Telemetry told = telemetry_.value_or(Telemetry());
  message::Telemetry telemetry{told.steps, told.records,   told.loss,
                               told.times, told.waits_for, told.waiting.count()};
  if (!waits_for_.empty()) {
    telemetry.waits_for = waits_for_;
    telemetry.waiting_ms = std::chrono::duration_cast<milliseconds>(now - waits_since_).count();
  }
  messages->push_back(std::move(telemetry));
  telemetry_sent_ = now;
}

template <class Done>
Status ConnectedClient::WaitLocked(std::unique_lock<std::mutex>* lock, const std::string& what,
                                   Done done) {
  const auto over = [&] { return !failure_.ok() || done(); };
  if (!over()) {
    waits_for_ = what;
    waits_since_ = Clock::now();
    waker_->Signal();
    cv_.wait(*lock, over);
    waits_for_.clear();
  }
  return failure_;
}

Status ConnectedClient::failure() const {
  std::lock_guard<std::mutex> lock(mu_);
  return failure_;
}

void ConnectedClient::Fail(const Status& status) {
  std::lock_guard<std::mutex> lock(mu_);
  FailLocked(status);
}

void ConnectedClient::FailLocked(const Status& status) {
  if (leaving_ || !failure_.ok()) return;
  failure_ = status;
  // Before readers wake up: a trainer looks at attention() then.
  failed_ = true;
  NoteAttentionLocked();
  stream_queue_->Fail(status);
  tasks_queue_->Fail(status);
  cv_.notify_all();
}

void ConnectedClient::NoteAttentionLocked() {
  attention_ = failed_ || draining_ || version_ != seen_;
}

// --- from the agent ------------------------------------------------------------------------------

void ConnectedClient::On(const message::Welcome&) {
  FailLocked({Code::kInternal, "the agent said welcome twice"});
}

void ConnectedClient::On(const message::Ready&) {
  ready_ = true;
}

void ConnectedClient::On(const message::Lease& lease) {
  Demand& demand = DemandOf(lease.queue);
  if (demand.asked > 0) --demand.asked;
  if (lease.task != message::TaskKind::kTrain) {
    tasks_.Give(lease);
    return;
  }
  const Status status = stream_.Give(lease);
  if (!status.ok()) FailLocked({Code::kInternal, "from the agent: " + status.message()});
}

void ConnectedClient::On(const message::Flush& flush) {
  if (flush.queue == message::QueueName::kMain) stream_.Flush();
}

void ConnectedClient::On(const message::Finish& finish) {
  tasks_.Finish(finish.queue);
  if (finish.queue == message::QueueName::kMain) stream_.Finish();
}

void ConnectedClient::On(const message::Revoked& revoked) {
  if (tasks_.Revoke(revoked.token)) return;
  stream_.Revoke(revoked.token);
  // Also of a lease whose last report came too late.
  if (welcome_.model == ModelKind::kLocal) {
    FailLocked({Code::kAborted, "lease " + std::to_string(revoked.token) +
                                    " was revoked: " + revoked.reason +
                                    "; this model holds records that others train, too"});
  }
}

void ConnectedClient::On(const message::Recall& recall) {
  stream_.Recall(recall.token);
}

void ConnectedClient::On(const message::Orders& orders) {
  Orders next;
  next.hold = orders.hold;
  next.reason = orders.reason;
  if (orders.save.has_value()) {
    next.save = SaveOrder{orders.save->hold, orders.save->directory, orders.save->position,
                          orders.save->step};
  }
  if (orders.evaluated.has_value()) {
    next.evaluated =
        EvaluatedOrder{orders.evaluated->round, orders.evaluated->step, orders.evaluated->sums};
  }
  orders_ = std::move(next);
  ++version_;
  if (orders.boundary != 0) answered_boundary_ = std::max(answered_boundary_, orders.boundary);
  NoteAttentionLocked();
  stream_queue_->Hold(orders_.hold != 0);
}

void ConnectedClient::On(const message::Drain&) {
  draining_ = true;
  NoteAttentionLocked();
  stream_.Drain();
  for (message::Report& report : tasks_.Drain()) reports_.push_back(std::move(report));
}

void ConnectedClient::On(const message::Fail& fail) {
  FailLocked({Code::kFailedPrecondition, "the job failed: " + fail.error});
}

void ConnectedClient::On(const message::Error& error) {
  FailLocked({Code::kFailedPrecondition, "the agent refuses this process: " + error.message});
}

// --- from the trainer ----------------------------------------------------------------------------

Status ConnectedClient::Restored(std::int64_t step, const std::string& position,
                                 const std::string& checkpoint) {
  {
    std::lock_guard<std::mutex> lock(mu_);
    step_ = step;
    told_step_ = step;
  }
  Status status = Say(message::Restored{step, position, checkpoint});
  if (!status.ok()) return status;
  std::unique_lock<std::mutex> lock(mu_);
  return WaitLocked(&lock, "the master to take note of the restored model", [&] { return ready_; });
}

void ConnectedClient::Start() {
  std::lock_guard<std::mutex> lock(mu_);
  started_ = true;
  waker_->Signal();
}

Status ConnectedClient::Applied(const std::int64_t* identities, std::size_t count,
                                std::int64_t step) {
  if (failed_.load(std::memory_order_relaxed)) return failure();
  step_.store(step, std::memory_order_relaxed);
  return stream_account_->Applied(identities, count);
}

Status ConnectedClient::IteratorEnded(const std::string& op, bool* more) {
  std::lock_guard<std::mutex> lock(mu_);
  *more = false;
  if (!failure_.ok()) return failure_;
  Status status = stream_.Ended(op, more);
  waker_->Signal();
  return status;
}

Status ConnectedClient::IteratorFailed(const Status& error, std::int64_t culprit) {
  std::lock_guard<std::mutex> lock(mu_);
  if (!failure_.ok()) return failure_;
  Status status = stream_.Failed(error, culprit);
  waker_->Signal();
  return status;
}

Status ConnectedClient::Next(Queue queue, std::uint64_t seen, Found* found, Task* task) {
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
  if (failed_.load(std::memory_order_relaxed)) return failure();
  return tasks_account_->Applied(identities, count);
}

Status ConnectedClient::TaskDone(const Task& task, const std::string& op,
                                 const std::vector<double>& metrics) {
  std::lock_guard<std::mutex> lock(mu_);
  if (!failure_.ok()) return failure_;
  std::optional<message::Report> report;
  Status status = tasks_.Done(task.token, op, metrics, &report);
  if (report.has_value()) reports_.push_back(std::move(*report));
  waker_->Signal();
  return status;
}

Status ConnectedClient::TaskFailed(const Task& task, const Status& error, std::int64_t culprit) {
  std::lock_guard<std::mutex> lock(mu_);
  if (!failure_.ok()) return failure_;
  std::optional<message::Report> report;
  Status status = tasks_.Failed(task.token, error, culprit, &report);
  if (report.has_value()) reports_.push_back(std::move(*report));
  waker_->Signal();
  return status;
}

Orders ConnectedClient::current_orders(std::uint64_t* version) {
  std::lock_guard<std::mutex> lock(mu_);
  *version = seen_ = version_;
  NoteAttentionLocked();
  return orders_;
}

Status ConnectedClient::Boundary(std::int64_t step, Orders* orders, std::uint64_t* version) {
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
  return Say(message::Held{hold});
}

Status ConnectedClient::Saved(const SaveOrder& order, const Status& result, milliseconds pause,
                              std::int64_t bytes) {
  return Say(message::Saved{order.hold, order.directory, result.ok() ? "" : result.ToString(),
                            pause.count(), bytes});
}

Status ConnectedClient::Metrics(const EvaluatedOrder& of,
                                const std::map<std::string, double>& values) {
  return Say(message::Metrics{of.round, of.step, values});
}

void ConnectedClient::Tell(const Telemetry& telemetry) {
  std::lock_guard<std::mutex> lock(mu_);
  telemetry_ = telemetry;
}

Status ConnectedClient::Bye(const std::string& model, const Status& error) {
  return Say(message::Bye{model, error.ok() ? "" : error.ToString()});
}

}  // namespace headrace::feed
