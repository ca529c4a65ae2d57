// What a training process says, and what it is told.
#include "worker/session.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "worker/convert.h"

namespace headrace::worker {

namespace message = feed::message;

namespace {

// A process that runs is heard every second; that much later it counts as silent.
constexpr std::int64_t kSilenceMs = 3000;

}  // namespace

Session::Session(const v1::JoinReply& joined, std::string name, std::int64_t now_ms)
    : name_(std::move(name)),
      number_(joined.worker()),
      renew_ms_(std::max<std::int64_t>(joined.lease_ms() / 3, 1)),
      heartbeat_ms_(std::max<std::int64_t>(joined.heartbeat_ms() * 3 / 4, 1)),
      model_(joined.model()),
      job_(joined.job()),
      incarnation_(joined.incarnation()),
      ready_(joined.model() == v1::MODEL_KIND_NONE),
      heard_ms_(now_ms),
      restoring_(joined.model() == v1::MODEL_KIND_LOCAL),
      exchanged_ms_(now_ms),
      renewed_ms_(now_ms) {
  told_ = Key(orders_);
  OnOrders(joined.orders());
}

message::Welcome Session::welcome() const {
  message::Welcome welcome;
  welcome.worker = name_;
  welcome.number = number_;
  welcome.model = ToFeed(model_);
  welcome.job = job_.empty() ? "{}" : job_;
  return welcome;
}

Status Session::OnClient(const feed::ToAgent& from, std::int64_t now_ms) {
  const auto* telemetry = std::get_if<message::Telemetry>(&from);
  heard_ms_ = now_ms;
  away_ms_ = telemetry == nullptr ? 0 : telemetry->away_ms;
  if (telemetry != nullptr && !telemetry->last_call.empty()) last_call_ = telemetry->last_call;
  if (bye_.has_value()) return {Code::kInvalidArgument, "a message came after 'bye'"};
  return std::visit([this](const auto& said) { return On(said); }, from);
}

Status Session::On(const message::Hello&) {
  return {Code::kInvalidArgument, "'hello' came twice"};
}

Status Session::On(const message::Attach& attach) {
  if (model_ != v1::MODEL_KIND_SHARED) {
    return {Code::kInvalidArgument, "'attach', but the job's model is not on parameter servers"};
  }
  if (attach_.has_value() || ready_) {
    return {Code::kInvalidArgument, ready_ ? "'attach', but it has the model"
                                           : "'attach' came again before it was answered"};
  }
  attach_.emplace();
  attach_->set_worker(number_);
  attach_->set_generation(attach.generation);
  attach_->set_expected(attach.expected);
  attach_after_ms_ = 0;
  return {};
}

Status Session::On(const message::Restored& restored) {
  if (model_ == v1::MODEL_KIND_NONE) {
    return {Code::kInvalidArgument, "'restored', but the job has no model"};
  }
  restored_.emplace();
  restored_->set_worker(number_);
  restored_->set_position(restored.position);
  restored_->set_step(restored.step);
  restored_->set_checkpoint(restored.checkpoint);
  restored_->set_generation(restored.generation);
  step_ = restored.step;
  restoring_ = false;
  return {};
}

Status Session::On(const message::Want& want) {
  if (want.count < 0) return {Code::kInvalidArgument, "'want' of a negative count"};
  WantOf(want.queue) += want.count;
  return {};
}

Status Session::On(const message::Settled& settled) {
  step_ = settled.step;
  for (const message::Report& report : settled.reports) {
    const auto held = leases_.find(report.token);
    if (held == leases_.end()) continue;  // revoked meanwhile
    if (held->second.ended) {
      return {Code::kInvalidArgument,
              "a report of lease " + std::to_string(report.token) + ", which has ended"};
    }
    held->second.ended = report.end != message::End::kOpen;
    held->second.scored = !report.metrics.empty();
    reports_.push_back(ToProto(report));
  }
  return {};
}

Status Session::On(const message::Telemetry& telemetry) {
  telemetry_ = ToProto(telemetry);
  has_telemetry_ = telemetry_news_ = true;
  return {};
}

Status Session::On(const message::Boundary& boundary) {
  boundary_ = boundary.id;
  boundary_asked_ = false;
  step_ = boundary.step;
  if (draining_) TellOrders(std::exchange(boundary_, 0));
  return {};
}

Status Session::On(const message::Held& held) {
  held_ = held.hold;
  held_news_ = true;
  return {};
}

Status Session::On(const message::Saved& saved) {
  v1::SavedRequest request;
  request.set_worker(number_);
  request.set_hold(saved.hold);
  request.set_directory(saved.directory);
  request.set_error(saved.error);
  request.set_pause_ms(saved.pause_ms);
  request.set_bytes(saved.bytes);
  saved_.push_back(std::move(request));
  return {};
}

Status Session::On(const message::Metrics& metrics) {
  const auto add = [&](const std::string& name, double value) {
    v1::Metric& metric = metrics_.emplace_back();
    metric.set_round(metrics.round);
    metric.set_step(metrics.step);
    metric.set_name(name);
    metric.set_value(value);
  };
  for (const auto& [name, value] : metrics.values) add(name, value);
  if (metrics.values.empty()) add("", 0);  // answers the order all the same
  return {};
}

Status Session::On(const message::Bye& bye) {
  bye_ = bye;
  if (bye.error.empty()) bye_->error = EarlyEnd();
  return {};
}

Status Session::On(const message::Error& error) {
  return {Code::kAborted, "it closes the connection: " + error.message};
}

void Session::OnGone(const std::string& reason) {
  gone_ = true;
  gone_reason_ = reason;
}

void Session::Drain(const std::string& reason, bool discard) {
  // It has nothing to hand back, and may be writing its model: it leaves when that is done.
  if (finished_ && model_ != v1::MODEL_KIND_NONE) return;
  const bool known = draining_ && (discards_ || !discard);
  if (known) return;
  draining_ = true;
  discards_ = discard;
  attach_.reset();
  Say(message::Drain{reason, discard});
  if (boundary_ != 0) TellOrders(std::exchange(boundary_, 0));
}

std::vector<feed::ToClient> Session::TakeMessages() {
  return std::exchange(messages_, {});
}

bool Session::holds_isolated() const {
  return std::any_of(leases_.begin(), leases_.end(),
                     [](const auto& held) { return held.second.isolated && !held.second.ended; });
}

std::string Session::Overdue(std::int64_t now_ms, std::int64_t limit_ms) const {
  if (limit_ms <= 0 || bye_.has_value()) return "";
  // Of a process that is stopped as a whole nothing is heard.
  const std::int64_t silent_ms = now_ms - heard_ms_;
  const std::int64_t away_ms = away_ms_ + (silent_ms < kSilenceMs ? 0 : silent_ms);
  if (away_ms < limit_ms) return "";
  std::size_t held = 0;
  for (const auto& [token, lease] : leases_) held += lease.ended ? 0 : 1;
  std::string meanwhile;
  const auto add = [&](const std::string& what) {
    meanwhile += (meanwhile.empty() ? "" : " and ") + what;
  };
  if (held > 0) add("it held " + std::to_string(held) + (held == 1 ? " lease" : " leases"));
  if (ready_ && orders_.hold() != 0) add("all stood still for " + orders_.hold_reason());
  if (restoring_) add("it restored the model");
  const bool delivers = orders_.state() == v1::JOB_STATE_DONE && orders_.deliver();
  if (delivers && model_ != v1::MODEL_KIND_NONE) add("it wrote the final model");
  if (meanwhile.empty()) return "";
  return "no call for " + std::to_string(away_ms / 1000) + " s while " + meanwhile +
         " (the last: " + last_call_ + "; --step_timeout_s)";
}

// Of a program of one's own; headrace-trainer knows when to leave.
std::string Session::EarlyEnd() const {
  const bool may_leave = finished_ || draining_ || failed_ || end_ != End::kNone ||
                         orders_.state() != v1::JOB_STATE_RUNNING;
  if (model_ != v1::MODEL_KIND_NONE || may_leave) return "";
  std::string error = "the program ended before its dataset did";
  if (uncommitted()) {
    error += "; it was handed " + std::to_string(telemetry_.handed_out()) +
             " records and committed none: say headrace.data.commit(batch) when a batch is trained";
  }
  return error;
}

}  // namespace headrace::worker
