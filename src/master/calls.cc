// What each call of a worker does; the lock is held.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "master/convert.h"
#include "master/dispatcher.h"

namespace headrace::master {
namespace {

constexpr std::int64_t kHeartbeatsPerLease = 3;
constexpr std::int64_t kMaxHeartbeatMs = 10000;
constexpr std::int64_t kWaitMs = 100;

}  // namespace

Status Dispatcher::Unknown(std::uint64_t worker) const {
  return {Code::kNotFound, "worker " + std::to_string(worker) + " is unknown; join again"};
}

Status Dispatcher::DoJoin(const v1::JoinRequest& request, v1::JoinReply* reply) {
  if (request.name().empty()) {
    return {Code::kInvalidArgument, "name: give the worker's slot a name"};
  }
  if (request.key() == 0) {
    return {Code::kInvalidArgument, "key: give each process a random number other than 0"};
  }
  const Worker* same = nullptr;
  std::vector<const Worker*> others;
  for (const auto& [number, worker] : state_.workers()) {
    if (worker.name != request.name()) {
      others.push_back(&worker);
    } else {
      same = &worker;
    }
  }
  std::uint64_t number = 0;
  if (same != nullptr && same->key == request.key()) {
    number = same->number;
  } else {
    if (job_.model == ModelKind::kLocal) {
      for (const Worker* other : others) {
        if (coordinator_->SilentFor(other->number, now_ms_) <= job_.spec.lease_ms) {
          return {Code::kFailedPrecondition,
                  "the model is local to " + other->name +
                      ", which is here; a job with a local model has one worker"};
        }
      }
      for (const Worker* other : std::vector<const Worker*>(others)) {
        Status status = Remove(other->number, "silent, and replaced by " + request.name(), "");
        if (!status.ok()) return status;
      }
    }
    if (same != nullptr) {
      Status status = RemoveMaybeAlive(same->number, "replaced by a new process");
      if (!status.ok()) return status;
    }
    Joined joined;
    joined.worker = number = state_.next_worker();
    joined.name = request.name();
    joined.key = request.key();
    joined.host = request.host();
    joined.pid = request.pid();
    joined.now_ms = now_ms_;
    Status status = Apply(joined);
    if (!status.ok()) return status;
    spdlog::info("{} joined as worker {} ({}, process {})", request.name(), number, request.host(),
                 request.pid());
  }
  coordinator_->Join(number, now_ms_);
  Settle();
  reply->set_worker(number);
  reply->set_incarnation(state_.ledger().incarnation());
  reply->set_lease_ms(job_.spec.lease_ms);
  reply->set_heartbeat_ms(
      std::clamp<std::int64_t>(job_.spec.lease_ms / kHeartbeatsPerLease, 1, kMaxHeartbeatMs));
  reply->set_model(ToProto(job_.model));
  reply->set_job(job_.trainer);
  reply->set_step_timeout_ms(job_.step_timeout_ms);
  *reply->mutable_orders() = OrdersFor(number);
  return {};
}

void Dispatcher::RemoveGone() {
  const std::map<std::uint64_t, std::int64_t> unwatched = unwatched_;
  for (const auto& [worker, since_ms] : unwatched) {
    const std::int64_t silent_ms = coordinator_->SilentFor(worker, now_ms_);
    if (std::min(now_ms_ - since_ms, silent_ms) < kGoneMs) continue;
    const Status status = RemoveMaybeAlive(worker, "its connection was lost");
    if (!status.ok()) spdlog::error("worker {}: {}", worker, status.ToString());
  }
}

Status Dispatcher::RemoveMaybeAlive(std::uint64_t worker, const std::string& reason) {
  if (job_.model == ModelKind::kShared) Apply(Fenced{worker}).IgnoreError();
  return Remove(worker, reason, "");
}

Status Dispatcher::Remove(std::uint64_t worker, const std::string& reason,
                          const std::string& model) {
  Left left;
  left.worker = worker;
  left.reason = reason;
  left.model = model;
  left.now_ms = now_ms_;
  const std::string name = state_.Find(worker)->name;
  Status status = Apply(left);
  if (!status.ok()) return status;
  spdlog::info("{} (worker {}) left: {}", name, worker, reason.empty() ? "done" : reason);
  coordinator_->Leave(worker);
  last_words_[name] = words_[worker].telemetry;
  words_.erase(worker);
  unwatched_.erase(worker);
  pace_.Forget(worker);
  auto [it, end] = watchers_.equal_range(worker);
  for (; it != end; it = watchers_.erase(it)) {
    finished_calls_.emplace_back(
        [watcher = it->second](const Status& durable) { watcher->End(durable); });
  }
  return {};
}

Status Dispatcher::DoLeave(const v1::LeaveRequest& request) {
  if (state_.Find(request.worker()) == nullptr) return {};  // it has left
  ApplyMetrics(request.metrics());
  if (request.has_telemetry()) words_[request.worker()].telemetry = request.telemetry();
  return Remove(request.worker(), request.reason(), request.model());
}

Status Dispatcher::DoExchange(const v1::ExchangeRequest& request, v1::ExchangeReply* reply) {
  const std::uint64_t number = request.worker();
  const Worker* worker = state_.Find(number);
  if (worker == nullptr) {
    late_.reports += request.reports_size();  // it was silent for so long that it was removed
    return Unknown(number);
  }
  const bool wants = request.max_tasks() > 0;
  if (wants && job_.model == ModelKind::kLocal && worker->restored == 0) {
    return {Code::kFailedPrecondition,
            "the job has a local model: say Restored before asking for tasks"};
  }
  if (wants && job_.model == ModelKind::kShared && worker->model_incarnation == 0) {
    return {Code::kFailedPrecondition,
            "the job has a shared model: say Attach before asking for tasks"};
  }
  if (request.has_telemetry()) {
    words_[number].telemetry = request.telemetry();
    const bool busy = state_.ledger().leases().HoldsAny(number);
    pace_.Told(number, request.telemetry().records(), busy, now_ms_);
  }
  coordinator_->Hear(number, {request.held(), request.at_boundary(), request.incarnation()},
                     now_ms_);
  ApplyReports(request, reply);
  ApplyRenewals(request, reply);
  ApplyMetrics(request.metrics());
  ledger::Progress progress;
  progress.step = request.step();
  progress.incarnation = request.incarnation();
  progress.now_ms = now_ms_;
  // Of a rewound model it says nothing.
  if (request.step() > 0) Apply(ledger::Event(progress)).IgnoreError();
  Settle();
  if (wants) {
    Status status = ApplyRequest(request, reply);
    if (!status.ok()) return status;
    words_[number].answer = reply->answer();
    Settle();
  }
  *reply->mutable_orders() = OrdersFor(number);
  return {};
}

void Dispatcher::ApplyReports(const v1::ExchangeRequest& request, v1::ExchangeReply* reply) {
  for (const v1::Report& message : request.reports()) {
    const ledger::Lease* lease = state_.ledger().leases().Find(message.token());
    const bool trained = lease != nullptr && lease->work == 0 && message.acknowledged_size() > 0;
    ledger::Report report;
    Status status = ToLedger(message, request.worker(), now_ms_, &report);
    if (status.ok()) status = Apply(ledger::Event(std::move(report)));
    if (status.ok()) {
      if (message.end() == v1::LEASE_END_FAILED) {
        trouble_ = state_.Find(request.worker())->name + ": " + message.error();
        spdlog::warn("a task failed, and is tried again: {}", trouble_);
      }
      if (trained) NoteTrained();
      continue;
    }
    if (status.code() == Code::kAborted) ++late_.reports;
    v1::ReportRefused* refused = reply->add_refused();
    refused->set_token(message.token());
    refused->set_code(static_cast<int>(status.code()));
    refused->set_message(status.message());
  }
  if (reply->refused_size() == 0) return;
  spdlog::warn("refuses {} reports of {} (worker {}), the first: {}", reply->refused_size(),
               state_.Find(request.worker())->name, request.worker(), reply->refused(0).message());
}

void Dispatcher::NoteTrained() {
  const std::optional<Rewinds::Rewind> rewind = rewinds_.Trained(now_ms_);
  if (!rewind) return;
  spdlog::warn("the model was lost, and went back to step {}: nothing was trained for {:.1f} s",
               rewind->step, static_cast<double>(rewind->pause_ms) / 1000);
}

void Dispatcher::ApplyRenewals(const v1::ExchangeRequest& request, v1::ExchangeReply* reply) {
  std::set<std::uint64_t> ended;
  if (request.renew_size() > 0) {
    ledger::Renew renew;
    renew.worker = request.worker();
    renew.tokens.assign(request.renew().begin(), request.renew().end());
    renew.now_ms = now_ms_;
    ledger::Effects effects;
    const Status status = Apply(ledger::Event(std::move(renew)), &effects);
    if (!status.ok()) spdlog::error("renew: {}", status.ToString());
    ended.insert(effects.unknown.begin(), effects.unknown.end());
  }
  // A process whose model is spoiled is told until it leaves.
  const Worker& worker = *state_.Find(request.worker());
  if (job_.model == ModelKind::kLocal) ended.insert(worker.expired.begin(), worker.expired.end());
  for (const std::uint64_t token : ended) reply->add_ended(token);
}

Status Dispatcher::ApplyRequest(const v1::ExchangeRequest& request, v1::ExchangeReply* reply) {
  // The orders say what to do instead.
  if (request.incarnation() != state_.ledger().incarnation()) return {};
  const Coordinator::Permission may = coordinator_->MayLease(request.worker());
  ledger::Request event;
  event.worker = request.worker();
  event.request = request.request();
  event.incarnation = request.incarnation();
  event.max_tasks = request.max_tasks();
  event.main = request.main() && may.main && !ShouldPass(request.worker());
  event.evaluation = request.evaluation() && may.evaluation;
  event.now_ms = now_ms_;
  ledger::Effects effects;
  Status status = Apply(ledger::Event(event), &effects);
  if (!status.ok()) return status;
  bool main = false;
  for (const ledger::Grant& grant : effects.grants) {
    Fill(grant, job_.spec, reply->add_grants());
    main |= grant.round == 0;
  }
  if (main) coordinator_->Leased(request.worker());
  reply->set_answer(ToProto(coordinator_->AnswerFor(effects.answer)));
  if (reply->answer() == v1::ANSWER_WAIT || reply->answer() == v1::ANSWER_FLUSH) {
    reply->set_retry_ms(effects.retry_ms > 0 ? effects.retry_ms : kWaitMs);
  }
  return {};
}

// Training only: other results are given twice in the tail, and the first one counts.
bool Dispatcher::ShouldPass(std::uint64_t worker) const {
  const ledger::Ledger& ledger = state_.ledger();
  if (ledger.spec().type != ledger::TaskType::kTrain) return false;
  Pace::Left left;
  left.records = ledger.line(0).all().size() - ledger.main().account.done.size();
  left.task = ledger.spec().task_records;
  left.held = [&ledger](std::uint64_t holder) {
    std::int64_t records = 0;
    for (const std::uint64_t token : ledger.leases().HeldBy(holder)) {
      const ledger::Lease& lease = *ledger.leases().Find(token);
      if (lease.work == 0) records += ledger::Size(lease.remaining);
    }
    return records;
  };
  return pace_.ShouldPass(worker, left);
}

void Dispatcher::ApplyMetrics(const google::protobuf::RepeatedPtrField<v1::Metric>& metrics) {
  std::map<std::int64_t, Measured> rounds;
  for (const v1::Metric& metric : metrics) {
    Measured& measured = rounds[metric.round()];
    measured.round = metric.round();
    measured.step = metric.step();
    if (!metric.name().empty()) measured.values.push_back({metric.name(), metric.value()});
  }
  for (auto& [round, measured] : rounds) {
    Apply(std::move(measured)).IgnoreError();  // the first answer counts
  }
}

}  // namespace headrace::master
