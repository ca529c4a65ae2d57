// The state of the job, for people.
#include <algorithm>

#include "master/convert.h"
#include "master/dispatcher.h"
#include "master/run.h"

namespace headrace::master {

void Dispatcher::FillStatus(v1::JobStatus* status) const {
  const ledger::Ledger& ledger = state_.ledger();
  status->set_job(job_.name);
  status->set_type(Name(job_.type));
  status->set_own_program(job_.type == JobType::kTraining && job_.model == ModelKind::kNone);
  status->set_state(ToProto(coordinator_->job_state()));
  const bool stopped = coordinator_->job_state() == JobState::kStopping;
  status->set_verdict(stopped ? "stopped" : VerdictText(ledger.verdict()));
  status->set_failure(ledger.failure());
  status->set_trouble(trouble_);
  status->set_step(ledger.step());
  status->set_epoch(std::min(ledger.main().epoch(), job_.spec.epochs - 1));
  status->set_epochs(job_.spec.epochs);
  Fill(ledger.Totals(), status->mutable_totals());
  for (const auto& [name, slot] : state_.slots()) {
    v1::WorkerStatus* one = status->add_workers();
    one->set_name(name);
    one->set_worker(slot.last_worker);
    one->set_host(slot.host);
    one->set_pid(slot.pid);
    one->set_restarts(static_cast<int>(slot.restarts));
    one->set_restart_ms(slot.restart_ms);
    one->set_last_exit(slot.last_exit);
    if (const Worker* worker = state_.Find(slot.last_worker)) {
      FillWorker(*worker, one);
    } else {
      one->set_state("gone");
      const auto words = last_words_.find(name);
      if (words != last_words_.end()) *one->mutable_telemetry() = words->second;
      // It waits for nothing any more.
      one->mutable_telemetry()->clear_waits_for();
      one->mutable_telemetry()->clear_waiting_ms();
    }
  }
  std::int64_t since_ms = now_ms_;
  status->set_waits_for(coordinator_->WaitsFor(now_ms_, &since_ms));
  if (status->waits_for().empty() && coordinator_->job_state() == JobState::kRunning &&
      coordinator_->PresentWorkers(now_ms_) == 0) {
    status->set_waits_for("a worker to join");
    since_ms = seen_ms_;
  }
  status->set_waiting_ms(now_ms_ - since_ms);
  status->set_running_ms(now_ms_ - state_.created_ms());
  status->set_last_checkpoint(state_.checkpoint().directory);
  status->set_checkpoint_step(state_.checkpoint().step);
  status->set_checkpoint_pause_ms(state_.checkpoint().pause_ms);
  if (!state_.checkpoint().directory.empty()) {
    status->set_checkpoint_age_ms(now_ms_ - state_.checkpoint().at_ms);
  }
  for (const auto& [round, measured] : state_.measured()) Fill(measured, status);
  status->set_model(state_.model());
  status->set_journal(journal_path_);
  status->set_restarts(state_.starts() - 1);
  const std::vector<double>* sums = &ledger.main().metrics;
  for (const auto& [number, round] : ledger.rounds()) {
    if (round.state == ledger::RoundState::kDone) sums = &round.pool.metrics;
  }
  for (const double sum : *sums) status->add_evaluation_sums(sum);
  for (const Rewinds::Rewind& rewind : rewinds_.all()) {
    v1::Rewind* one = status->add_rewinds();
    one->set_step(rewind.step);
    one->set_pause_ms(rewind.pause_ms);
  }
  FillServers(status);
  FillRates(status);
}

void Dispatcher::FillWorker(const Worker& worker, v1::WorkerStatus* status) const {
  const auto words = words_.find(worker.number);
  v1::Answer answer = v1::ANSWER_NONE;
  if (words != words_.end()) {
    *status->mutable_telemetry() = words->second.telemetry;
    answer = words->second.answer;
  }
  const std::int64_t silent_ms = coordinator_->SilentFor(worker.number, now_ms_);
  const auto leases = state_.ledger().leases().HeldBy(worker.number);
  status->set_silent_ms(silent_ms);
  status->set_leases(static_cast<std::int64_t>(leases.size()));
  const v1::Telemetry& telemetry = status->telemetry();
  status->set_waits_for(telemetry.waits_for());
  status->set_waiting_ms(telemetry.waiting_ms());
  if (silent_ms > job_.spec.lease_ms) {
    status->set_state("gone");
    status->set_waits_for("nothing was heard of it");
    status->set_waiting_ms(silent_ms);
  } else if (coordinator_->Stands(worker.number)) {
    status->set_state("held");
  } else if (leases.empty() || coordinator_->AtBoundary(worker.number)) {
    status->set_state("waiting");
    if (status->waits_for().empty()) {
      const std::uint64_t deliverer = state_.delivering().worker;
      const bool idle = answer == v1::ANSWER_WAIT || answer == v1::ANSWER_FLUSH;
      if (coordinator_->AwaitsDelivery(worker.number) && deliverer != 0) {
        status->set_waits_for(state_.Find(deliverer)->name + " to write the model");
      } else {
        status->set_waits_for(idle ? "records that others hold" : "its model");
      }
    }
  } else {
    status->set_state("training");
  }
}

void Dispatcher::FillServers(v1::JobStatus* status) const {
  if (!options_.servers) return;
  for (const ServerLook& look : options_.servers()) {
    v1::ServerStatus* one = status->add_servers();
    one->set_address(look.address);
    one->set_why(look.why);
    // The master's own clock may stand a little behind.
    one->set_state_ms(std::max<std::int64_t>(now_ms_ - look.since_ms, 0));
    switch (look.state) {
      case ServerLook::State::kUnknown:
        one->set_state("unknown");
        one->set_state_ms(0);
        break;
      case ServerLook::State::kSilent: one->set_state("silent"); break;
      case ServerLook::State::kAnswers: one->set_state("answers"); break;
    }
    one->set_generation(state_.generation());
    if (state_.generation() != 0 || look.state != ServerLook::State::kAnswers) continue;
    const RestoreOrdered& restoring = state_.restoring();
    const std::int64_t since_ms = restoring.worker != 0 ? restoring.now_ms : lost_ms_;
    one->set_waits_for(restoring.worker != 0
                           ? state_.Find(restoring.worker)->name + " to restore the model"
                           : "a worker to restore the model");
    one->set_waiting_ms(std::max<std::int64_t>(now_ms_ - std::max(since_ms, look.since_ms), 0));
  }
}

void Dispatcher::FillRates(v1::JobStatus* status) const {
  if (samples_.size() < 2) return;
  const Sample& first = samples_.front();
  const Sample& last = samples_.back();
  const double seconds = static_cast<double>(last.at_ms - first.at_ms) / 1000;
  // A rewind goes back.
  const auto rate = [&](std::int64_t from, std::int64_t to) {
    return static_cast<double>(std::max<std::int64_t>(to - from, 0)) / seconds;
  };
  status->set_steps_per_s(rate(first.step, last.step));
  status->set_records_per_s(rate(first.records, last.records));
}

void Conclude(int exit_code, v1::JobStatus* message) {
  const bool over = exit_code == kExitDone || exit_code == kExitQuarantined ||
                    message->state() == v1::JOB_STATE_FAILED ||
                    message->state() == v1::JOB_STATE_STOPPING;
  if (!over) {
    message->set_verdict("interrupted");
    message->set_state(v1::JOB_STATE_STOPPING);
  }
  message->clear_steps_per_s();
  message->clear_records_per_s();
  message->clear_waits_for();
  message->clear_waiting_ms();
  message->clear_servers();
  for (v1::WorkerStatus& worker : *message->mutable_workers()) {
    worker.set_state("gone");
    worker.clear_waits_for();
    worker.clear_waiting_ms();
    worker.clear_leases();
    worker.mutable_telemetry()->clear_waits_for();
    worker.mutable_telemetry()->clear_waiting_ms();
  }
}

}  // namespace headrace::master
