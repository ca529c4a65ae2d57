// The connection: its two threads, and what the agent says.
#include "feed/connected_client.h"

#include <algorithm>
#include <utility>

namespace headrace::feed {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kTelemetryEvery{1000};

}  // namespace

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
  const std::shared_ptr<Presence> presence = presence_;
  const auto on_read = [waker, presence] {
    presence->Touch("read", Clock::now());
    waker->Signal();
  };
  stream_queue_->OnRead(on_read);
  tasks_queue_->OnRead(on_read);
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
  tasks_queue_->OnRead(nullptr);
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
    if (const auto* fence = std::get_if<message::Fence>(&message)) {
      status = FenceOff(fence->workers);
      if (!status.ok()) return Fail(status);
    }
    {
      std::lock_guard<std::mutex> lock(mu_);
      std::visit([this](const auto& from_agent) { On(from_agent); }, message);
      cv_.notify_all();
    }
    waker_->Signal();
    if (status = TellLive(); !status.ok()) return Fail(status);
  }
}

void ConnectedClient::Report() {
  for (;;) {
    waker_->Wait(options_.report_every);
    {
      std::lock_guard<std::mutex> lock(mu_);
      if (leaving_ || !failure_.ok()) return;
    }
    ExcuseStep();
    const Status status = Say(std::nullopt);
    if (!status.ok()) return Fail(status);
  }
}

void ConnectedClient::ExcuseStep() {
  const bool waits = options_.step_waits && options_.step_waits();
  const bool hungry = stream_queue_->waiting() > 0 || tasks_queue_->waiting() > 0;
  if (waits || hungry) presence_->Touch(waits ? "wait of the step" : "read", Clock::now());
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
  const auto away = presence_->away(now);
  const bool news =
      started_ || telemetry_.has_value() || !waits_for_.empty() || away >= kTelemetryEvery;
  if (!due || !news) return;
  Telemetry told = telemetry_.value_or(Telemetry());
  if (told.handed_out > 0 && waits_for_.empty()) NoteUncommittedLocked(now, &told);
  message::Telemetry telemetry{told.steps,
                               told.records,
                               told.loss,
                               told.times,
                               told.waits_for,
                               told.waiting.count(),
                               std::chrono::duration_cast<milliseconds>(away).count(),
                               presence_->last(),
                               told.handed_out};
  if (!waits_for_.empty()) {
    telemetry.waits_for = waits_for_;
    telemetry.waiting_ms = std::chrono::duration_cast<milliseconds>(now - waits_since_).count();
  }
  messages->push_back(std::move(telemetry));
  telemetry_sent_ = now;
}

void ConnectedClient::NoteUncommittedLocked(Clock::time_point now, Telemetry* telemetry) {
  const Clock::time_point since = std::max(applied_.load(), handed_out_);
  if (now - since < options_.commit_notice) return;
  const std::size_t in_hand = stream_account_->in_hand();
  if (in_hand == 0) return;
  telemetry->waits_for = "commit(batch) of " + std::to_string(in_hand) + " records";
  telemetry->waiting = std::chrono::duration_cast<milliseconds>(now - since);
}

Status ConnectedClient::FenceOff(const std::vector<std::uint64_t>& workers) {
  {
    std::lock_guard<std::mutex> lock(mu_);
    if (!attaching_) return {Code::kInternal, "the agent sent 'fence' before 'attach'"};
  }
  Status status = options_.on_fence(workers);  // without the lock: it goes to the servers
  if (status.ok()) return status;
  std::string names;
  for (const std::uint64_t worker : workers) {
    names += (names.empty() ? "" : ", ") + std::to_string(worker);
  }
  return {status.code(), "fencing off workers " + names + ": " + status.message()};
}

Status ConnectedClient::TellLive() {
  if (!options_.on_live) return {};
  std::int64_t live = 0;
  {
    std::lock_guard<std::mutex> lock(mu_);
    if (!attaching_ || orders_.live == told_live_) return {};
    live = orders_.live;
  }
  told_live_ = live;
  Status status = options_.on_live(live);  // without the lock, as FenceOff()
  if (status.ok()) return status;
  return {status.code(),
          "telling that " + std::to_string(live) + " workers are alive: " + status.message()};
}

Status ConnectedClient::WaitLocked(std::unique_lock<std::mutex>* lock, const std::string& what,
                                   const std::function<bool()>& done) {
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
  attached_ = Attached{Attached::What::kReady, generation_};
}

void ConnectedClient::On(const message::Look& look) {
  attached_ = Attached{Attached::What::kLook, look.expected};
}

void ConnectedClient::On(const message::Restore& restore) {
  attached_ = Attached{Attached::What::kRestore, restore.generation};
}

void ConnectedClient::On(const message::Lease& lease) {
  Demand& demand = DemandOf(lease.queue);
  if (demand.asked > 0) --demand.asked;
  if (lease.task != message::TaskKind::kTrain) {
    tasks_.Give(lease);
    return;
  }
  if (options_.on_lease) options_.on_lease();
  const Status status = stream_.Give(lease);
  if (!status.ok()) FailLocked({Code::kInternal, "from the agent: " + status.message()});
}

void ConnectedClient::On(const message::Flush& flush) {
  if (flush.queue == message::QueueName::kMain) stream_.Flush();
}

void ConnectedClient::On(const message::Finish& finish) {
  deliver_ = finish.deliver;  // before readers wake up
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
  next.live = orders.live;
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

void ConnectedClient::On(const message::Drain& drain) {
  if (drain.discard) discards_ = true;
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

}  // namespace headrace::feed
