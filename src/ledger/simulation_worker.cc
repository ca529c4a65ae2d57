#include "ledger/simulation_worker.h"

#include <algorithm>
#include <utility>

namespace headrace::ledger {

SimulatedWorker::SimulatedWorker(SimulatedWorld* world, std::uint64_t number, double speed,
                                 double clock)
    : world_(world), number_(number), speed_(speed), clock_(clock) {}

void SimulatedWorker::Start() {
  Join();
  Do(1, [this] { Step(); });
  Do(1, [this] { RenewAll(); });
}

void SimulatedWorker::Do(std::int64_t delay, std::function<void()> what) {
  world_->After(std::max<std::int64_t>(static_cast<std::int64_t>(delay * clock_), 1),
                [this, what = std::move(what)]() mutable {
                  if (!alive_) return;
                  if (!paused()) return what();
                  world_->At(paused_until_, [this, what = std::move(what)] { Do(1, what); });
                });
}

void SimulatedWorker::Rpc(Event event, SimulatedWorld::Reply reply) {
  const std::uint64_t call = next_call_++;
  calls_[call] = {std::move(event), std::move(reply)};
  Transmit(call);
}

void SimulatedWorker::Transmit(std::uint64_t call) {
  const auto it = calls_.find(call);
  if (it == calls_.end()) return;
  world_->Send(it->second.event, [this, call](const Status& status, const Effects& effects) {
    Do(0, [this, call, status, effects] {
      const auto answered = calls_.find(call);
      if (answered == calls_.end()) return;
      const SimulatedWorld::Reply done = std::move(answered->second.reply);
      calls_.erase(answered);
      done(status, effects);
    });
  });
  Do(200, [this, call] { Transmit(call); });
}

void SimulatedWorker::Join() {
  Rpc(headrace::ledger::Join{number_, "worker", 0}, [this](const Status& status, const Effects&) {
    if (!status.ok()) world_->Violate("join: " + status.ToString());
    joined_ = true;
  });
}

bool SimulatedWorker::Quiet() const {
  if (!alive_ || paused()) return false;
  return std::all_of(held_.begin(), held_.end(), [](const auto& item) {
    return item.second.unsent.empty() && !item.second.reporting;
  });
}

void SimulatedWorker::Step() {
  if (joined_) {
    if (draining_) {
      buffer_.clear();
      for (auto& [token, held] : held_) held.buffered = 0;
    } else if (!world_->barrier()) {
      Read();
      TrainBatch();
    }
    std::vector<std::uint64_t> tokens;
    for (const auto& [token, held] : held_) tokens.push_back(token);
    for (const std::uint64_t token : tokens) ReportOn(token);
    if (draining_ && held_.empty() && calls_.empty()) {
      world_->Count("drained");
      alive_ = false;
      return;
    }
    if (!draining_) Ask();
  }
  Do(static_cast<std::int64_t>(world_->options().step_ms / speed_), [this] { Step(); });
}

void SimulatedWorker::Read() {
  const auto full = static_cast<std::size_t>(world_->options().buffer);
  for (auto& [token, held] : held_) {
    if (held.grant.type == TaskType::kEvaluate) {
      if (!held.unread.empty()) Evaluate(&held);
      continue;
    }
    while (!held.unread.empty() && held.error.empty() && buffer_.size() < full) {
      const std::int64_t index = held.unread.back();
      held.unread.pop_back();
      if (world_->options().truth.Of(false, held.grant.file, index) == Truth::Fate::kBad) {
        held.error = "bad record";
        if (world_->options().knows_culprit) held.culprit = index;
        Purge(token);
        break;
      }
      buffer_.emplace_back(token, index);
      ++held.buffered;
    }
  }
}

void SimulatedWorker::TrainBatch() {
  bool unread = false;
  for (const auto& [token, held] : held_) unread |= !held.unread.empty() && held.error.empty();
  const auto full = static_cast<std::size_t>(world_->options().buffer);
  // A shuffle gives nothing before its buffer is full, unless its input has ended.
  const bool isolated = held_.size() == 1 && held_.begin()->second.grant.isolate;
  if (!unread && buffer_.size() < full && !flushing_ && !isolated) return;
  for (int i = 0; i < world_->options().batch && !buffer_.empty(); ++i) {
    std::swap(
        buffer_[static_cast<std::size_t>(world_->Draw(static_cast<std::int64_t>(buffer_.size())))],
        buffer_.back());
    const auto [token, index] = buffer_.back();
    buffer_.pop_back();
    Held& held = held_.at(token);
    --held.buffered;
    Acknowledged what{{index, index + 1}, Outcome::kTrained, ""};
    const Truth::Fate fate = world_->options().truth.Of(false, held.grant.file, index);
    if (fate == Truth::Fate::kFiltered) what.outcome = Outcome::kFiltered;
    if (fate == Truth::Fate::kDropped) {
      what.outcome = Outcome::kDropped;
      what.op = kDropOp;
    }
    if (fate == Truth::Fate::kTrained &&
        !world_->Train(token, number_, held.grant.epoch, held.grant.file, index)) {
      world_->Count("fenced off");
      Forget(token);
      continue;
    }
    held.unsent.push_back(what);
  }
}

void SimulatedWorker::Evaluate(Held* held) {
  held->metrics = {0, 0};
  while (!held->unread.empty() && held->error.empty()) {
    const std::int64_t index = held->unread.back();
    held->unread.pop_back();
    const Truth& truth = world_->options().truth;
    if (truth.Of(held->grant.round != 0, held->grant.file, index) == Truth::Fate::kBad) {
      held->error = "bad record";
      if (world_->options().knows_culprit) held->culprit = index;
      held->unsent.clear();
      held->metrics.clear();
      return;
    }
    held->metrics[0] += 1;
    held->metrics[1] += truth.Value(held->grant.file, index);
    held->unsent.push_back({{index, index + 1}, Outcome::kTrained, ""});
  }
}

void SimulatedWorker::ReportOn(std::uint64_t token) {
  Held& held = held_.at(token);
  if (held.reporting) return;
  Report report;
  report.worker = number_;
  report.token = token;
  if ((!held.unread.empty() || held.buffered > 0) && world_->Chance(0.02)) {
    // A careless one: must be refused, unless it arrives when all of it is accounted for.
    Report careless = report;
    careless.end = End::kFinished;
    world_->Send(careless, [this](const Status& status, const Effects&) {
      world_->Count(status.ok() ? "late finishes" : "untrue finishes");
    });
  }
  report.acknowledged = std::move(held.unsent);
  held.unsent.clear();
  report.metrics = std::move(held.metrics);
  held.metrics.clear();
  report.returned = std::move(held.returned);
  held.returned.clear();
  if (!held.error.empty()) {
    report.end = End::kFailed;
    report.error = held.error;
    report.culprit = held.culprit;
  } else if (draining_) {
    report.end = End::kReleased;
  } else if (held.unread.empty() && held.buffered == 0) {
    report.end = End::kFinished;
  } else if (report.acknowledged.empty() && report.returned.empty()) {
    return;
  }
  held.reporting = true;
  const End end = report.end;
  Rpc(report, [this, token, end](const Status& status, const Effects&) {
    if (held_.count(token) == 0) return;
    if (status.code() == Code::kAborted) {
      world_->Count("refused reports");
    } else if (!status.ok()) {
      world_->Violate("report: " + status.ToString());
    } else if (end == End::kOpen) {
      held_.at(token).reporting = false;
      return;
    }
    Forget(token);
  });
}

void SimulatedWorker::Ask() {
  if (asking_ || world_->now() < ask_after_) return;
  std::size_t unread = 0;
  for (const auto& [token, held] : held_) unread += held.unread.size();
  if (unread > static_cast<std::size_t>(world_->options().batch)) return;
  if (flushing_ && !buffer_.empty()) return;
  flushing_ = false;
  asking_ = true;
  Request request;
  request.worker = number_;
  request.request = next_request_++;
  request.incarnation = incarnation_;
  request.max_tasks = 1 + world_->Draw(3);
  request.evaluation = true;
  Rpc(request, [this](const Status& status, const Effects& effects) {
    asking_ = false;
    if (status.code() == Code::kAborted) {
      world_->Count("told of a rewind");
      ForgetAll();
      ++incarnation_;  // as the real worker learns from the answer of a new join
    } else if (!status.ok()) {
      world_->Violate("request: " + status.ToString());
    } else {
      Take(effects);
    }
  });
}

void SimulatedWorker::Take(const Effects& effects) {
  for (const Grant& grant : effects.grants) {
    Held& held = held_[grant.token];
    held.grant = grant;
    for (const Range& range : grant.ranges) {
      for (std::int64_t i = range.begin; i < range.end; ++i) held.unread.push_back(i);
    }
    std::reverse(held.unread.begin(), held.unread.end());
    if (grant.backup) world_->Count("backups");
    if (grant.isolate) world_->Count("isolated");
    if (grant.isolate) flushing_ = true;
  }
  if (effects.answer == Answer::kFlush) {
    world_->Count("flush");
    flushing_ = true;
  }
  if (effects.answer != Answer::kLeases) ask_after_ = world_->now() + effects.retry_ms;
  if (effects.answer == Answer::kDone || effects.answer == Answer::kFailed) {
    ask_after_ = world_->now() + 1000;  // a rewind may still come
  }
}

void SimulatedWorker::RenewAll() {
  if (!held_.empty()) {
    Renew renew;
    renew.worker = number_;
    for (const auto& [token, held] : held_) renew.tokens.push_back(token);
    Rpc(renew, [this](const Status& status, const Effects& effects) {
      if (!status.ok()) world_->Violate("renew: " + status.ToString());
      for (const std::uint64_t token : effects.unknown) Forget(token);
      for (const Recall& recall : effects.recalls) {
        const auto it = held_.find(recall.token);
        if (it == held_.end() || it->second.unread.empty()) continue;
        world_->Count("handed back");
        Held& held = it->second;
        for (auto index = held.unread.rbegin(); index != held.unread.rend(); ++index) {
          if (held.returned.empty() || held.returned.back().end != *index) {
            held.returned.push_back({*index, *index});
          }
          held.returned.back().end = *index + 1;
        }
        held.unread.clear();
      }
    });
  }
  Do(world_->options().spec.lease_ms / 3, [this] { RenewAll(); });
}

void SimulatedWorker::Forget(std::uint64_t token) {
  held_.erase(token);
  Purge(token);
}

// What is given up must not be trained any more, from before the master is told.
void SimulatedWorker::Purge(std::uint64_t token) {
  buffer_.erase(std::remove_if(buffer_.begin(), buffer_.end(),
                               [&](const auto& item) { return item.first == token; }),
                buffer_.end());
}

void SimulatedWorker::ForgetAll() {
  held_.clear();
  buffer_.clear();
  flushing_ = false;
}

}  // namespace headrace::ledger
