#include "worker/convert.h"

namespace headrace::worker {

namespace message = feed::message;

namespace {

message::TaskKind ToFeed(v1::TaskType type) {
  switch (type) {
    case v1::TASK_TYPE_EVALUATE: return message::TaskKind::kEvaluate;
    case v1::TASK_TYPE_PREDICT: return message::TaskKind::kPredict;
    default: return message::TaskKind::kTrain;
  }
}

v1::LeaseEnd ToProto(message::End end) {
  switch (end) {
    case message::End::kFinished: return v1::LEASE_END_FINISHED;
    case message::End::kReleased: return v1::LEASE_END_RELEASED;
    case message::End::kFailed: return v1::LEASE_END_FAILED;
    case message::End::kOpen: break;
  }
  return v1::LEASE_END_OPEN;
}

void Add(const ledger::Ranges& ranges, v1::Outcome outcome, const std::string& op,
         v1::Report* report) {
  for (const ledger::Range& range : ranges) {
    v1::Acknowledged* acknowledged = report->add_acknowledged();
    acknowledged->mutable_range()->set_begin(range.begin);
    acknowledged->mutable_range()->set_end(range.end);
    acknowledged->set_outcome(outcome);
    acknowledged->set_op(op);
  }
}

void Add(const ledger::Ranges& ranges, google::protobuf::RepeatedPtrField<v1::Range>* to) {
  for (const ledger::Range& range : ranges) {
    v1::Range* added = to->Add();
    added->set_begin(range.begin);
    added->set_end(range.end);
  }
}

}  // namespace

feed::ModelKind ToFeed(v1::ModelKind model) {
  switch (model) {
    case v1::MODEL_KIND_LOCAL: return feed::ModelKind::kLocal;
    case v1::MODEL_KIND_SHARED: return feed::ModelKind::kShared;
    default: return feed::ModelKind::kNone;
  }
}

message::Lease ToFeed(const v1::Grant& grant) {
  message::Lease lease;
  lease.queue = grant.round() == 0 ? message::QueueName::kMain : message::QueueName::kEvaluation;
  lease.token = grant.token();
  lease.task = ToFeed(grant.type());
  lease.path = grant.path();
  lease.file = grant.file();
  for (const v1::Range& range : grant.ranges())
    lease.ranges.push_back({range.begin(), range.end()});
  lease.epoch = grant.epoch();
  lease.round = grant.round();
  lease.model_version = grant.model_version();
  lease.isolate = grant.isolate();
  return lease;
}

message::Orders ToFeed(const v1::Orders& orders) {
  message::Orders told;
  told.hold = orders.hold();
  told.reason = orders.hold_reason();
  if (orders.has_save()) {
    told.save = message::Save{orders.save().hold(), orders.save().directory(),
                              orders.save().position(), orders.save().step()};
  }
  if (orders.has_evaluated()) {
    told.evaluated =
        message::Evaluated{orders.evaluated().round(),
                           orders.evaluated().step(),
                           {orders.evaluated().sums().begin(), orders.evaluated().sums().end()}};
  }
  told.live = orders.live();
  return told;
}

std::string Key(const v1::Orders& orders) {
  return feed::Encode(feed::ToClient(ToFeed(orders)));
}

v1::Report ToProto(const message::Report& report) {
  v1::Report told;
  told.set_token(report.token);
  Add(report.trained, v1::OUTCOME_TRAINED, "", &told);
  Add(report.filtered, v1::OUTCOME_FILTERED, "", &told);
  for (const auto& [op, ranges] : report.dropped) Add(ranges, v1::OUTCOME_DROPPED, op, &told);
  Add(report.returned, told.mutable_returned());
  Add(report.repeated, told.mutable_repeated_ranges());
  told.set_end(ToProto(report.end));
  told.set_error(report.error);
  told.set_culprit(report.culprit);
  for (const double sum : report.metrics) told.add_metrics(sum);
  return told;
}

v1::Telemetry ToProto(const message::Telemetry& telemetry) {
  v1::Telemetry told;
  told.set_steps(telemetry.steps);
  told.set_records(telemetry.records);
  told.set_loss(telemetry.loss);
  for (const auto& [name, seconds] : telemetry.times) {
    v1::Telemetry::Time* time = told.add_times();
    time->set_name(name);
    time->set_busy_s(seconds.first);
    time->set_waited_s(seconds.second);
  }
  told.set_waits_for(telemetry.waits_for);
  told.set_waiting_ms(telemetry.waiting_ms);
  told.set_handed_out(telemetry.handed_out);
  return told;
}

}  // namespace headrace::worker
