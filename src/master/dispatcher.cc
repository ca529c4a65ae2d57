#include "master/dispatcher.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>

#include "master/convert.h"
#include "master/replay.h"

namespace headrace::master {
namespace {

Status Unavailable(const Status& journal) {
  return {Code::kUnavailable, "the master's journal cannot be written: " + journal.message()};
}

}  // namespace

// One call: takes the lock, and at the end lets everything out that follows from it, in this order:
// decide, append, release the lock, and, when all is durable, answer and push.
class Dispatcher::Turn {
 public:
  explicit Turn(Dispatcher* dispatcher) : dispatcher_(*dispatcher), lock_(dispatcher->mu_) {
    dispatcher_.now_ms_ = std::max(dispatcher_.now_ms_, dispatcher_.options_.now_ms());
  }
  // Not OK: nothing may be done.
  const Status& closed() const { return dispatcher_.closed_; }

  template <class Answer>
  void End(Answer answer) {
    std::vector<Push> pushes;
    if (dispatcher_.closed_.ok()) {
      dispatcher_.Settle();
      dispatcher_.CollectPushes(&pushes);
    }
    std::vector<std::function<void(const Status&)>> calls;
    calls.swap(dispatcher_.finished_calls_);
    DurableLog& log = *dispatcher_.log_;
    const std::uint64_t point = log.Now();
    lock_.unlock();
    log.After(point, [answer = std::move(answer), pushes = std::move(pushes),
                      calls = std::move(calls)](const Status& status) {
      const Status durable = status.ok() ? status : Unavailable(status);
      answer(durable);
      for (const auto& call : calls) call(durable);
      if (!durable.ok()) return;
      for (const Push& push : pushes) push.watcher->Send(push.orders);
    });
  }
  // Answers with `reply`, or with why not.
  template <class Reply>
  void End(const Status& status, Reply reply, Done<Reply> done) {
    End([status, reply = std::move(reply), done = std::move(done)](const Status& durable) {
      done(durable.ok() ? status : durable, reply);
    });
  }

 private:
  Dispatcher& dispatcher_;
  std::unique_lock<std::mutex> lock_;
};

Dispatcher::Dispatcher(Job job, Options options)
    : job_(std::move(job)), options_(std::move(options)) {}

Dispatcher::~Dispatcher() {
  Shutdown(false);
  log_.reset();
}

Status Dispatcher::Open(const Job& job, const std::string& journal_path, const Options& options,
                        std::unique_ptr<Dispatcher>* dispatcher) {
  std::unique_ptr<Dispatcher> made(new Dispatcher(job, options));
  Status status = made->Load(journal_path);
  if (status.ok()) *dispatcher = std::move(made);
  return status;
}

Status Dispatcher::Load(const std::string& journal_path) {
  journal_path_ = journal_path;
  Replayed replayed;
  Status status = OpenJournal(journal_path, JournalName(job_), &replayed);
  log_ = std::make_unique<DurableLog>(std::move(replayed.journal));
  if (!status.ok()) return status;
  state_ = std::move(replayed.state);
  entries_ = replayed.events;
  entry_bytes_ = replayed.event_bytes;
  snapshot_bytes_ = replayed.snapshot_bytes;

  now_ms_ = std::max(options_.now_ms(), state_.ledger().now_ms());
  seen_ms_ = lost_ms_ = now_ms_;
  if (state_.ledger().spec().files.empty()) {
    ledger::CreateJob create;
    create.spec = job_.spec;
    create.now_ms = now_ms_;
    status = Apply(ledger::Event(create));
  }
  Started started;
  started.now_ms = now_ms_;
  if (status.ok()) status = Apply(started);
  if (status.ok()) status = log_->Flush();
  if (!status.ok()) return status;
  coordinator_ = std::make_unique<Coordinator>(&job_, &state_, now_ms_);
  Settle();
  return log_->Flush();
}

Status Dispatcher::Apply(const Entry& entry, ledger::Effects* effects) {
  bool changed = false;
  const std::size_t fenced = state_.fenced().size();
  Status status = state_.Apply(entry, effects, &changed);
  for (std::size_t i = fenced; i < state_.fenced().size(); ++i) {
    ++late_.fenced;
    spdlog::warn("worker {} is fenced off: nothing late of it reaches the model",
                 state_.fenced()[i]);
  }
  if (changed) {
    std::string bytes = Encode(entry);
    ++entries_;
    entry_bytes_ += bytes.size();
    log_->Append(std::move(bytes));
  }
  for (const ledger::Recall& recall : effects->recalls) changed_.insert(recall.worker);
  if (status.ok() && std::holds_alternative<ModelLost>(entry)) {
    rewinds_.Lost(now_ms_);
    lost_ms_ = now_ms_;
  }
  return status;
}

Status Dispatcher::Apply(const Entry& entry) {
  ledger::Effects effects;
  return Apply(entry, &effects);
}

void Dispatcher::Settle() {
  while (std::optional<Entry> entry = coordinator_->Decide(now_ms_)) {
    const Status status = Apply(*entry);
    if (std::holds_alternative<ModelLost>(*entry)) {
      spdlog::warn("records may have been trained twice: the model goes back to its checkpoint");
    }
    if (!status.ok()) {
      spdlog::error("a decision was refused: {}", status.ToString());
      return;
    }
  }
  if (std::optional<CheckpointResult> result = coordinator_->TakeResult()) {
    v1::CheckpointReply reply;
    reply.set_directory(result->directory);
    reply.set_step(result->step);
    for (Done<v1::CheckpointReply>& done : checkpoint_calls_) {
      finished_calls_.emplace_back(
          [status = result->status, reply, done = std::move(done)](const Status& durable) {
            done(durable.ok() ? status : durable, reply);
          });
    }
    checkpoint_calls_.clear();
  }
}

void Dispatcher::CollectPushes(std::vector<Push>* pushes) {
  const bool all = coordinator_->TakeChanged();
  if (!all && changed_.empty()) return;
  for (const auto& [worker, watcher] : watchers_) {
    if (all || changed_.count(worker) > 0) pushes->push_back({watcher, OrdersFor(worker)});
  }
  changed_.clear();
}

v1::Orders Dispatcher::OrdersFor(std::uint64_t worker) {
  v1::Orders orders;
  Fill(coordinator_->OrdersFor(worker), &orders);
  return orders;
}

void Dispatcher::Compact() {
  if (entries_ < options_.compact_events || entry_bytes_ < 4 * snapshot_bytes_) return;
  const std::string snapshot = state_.Snapshot();
  const Status status = log_->Compact(snapshot);
  if (!status.ok()) {
    spdlog::error("the journal cannot be compacted: {}", status.ToString());
    return;
  }
  spdlog::info("journal: {} events replaced by a snapshot of {} bytes", entries_, snapshot.size());
  snapshot_bytes_ = snapshot.size();
  entries_ = entry_bytes_ = 0;
}

void Dispatcher::Tick() {
  Turn turn(this);
  if (turn.closed().ok()) {
    ledger::Tick tick;
    tick.now_ms = now_ms_;
    const Status status = Apply(ledger::Event(tick));
    if (!status.ok()) spdlog::error("tick: {}", status.ToString());
    RemoveGone();
    if (coordinator_->PresentWorkers(now_ms_) > 0) seen_ms_ = now_ms_;
    if (samples_.empty() || now_ms_ - samples_.back().at_ms >= 1000) {
      samples_.push_back({now_ms_, state_.ledger().step(),
                          static_cast<std::int64_t>(state_.ledger().main().account.done.size())});
      if (samples_.size() > 11) samples_.pop_front();
    }
    Compact();
  }
  turn.End([](const Status&) {});
}

void Dispatcher::Shutdown(bool finished) {
  std::vector<std::shared_ptr<Watcher>> watchers;
  std::vector<Done<v1::CheckpointReply>> calls;
  {
    std::lock_guard<std::mutex> lock(mu_);
    if (!closed_.ok() || coordinator_ == nullptr) return;
    if (finished) {
      Closed closed;
      closed.now_ms = now_ms_;
      Apply(closed).IgnoreError();  // nothing of it can be refused
    }
    closed_ = Status(Code::kUnavailable, "the master is ending");
    for (const auto& [worker, watcher] : watchers_) watchers.push_back(watcher);
    watchers_.clear();
    calls.swap(checkpoint_calls_);
  }
  const Status flushed = log_->Flush();
  if (!flushed.ok()) spdlog::error("journal: {}", flushed.ToString());
  for (const auto& watcher : watchers) watcher->End(closed_);
  for (const auto& call : calls) call(closed_, v1::CheckpointReply());
}

Dispatcher::Outlook Dispatcher::GetOutlook() {
  std::lock_guard<std::mutex> lock(mu_);
  Outlook outlook;
  outlook.journal = log_->failure();
  outlook.state = coordinator_->job_state();
  outlook.verdict = state_.ledger().verdict();
  outlook.failure = state_.ledger().failure();
  outlook.delivered = job_.model == ModelKind::kNone || state_.delivered();
  outlook.over = coordinator_->over(now_ms_);
  outlook.present = coordinator_->PresentWorkers(now_ms_);
  std::int64_t since_ms = now_ms_;
  outlook.waits_for = coordinator_->WaitsFor(now_ms_, &since_ms);
  outlook.waiting_ms = now_ms_ - since_ms;
  return outlook;
}

std::int64_t Dispatcher::leases() {
  std::lock_guard<std::mutex> lock(mu_);
  return static_cast<std::int64_t>(state_.ledger().leases().all().size());
}

Dispatcher::Late Dispatcher::late() {
  std::lock_guard<std::mutex> lock(mu_);
  return late_;
}

// --- calls
// -----------------------------------------------------------------------------------------

void Dispatcher::Join(const v1::JoinRequest& request, Done<v1::JoinReply> done) {
  Turn turn(this);
  v1::JoinReply reply;
  const Status status = turn.closed().ok() ? DoJoin(request, &reply) : turn.closed();
  turn.End(status, std::move(reply), std::move(done));
}

void Dispatcher::Exchange(const v1::ExchangeRequest& request, Done<v1::ExchangeReply> done) {
  Turn turn(this);
  v1::ExchangeReply reply;
  const Status status = turn.closed().ok() ? DoExchange(request, &reply) : turn.closed();
  turn.End(status, std::move(reply), std::move(done));
}

void Dispatcher::Attach(const v1::AttachRequest& request, Done<v1::AttachReply> done) {
  Turn turn(this);
  v1::AttachReply reply;
  const Status status = turn.closed().ok() ? DoAttach(request, &reply) : turn.closed();
  turn.End(status, std::move(reply), std::move(done));
}

void Dispatcher::Restored(const v1::RestoredRequest& request, Done<v1::RestoredReply> done) {
  Turn turn(this);
  v1::RestoredReply reply;
  const Status status = turn.closed().ok() ? DoRestored(request, &reply) : turn.closed();
  turn.End(status, std::move(reply), std::move(done));
}

void Dispatcher::Saved(const v1::SavedRequest& request, Done<v1::SavedReply> done) {
  Turn turn(this);
  const Status status = turn.closed().ok() ? DoSaved(request) : turn.closed();
  turn.End(status, v1::SavedReply(), std::move(done));
}

void Dispatcher::Leave(const v1::LeaveRequest& request, Done<v1::LeaveReply> done) {
  Turn turn(this);
  const Status status = turn.closed().ok() ? DoLeave(request) : turn.closed();
  turn.End(status, v1::LeaveReply(), std::move(done));
}

void Dispatcher::Watch(std::uint64_t worker, std::shared_ptr<Watcher> watcher) {
  Turn turn(this);
  Status status = turn.closed();
  if (status.ok() && state_.Find(worker) == nullptr) status = Unknown(worker);
  if (!status.ok()) {
    return turn.End([status, watcher](const Status&) { watcher->End(status); });
  }
  watchers_.emplace(worker, watcher);
  unwatched_.erase(worker);
  changed_.insert(worker);
  turn.End([](const Status&) {});
}

void Dispatcher::Unwatch(std::uint64_t worker, const Watcher* watcher) {
  std::lock_guard<std::mutex> lock(mu_);
  for (auto [it, end] = watchers_.equal_range(worker); it != end; ++it) {
    if (it->second.get() != watcher) continue;
    watchers_.erase(it);
    if (watchers_.count(worker) == 0) unwatched_[worker] = options_.now_ms();
    return;
  }
}

std::size_t Dispatcher::watchers(std::uint64_t worker) const {
  std::lock_guard<std::mutex> lock(mu_);
  return watchers_.count(worker);
}

void Dispatcher::GetStatus(Done<v1::JobStatus> done) {
  Turn turn(this);
  v1::JobStatus status;
  FillStatus(&status);
  turn.End(Status(), std::move(status), std::move(done));
}

void Dispatcher::GetJob(Done<v1::Job> done) {
  Turn turn(this);
  v1::Job job;
  job.set_name(job_.name);
  job.set_type(Name(job_.type));
  job.set_model(ToProto(job_.model));
  job.set_trainer(job_.trainer);
  turn.End(Status(), std::move(job), std::move(done));
}

void Dispatcher::GetLedger(bool totals_only, Done<v1::Ledger> done) {
  Turn turn(this);
  v1::Ledger ledger;
  Fill(state_.ledger(), totals_only, &ledger);
  turn.End(Status(), std::move(ledger), std::move(done));
}

void Dispatcher::Checkpoint(Done<v1::CheckpointReply> done) {
  Turn turn(this);
  Status status = turn.closed();
  if (status.ok() && !job_.has_checkpoints()) {
    status = Status(Code::kFailedPrecondition,
                    job_.model == ModelKind::kNone
                        ? "the job has no model that could be saved (its 'model' is 'none')"
                        : "the job has no folder for checkpoints; give it 'checkpoint.directory'");
  }
  if (status.ok() && coordinator_->job_state() != JobState::kRunning) {
    status = Status(Code::kFailedPrecondition, "the job has ended");
  }
  if (!status.ok()) return turn.End(status, v1::CheckpointReply(), std::move(done));
  checkpoint_calls_.push_back(std::move(done));
  coordinator_->AskCheckpoint();
  turn.End([](const Status&) {});
}

void Dispatcher::Stop(const v1::StopRequest& request, Done<v1::StopReply> done) {
  Turn turn(this);
  Status status = turn.closed();
  if (status.ok()) {
    StopAsked stop;
    stop.reason = request.reason().empty() ? "stopped by request" : request.reason();
    stop.discard = request.discard();
    status = Apply(stop);
  }
  turn.End(status, v1::StopReply(), std::move(done));
}

}  // namespace headrace::master
