// What a session asks of the master, and what follows from the answers.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "worker/convert.h"
#include "worker/session.h"

namespace headrace::worker {

namespace message = feed::message;

namespace {

constexpr std::int64_t kTelemetryMs = 1000;

}  // namespace

bool Session::MayAsk() const {
  if (!ready_ || draining_ || gone_ || finished_ || end_ != End::kNone) return false;
  if (bye_.has_value() || orders_.state() != v1::JOB_STATE_RUNNING) return false;
  // All stand still: only the evaluation goes on.
  return wants_[static_cast<std::size_t>(orders_.hold() == 0 ? QueueName::kMain
                                                             : QueueName::kEvaluation)] > 0;
}

std::optional<Call> Session::NextCall(std::int64_t now_ms, std::int64_t* look_again_ms) {
  *look_again_ms = exchanged_ms_ + heartbeat_ms_;
  if (left_ || (end_ == End::kUnknown && !gone_)) return std::nullopt;
  if (restored_.has_value() && !gone_) return Call(*restored_);
  const auto due = [&](std::int64_t at_ms) {
    if (now_ms >= at_ms) return true;
    *look_again_ms = std::min(*look_again_ms, at_ms);
    return false;
  };
  bool exchange = !reports_.empty() || !metrics_.empty();
  if (!exchange && !gone_ && !saved_.empty()) return Call(saved_.front());
  if (gone_ && !exchange) {
    v1::LeaveRequest leave;
    leave.set_worker(number_);
    leave.set_reason(bye_.has_value() ? bye_->error : gone_reason_);
    if (bye_.has_value()) leave.set_model(bye_->model);
    if (has_telemetry_) *leave.mutable_telemetry() = telemetry_;
    return Call(leave);
  }
  exchange |= held_news_ || (boundary_ != 0 && !boundary_asked_);
  exchange |= due(exchanged_ms_ + heartbeat_ms_);
  exchange |= !leases_.empty() && due(renewed_ms_ + renew_ms_);
  exchange |= telemetry_news_ && due(exchanged_ms_ + kTelemetryMs);
  exchange |= MayAsk() && due(ask_after_ms_);
  if (exchange) return Call(MakeExchange(now_ms));
  if (attach_.has_value() && !gone_ && due(attach_after_ms_)) return Call(*attach_);
  return std::nullopt;
}

v1::ExchangeRequest Session::MakeExchange(std::int64_t now_ms) {
  v1::ExchangeRequest request;
  request.set_worker(number_);
  request.set_incarnation(incarnation_);
  for (v1::Report& report : reports_) *request.add_reports() = std::move(report);
  reports_.clear();
  for (v1::Metric& metric : metrics_) *request.add_metrics() = std::move(metric);
  metrics_.clear();
  if (now_ms >= renewed_ms_ + renew_ms_) {
    for (const auto& [token, held] : leases_) {
      if (!held.ended) request.add_renew(token);
    }
    renewed_ms_ = now_ms;
  }
  // Before the model is restored nothing is known of its step.
  if (ready_) request.set_step(step_);
  if (MayAsk() && now_ms >= ask_after_ms_) {
    const bool main = orders_.hold() == 0;
    request.set_request(next_request_++);
    request.set_main(main);
    request.set_evaluation(!main);
    request.set_max_tasks(WantOf(main ? QueueName::kMain : QueueName::kEvaluation));
  }
  request.set_held(held_);
  held_news_ = false;
  if (boundary_ != 0) {
    request.set_at_boundary(true);
    boundary_asked_ = true;
  }
  if (has_telemetry_) *request.mutable_telemetry() = telemetry_;
  telemetry_news_ = false;
  exchanged_ms_ = now_ms;
  return request;
}

void Session::OnAnswer(const Call& call, const Status& status, const Reply& reply,
                       std::int64_t now_ms) {
  if (std::holds_alternative<v1::LeaveRequest>(call)) {
    left_ = true;
    if (!status.ok()) spdlog::warn("leaving: {}", status.ToString());
    return;
  }
  if (std::holds_alternative<v1::SavedRequest>(call)) {
    saved_.pop_front();
    if (status.ok()) {
      progress_ = true;
    } else {
      spdlog::warn("the checkpoint does not count: {}", status.ToString());
    }
    return;
  }
  if (std::holds_alternative<v1::RestoredRequest>(call)) {
    restored_.reset();
    return OnRestored(status, std::get<v1::RestoredReply>(reply));
  }
  if (!status.ok()) {
    EndWith(End::kUnknown, status.ToString());
    return;
  }
  if (std::holds_alternative<v1::AttachRequest>(call)) {
    return OnAttached(std::get<v1::AttachReply>(reply), now_ms);
  }
  OnExchange(std::get<v1::ExchangeRequest>(call), std::get<v1::ExchangeReply>(reply), now_ms);
}

void Session::OnAttached(const v1::AttachReply& reply, std::int64_t now_ms) {
  if (reply.answer() == v1::ATTACH_WAIT) {
    attach_after_ms_ = now_ms + std::max<std::int64_t>(reply.retry_ms(), 1);
    OnOrders(reply.orders());
    return;
  }
  const bool wanted = attach_.has_value();  // a drain withdraws it
  attach_.reset();
  switch (reply.answer()) {
    case v1::ATTACH_READY: Begin(reply.incarnation(), reply.orders()); break;
    case v1::ATTACH_LOOK:
      if (wanted) Say(message::Look{reply.generation()});
      break;
    case v1::ATTACH_RESTORE:
      if (wanted) Say(message::Restore{reply.generation()});
      restoring_ = wanted;
      break;
    default:
      Say(message::Error{"the master gave an answer to 'attach' that this agent is too old for"});
  }
  OnOrders(reply.orders());
}

void Session::OnRestored(const Status& status, const v1::RestoredReply& reply) {
  if (status.code() == Code::kAborted) {
    EndWith(End::kRewound, "what it restored came too late: " + status.message());
  } else if (!status.ok()) {
    Say(message::Error{"the master refuses the restored model: " + status.ToString()});
  } else {
    Begin(reply.incarnation(), reply.orders());
  }
}

// It has the model.
void Session::Begin(std::int64_t incarnation, const v1::Orders& orders) {
  incarnation_ = incarnation;
  ready_ = true;
  Say(message::Ready{incarnation_});
  OnOrders(orders);
  // The orders may be older than others that came meanwhile.
  TellFenced(orders_);
  CheckIncarnation();
}

void Session::OnExchange(const v1::ExchangeRequest& request, const v1::ExchangeReply& reply,
                         std::int64_t now_ms) {
  std::map<std::uint64_t, bool> refused;
  for (const v1::ReportRefused& report : reply.refused()) refused[report.token()] = true;
  for (const v1::Report& report : request.reports()) {
    if (refused.count(report.token()) != 0) continue;
    progress_ |= report.acknowledged_size() > 0;
    if (report.end() != v1::LEASE_END_OPEN) leases_.erase(report.token());
  }
  for (const v1::ReportRefused& report : reply.refused()) OnRefused(report);
  for (const std::uint64_t token : reply.ended()) Revoke(token, "it has expired");

  TellFenced(reply.orders());
  for (const v1::Grant& grant : reply.grants()) Take(grant);
  switch (reply.answer()) {
    case v1::ANSWER_FLUSH:
      if (request.main() && !std::exchange(flushed_, true)) Say(message::Flush{QueueName::kMain});
      [[fallthrough]];
    case v1::ANSWER_WAIT:
      ask_after_ms_ = now_ms + std::max<std::int64_t>(reply.retry_ms(), 1);
      break;
    // The orders follow, or came before.
    case v1::ANSWER_DONE:
    case v1::ANSWER_FAILED: ask_after_ms_ = now_ms + heartbeat_ms_; break;
    default: break;
  }
  const std::uint64_t boundary = request.at_boundary() && boundary_asked_ ? boundary_ : 0;
  OnOrders(reply.orders());
  if (boundary != 0) {
    boundary_ = 0;
    boundary_asked_ = false;
    TellOrders(boundary);
  }
}

void Session::OnRefused(const v1::ReportRefused& refused) {
  const auto held = leases_.find(refused.token());
  const std::string why = CodeName(static_cast<Code>(refused.code())) + ": " + refused.message();
  const auto code = static_cast<Code>(refused.code());
  if (held == leases_.end()) return;
  const bool of_the_past = code == Code::kAborted || code == Code::kPermissionDenied;
  if (!of_the_past || held->second.scored) {
    // It still stands: a result that others have made, or a report that makes no sense.
    v1::Report& report = reports_.emplace_back();
    report.set_token(refused.token());
    report.set_end(of_the_past ? v1::LEASE_END_RELEASED : v1::LEASE_END_FAILED);
    report.set_culprit(-1);
    if (!of_the_past) report.set_error("its report was refused: " + why);
  }
  Revoke(refused.token(), why);
}

void Session::Take(const v1::Grant& grant) {
  if (leases_.count(grant.token()) != 0) return;
  leases_[grant.token()].type = grant.type();
  leases_[grant.token()].isolated = grant.isolate();
  const message::Lease lease = ToFeed(grant);
  std::int64_t& want = WantOf(lease.queue);
  want = std::max<std::int64_t>(want - 1, 0);
  if (lease.queue == QueueName::kMain) flushed_ = false;
  Say(lease);
}

void Session::Revoke(std::uint64_t token, const std::string& reason) {
  if (leases_.erase(token) == 0) return;
  spdlog::warn("lease {} is no longer ours: {}", token, reason);
  Say(message::Revoked{token, reason});
}

void Session::OnOrders(const v1::Orders& orders) {
  if (orders.version() <= orders_.version()) return;
  orders_ = orders;
  TellFenced(orders);
  for (const std::uint64_t token : orders.recalled()) {
    const auto held = leases_.find(token);
    if (held == leases_.end() || std::exchange(held->second.recalled, true)) continue;
    Say(message::Recall{token});
  }
  // Before it may go on: the model is saved as it stands. Who has none uses what it has read.
  if (orders.state() == v1::JOB_STATE_STOPPING) {
    Drain(orders.reason(), model_ != v1::MODEL_KIND_NONE);
  }
  if (Key(orders) != told_) TellOrders(0);
  CheckIncarnation();
  switch (orders.state()) {
    case v1::JOB_STATE_DONE:
      if (std::exchange(finished_, true)) break;
      Say(message::Finish{QueueName::kMain, orders.deliver()});
      Say(message::Finish{QueueName::kEvaluation, orders.deliver()});
      break;
    case v1::JOB_STATE_FAILED:
      if (!std::exchange(failed_, true)) Say(message::Fail{orders.reason()});
      break;
    default: break;
  }
}

void Session::CheckIncarnation() {
  if (!ready_ || orders_.incarnation() == incarnation_) return;
  EndWith(End::kRewound, "the model was rewound: it is loaded again");
}

void Session::TellFenced(const v1::Orders& orders) {
  if (!ready_) return;
  message::Fence fence;
  for (const std::uint64_t worker : orders.fenced()) {
    if (worker == number_) {
      EndWith(End::kFenced, "it was silent for too long: its leases went to others");
    } else if (told_fenced_.insert(worker).second) {
      fence.workers.push_back(worker);
    }
  }
  if (!fence.workers.empty()) Say(std::move(fence));
}

void Session::TellOrders(std::uint64_t boundary) {
  told_ = Key(orders_);
  message::Orders orders = ToFeed(orders_);
  orders.boundary = boundary;
  Say(std::move(orders));
}

void Session::EndWith(End end, const std::string& reason) {
  if (end_ != End::kNone) return;
  end_ = end;
  end_reason_ = reason;
  if (end != End::kUnknown) return;
  reports_.clear();
  metrics_.clear();
}

}  // namespace headrace::worker
