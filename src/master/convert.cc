#include "master/convert.h"

#include <string>

namespace headrace::master {
namespace {

ledger::Range ToLedger(const v1::Range& range) {
  return {range.begin(), range.end()};
}

template <class Repeated>
void Fill(const ledger::Ranges& ranges, Repeated* messages) {
  for (const ledger::Range& range : ranges) {
    v1::Range* message = messages->Add();
    message->set_begin(range.begin);
    message->set_end(range.end);
  }
}

v1::TaskType ToProto(ledger::TaskType type) {
  switch (type) {
    case ledger::TaskType::kTrain: return v1::TASK_TYPE_TRAIN;
    case ledger::TaskType::kEvaluate: return v1::TASK_TYPE_EVALUATE;
    case ledger::TaskType::kPredict: return v1::TASK_TYPE_PREDICT;
  }
  return v1::TASK_TYPE_UNSPECIFIED;
}

}  // namespace

Status ToLedger(const v1::Report& report, std::uint64_t worker, std::int64_t now_ms,
                ledger::Report* event) {
  const auto invalid = [&](const std::string& what) {
    return Status(Code::kInvalidArgument, "lease " + std::to_string(report.token()) + ": " + what +
                                              "; the worker is newer than the master, or wrong");
  };
  event->worker = worker;
  event->token = report.token();
  event->now_ms = now_ms;
  for (const v1::Acknowledged& message : report.acknowledged()) {
    ledger::Acknowledged what;
    what.range = ToLedger(message.range());
    what.op = message.op();
    switch (message.outcome()) {
      case v1::OUTCOME_TRAINED: what.outcome = ledger::Outcome::kTrained; break;
      case v1::OUTCOME_FILTERED: what.outcome = ledger::Outcome::kFiltered; break;
      case v1::OUTCOME_DROPPED: what.outcome = ledger::Outcome::kDropped; break;
      default: return invalid("no outcome " + std::to_string(message.outcome()));
    }
    event->acknowledged.push_back(std::move(what));
  }
  for (const v1::Range& range : report.returned()) event->returned.push_back(ToLedger(range));
  for (const v1::Range& range : report.repeated_ranges()) {
    event->repeated.push_back(ToLedger(range));
  }
  switch (report.end()) {
    case v1::LEASE_END_OPEN: event->end = ledger::End::kOpen; break;
    case v1::LEASE_END_FINISHED: event->end = ledger::End::kFinished; break;
    case v1::LEASE_END_RELEASED: event->end = ledger::End::kReleased; break;
    case v1::LEASE_END_FAILED: event->end = ledger::End::kFailed; break;
    default: return invalid("no end " + std::to_string(report.end()));
  }
  event->error = report.error();
  event->culprit = event->end == ledger::End::kFailed ? report.culprit() : -1;
  event->metrics.assign(report.metrics().begin(), report.metrics().end());
  return {};
}

void Fill(const ledger::Grant& grant, const ledger::JobSpec& spec, v1::Grant* message) {
  const auto& files = grant.round == 0 ? spec.files : spec.evaluation_files;
  message->set_token(grant.token);
  message->set_type(ToProto(grant.type));
  message->set_epoch(grant.epoch);
  message->set_round(grant.round);
  message->set_model_version(grant.model_version);
  message->set_path(files[static_cast<std::size_t>(grant.file)].path);
  message->set_file(grant.file);
  Fill(grant.ranges, message->mutable_ranges());
  message->set_lease_ms(grant.lease_ms);
  message->set_isolate(grant.isolate);
  message->set_backup(grant.backup);
}

void Fill(const Orders& orders, v1::Orders* message) {
  message->set_version(orders.version);
  message->set_incarnation(orders.incarnation);
  message->set_state(ToProto(orders.state));
  message->set_reason(orders.reason);
  message->set_hold(orders.hold);
  message->set_hold_reason(orders.hold_reason);
  if (orders.save) {
    v1::Save* save = message->mutable_save();
    save->set_hold(orders.save->hold);
    save->set_directory(orders.save->directory);
    save->set_position(orders.save->position);
    save->set_step(orders.save->step);
  }
  for (const std::uint64_t token : orders.recalled) message->add_recalled(token);
  for (const std::uint64_t worker : orders.fenced) message->add_fenced(worker);
  message->set_live(orders.live);
  message->set_deliver(orders.deliver);
  if (orders.evaluated) {
    v1::Evaluated* evaluated = message->mutable_evaluated();
    evaluated->set_round(orders.evaluated->round);
    evaluated->set_step(orders.evaluated->step);
    for (const double sum : orders.evaluated->sums) evaluated->add_sums(sum);
  }
}

void Fill(const Measured& measured, v1::JobStatus* message) {
  for (const NamedMetric& value : measured.values) {
    v1::Metric* metric = message->add_metrics();
    metric->set_round(measured.round);
    metric->set_step(measured.step);
    metric->set_name(value.name);
    metric->set_value(value.value);
  }
}

v1::Answer ToProto(ledger::Answer answer) {
  switch (answer) {
    case ledger::Answer::kNone: return v1::ANSWER_NONE;
    case ledger::Answer::kLeases: return v1::ANSWER_LEASES;
    case ledger::Answer::kFlush: return v1::ANSWER_FLUSH;
    case ledger::Answer::kWait: return v1::ANSWER_WAIT;
    case ledger::Answer::kDone: return v1::ANSWER_DONE;
    case ledger::Answer::kFailed: return v1::ANSWER_FAILED;
  }
  return v1::ANSWER_NONE;
}

v1::ModelKind ToProto(ModelKind kind) {
  switch (kind) {
    case ModelKind::kNone: return v1::MODEL_KIND_NONE;
    case ModelKind::kLocal: return v1::MODEL_KIND_LOCAL;
    case ModelKind::kShared: return v1::MODEL_KIND_SHARED;
  }
  return v1::MODEL_KIND_UNSPECIFIED;
}

v1::JobState ToProto(JobState state) {
  switch (state) {
    case JobState::kRunning: return v1::JOB_STATE_RUNNING;
    case JobState::kStopping: return v1::JOB_STATE_STOPPING;
    case JobState::kDone: return v1::JOB_STATE_DONE;
    case JobState::kFailed: return v1::JOB_STATE_FAILED;
  }
  return v1::JOB_STATE_UNSPECIFIED;
}

const char* VerdictText(ledger::Verdict verdict) {
  switch (verdict) {
    case ledger::Verdict::kRunning: return "running";
    case ledger::Verdict::kDone: return "done";
    case ledger::Verdict::kDoneWithQuarantined: return "done-with-quarantined";
    case ledger::Verdict::kFailed: return "failed";
  }
  return "?";
}

void Fill(const ledger::CoverageTotals& totals, v1::Totals* message) {
  message->set_records(totals.records);
  message->set_trained(totals.trained);
  message->set_filtered(totals.filtered);
  for (const auto& [op, records] : totals.dropped) (*message->mutable_dropped())[op] = records;
  message->set_quarantined(totals.quarantined);
  message->set_pending(totals.pending);
  message->set_possibly_repeated(totals.possibly_repeated);
  message->set_trained_before_rewind(totals.trained_before_rewind);
  message->set_quarantined_in_evaluation(totals.quarantined_in_evaluation);
}

void Fill(const ledger::Ledger& ledger, bool totals_only, v1::Ledger* message) {
  const ledger::JobSpec& spec = ledger.spec();
  Fill(ledger.Totals(), message->mutable_totals());
  message->set_verdict(VerdictText(ledger.verdict()));
  for (const ledger::QuarantineEntry& entry : ledger.quarantine()) {
    const auto& files = entry.evaluation ? spec.evaluation_files : spec.files;
    v1::Quarantined* one = message->add_quarantine();
    one->set_evaluation(entry.evaluation);
    one->set_epoch(entry.epoch);
    one->set_path(files[static_cast<std::size_t>(entry.file)].path);
    one->set_index(entry.index);
    one->set_error(entry.error);
    one->set_offset(-1);
  }
  if (totals_only) return;
  for (const ledger::FileCoverage& file : ledger.Coverage()) {
    v1::FileCoverage* one = message->add_files();
    one->set_epoch(file.epoch);
    one->set_path(spec.files[static_cast<std::size_t>(file.file)].path);
    one->set_records(file.records);
    one->set_trained(file.trained);
    one->set_filtered(file.filtered);
    for (const auto& [op, records] : file.dropped) (*one->mutable_dropped())[op] = records;
    one->set_quarantined(file.quarantined);
    one->set_pending(file.pending);
    Fill(file.possibly_repeated, one->mutable_possibly_repeated());
    Fill(file.trained_before_rewind, one->mutable_trained_before_rewind());
  }
}

}  // namespace headrace::master
