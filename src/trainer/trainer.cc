#include "trainer/trainer.h"

#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "absl/log/log.h"
#include "trainer/checkpoint.h"
#include "trainer/directory.h"
#include "trainer/prediction_file.h"
#include "trainer/serving_model.h"
#include "trainer/step_watch.h"

namespace headrace::trainer {
namespace {

using feed::Client;
using Mode = Program::Mode;
using std::chrono::milliseconds;

// Between tries to write the model: from 1 s, doubling, up to this. So a minute in all, to make
// room.
constexpr std::chrono::seconds kLongestPause{32};
constexpr milliseconds kLookAgain{50};  // meanwhile, whether it is to leave
constexpr auto kTellEvery = std::chrono::seconds(1);
// What an iterator read and never gave away was the rest of a batch: nothing else holds back for
// good.
constexpr char kHeldBack[] = "batch";

double Seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

Trainer::Trainer(const ExportedJob& job, const Settings& settings, Program* program,
                 SharedModel* shared, Client* client, Failpoint* failpoint)
    : job_(job),
      settings_(settings),
      program_(program),
      shared_(shared),
      client_(client),
      events_(settings.verb == Settings::Verb::kTrain ? settings.events : ""),
      failpoint_(failpoint) {}

Status Trainer::Run(std::string* output) {
  if (Status status = Restore(); !status.ok()) return status;
  if (settings_.verb != Settings::Verb::kTrain) return DoTasks();
  if (Status status = TrainAll(); !status.ok()) return status;
  if (client_->draining() || !client_->deliver()) return Status();
  return Deliver(output);
}

Status Trainer::Restore() {
  if (shared_ != nullptr && !shared_->is_restorer()) return Status();
  Checkpoint from;
  std::vector<Checkpoint> checkpoints;
  if (!settings_.checkpoints.empty()) {
    const Status status = ListCheckpoints(settings_.checkpoints, &checkpoints);
    if (!status.ok() && status.code() != Code::kNotFound) return status;
  }
  if (!checkpoints.empty()) {
    from = checkpoints.back();
  } else if (!settings_.restore.empty()) {
    if (Status status = ReadCheckpoint(settings_.restore, &from); !status.ok()) return status;
    from.position.clear();  // another job's
  }
  if (!from.directory.empty()) {
    LOG(INFO) << "Headrace: the model begins as in " << from.directory << ", step " << from.step;
  }
  last_step_ = from.step;
  if (shared_ != nullptr) {
    const std::string prefix = from.directory.empty() ? program_->exported_values() : from.prefix();
    const Status status = shared_->RestoreBy([&] { return program_->Restore(prefix); });
    if (!status.ok()) return status;
  } else if (!from.directory.empty()) {
    if (Status status = program_->Restore(from.prefix()); !status.ok()) return status;
  }
  if (client_->welcome().model == feed::ModelKind::kNone) return Status();
  const std::int64_t generation = shared_ == nullptr ? 0 : shared_->writer().generation;
  return client_->Restored(from.step, from.position, from.directory, generation);
}

// --- training ---------------------------------------------------------------------------------

Status Trainer::TrainAll() {
  if (shared_ != nullptr && shared_->synchronous()) {
    idle_ = std::make_unique<IdleWatch>([this] { return program_->batches(); },
                                        [this] { return shared_->TellIdle(); });
  }
  client_->Start();
  for (bool more = true; more;) {
    if (client_->attention()) {
      if (Status status = Obey(); !status.ok()) return status;
    }
    failpoint_->Pass("begin");
    if (Status status = program_->Begin(Mode::kTrain); !status.ok()) return status;
    if (Status status = Iterate(&more); !status.ok()) return status;
  }
  Tell("");
  if (counted_step_ > shown_step_) events_.Add(counted_step_, {{"loss", telemetry_.loss}});
  return events_.Flush();
}

Status Trainer::Iterate(bool* more) {
  Program::Trained trained;
  while (true) {
    if (client_->attention()) {
      if (Status status = Obey(); !status.ok()) return status;
    }
    if (client_->discards()) {
      *more = false;
      Status status = program_->End(Mode::kTrain);
      return status.ok() ? client_->IteratorDropped() : status;
    }
    failpoint_->Pass("read");
    if (failpoint_->IsAt("staged") && program_->FiguresOf(Mode::kTrain).ready > 0) {
      failpoint_->Pass("staged");
    }
    const auto begin = Clock::now();
    if (idle_ != nullptr) idle_->StepBegins();
    Status status;
    {
      const StepWatch watch(failpoint_, [this] { return program_->FiguresOf(Mode::kTrain).taken; });
      status = program_->Train(&trained);
    }
    if (idle_ != nullptr) idle_->StepEnds();
    stepping_ += Clock::now() - begin;
    if (!status.ok()) {
      // Nothing may be read any more when the client looks at what was read.
      if (Status ended = program_->End(Mode::kTrain); !ended.ok()) return ended;
      if (status.code() == Code::kOutOfRange) return client_->IteratorEnded(kHeldBack, more);
      if (program_->LostModel(status)) {
        return Status(Code::kAborted, "the model is loaded again: " + status.message());
      }
      if (!program_->FromData(status)) {
        LOG(WARNING)
            << "Headrace: a step failed in the model itself, and may have been applied in part";
      }
      *more = true;
      return client_->IteratorFailed(program_->Explain(status));
    }
    if (!trained.applied) continue;
    failpoint_->Pass("applied");
    if (Status applied =
            client_->Applied(trained.identities.data(), trained.identities.size(), trained.step);
        !applied.ok()) {
      return applied;
    }
    Count(trained);
    if (!IsBoundary(trained.step)) continue;
    if (Status stood = StandAtBoundary(trained.step); !stood.ok()) return stood;
  }
}

void Trainer::Count(const Program::Trained& trained) {
  ++telemetry_.steps;
  telemetry_.records += static_cast<std::int64_t>(trained.identities.size());
  telemetry_.loss = trained.loss;
  counted_step_ = trained.step;
  const auto now = Clock::now();
  if (now - told_ < kTellEvery) return;
  events_.Add(trained.step, {{"loss", trained.loss}});
  shown_step_ = trained.step;
  Tell("");
}

// Other trainers' steps may lie between two of this one.
bool Trainer::IsBoundary(std::int64_t step) {
  const std::int64_t last = last_step_ < 0 ? step - 1 : last_step_;
  last_step_ = step;
  const auto crossed = [&](std::int64_t every) { return every > 0 && step / every > last / every; };
  return crossed(settings_.evaluation_steps) ||
         (crossed(settings_.checkpoint_steps) && !settings_.checkpoints.empty());
}

Status Trainer::StandAtBoundary(std::int64_t step) {
  failpoint_->Pass("boundary");
  feed::Orders orders;
  std::uint64_t version = 0;
  if (Status status = client_->Boundary(step, &orders, &version); !status.ok()) return status;
  return orders.hold == 0 ? Status() : Obey();
}

Status Trainer::Obey() {
  std::uint64_t version = 0;
  feed::Orders orders = client_->current_orders(&version);
  while (true) {
    if (orders.hold != held_) {
      // Nobody waits for the gradients of who stands still.
      if (shared_ != nullptr) {
        if (Status status = shared_->TellIdle(); !status.ok()) return status;
      }
      if (Status status = client_->Held(orders.hold); !status.ok()) return status;
      held_ = orders.hold;
      failpoint_->Pass("held");
      Tell(orders.hold == 0 ? "" : orders.reason);
    }
    if (orders.save.has_value() && orders.save->hold != saved_) {
      if (Status status = Save(*orders.save); !status.ok()) return status;
    }
    if (orders.evaluated.has_value() && orders.evaluated->round != evaluated_) {
      if (Status status = ReportMetrics(*orders.evaluated); !status.ok()) return status;
    }
    if (orders.hold == 0) return Status();
    Client::Found found = Client::Found::kOrders;
    feed::Task task;
    if (Status status = client_->Next(Client::Queue::kEvaluation, version, &found, &task);
        !status.ok()) {
      return status;
    }
    if (found == Client::Found::kTask) {
      if (Status status = DoTask(task); !status.ok()) return status;
    }
    if (client_->draining()) return Status();
    orders = client_->current_orders(&version);
  }
}

Status Trainer::Save(const feed::SaveOrder& order) {
  const auto begin = Clock::now();
  std::int64_t bytes = 0;
  const Checkpoint checkpoint{order.directory, order.step, order.position};
  Status status = WriteCheckpoint(
      checkpoint,
      [&](const std::string& prefix) {
        Status saved = program_->Save(prefix);
        failpoint_->Pass("saving");
        return saved;
      },
      &bytes);
  failpoint_->Pass("saved");
  const auto pause = std::chrono::duration_cast<milliseconds>(Clock::now() - begin);
  saved_ = order.hold;
  if (status.ok()) {
    LOG(INFO) << "Headrace: checkpoint " << order.directory << ", " << bytes << " bytes, "
              << pause.count() << " ms";
    const Status pruned = PruneCheckpoints(settings_.checkpoints, settings_.keep_checkpoints);
    if (!pruned.ok()) LOG(WARNING) << "Headrace: " << pruned.ToString();
  } else {
    LOG(ERROR) << "Headrace: no checkpoint of step " << order.step << ": " << status.ToString();
  }
  return client_->Saved(order, status, pause, bytes);
}

Status Trainer::ReportMetrics(const feed::EvaluatedOrder& order) {
  std::map<std::string, double> values;
  if (Status status = program_->Metrics(order.sums, &values); !status.ok()) return status;
  evaluated_ = order.round;
  std::map<std::string, double> shown;
  for (const auto& [name, value] : values) shown["evaluation/" + name] = value;
  events_.Add(order.step, shown);
  return client_->Metrics(order, values);
}

// --- tasks ------------------------------------------------------------------------------------

Status Trainer::DoTasks() {
  if (settings_.verb == Settings::Verb::kPredict) {
    if (Status status = MakeDirectory(settings_.output + "/parts"); !status.ok()) return status;
  }
  while (true) {
    if (client_->attention()) {
      if (Status status = Obey(); !status.ok()) return status;
    }
    if (client_->draining()) return Status();
    std::uint64_t version = 0;
    client_->current_orders(&version);
    Client::Found found = Client::Found::kDone;
    feed::Task task;
    if (Status status = client_->Next(Client::Queue::kMain, version, &found, &task); !status.ok()) {
      return status;
    }
    if (found == Client::Found::kDone) return Status();
    if (found != Client::Found::kTask) continue;
    if (Status status = DoTask(task); !status.ok()) return status;
  }
}

Status Trainer::DoTask(const feed::Task& task) {
  if (task.kind == "evaluate") return Evaluate(task);
  if (task.kind == "predict") return Predict(task);
  return Status(Code::kInternal, "a task of the kind '" + task.kind + "', which this cannot do");
}

Status Trainer::Evaluate(const feed::Task& task) {
  std::vector<double> sums(job_.sums, 0.0);
  std::vector<std::int64_t> identities;
  if (Status status = program_->Begin(Mode::kEvaluate); !status.ok()) return status;
  while (true) {
    const Status status = program_->Evaluate(&sums, &identities);
    if (!status.ok()) {
      failpoint_->Pass("evaluated");
      return EndTask(task, Mode::kEvaluate, status, sums);
    }
    if (Status applied = client_->TaskApplied(identities.data(), identities.size());
        !applied.ok()) {
      return applied;
    }
  }
}

Status Trainer::Predict(const feed::Task& task) {
  PredictionPart part(settings_.predictions, task.path, job_.outputs);
  std::vector<tensorflow::Tensor> outputs;
  std::vector<std::int64_t> identities, records;
  if (Status status = program_->Begin(Mode::kPredict); !status.ok()) return status;
  Status status;
  while ((status = program_->Predict(&outputs, &identities)).ok()) {
    records.clear();
    for (const std::int64_t identity : identities) {
      records.push_back(identity < 0 ? -1 : Client::RecordOf(identity));
    }
    if (Status added = part.Add(outputs, records); !added.ok()) return added;
    if (Status applied = client_->TaskApplied(identities.data(), identities.size());
        !applied.ok()) {
      return applied;
    }
  }
  if (status.code() == Code::kOutOfRange && !task.ranges.empty()) {
    const std::string name = PartName(settings_.predictions, task.file, task.ranges.front().first,
                                      task.ranges.back().second);
    if (Status written = part.Write(settings_.output + "/parts/" + name); !written.ok()) {
      return written;
    }
  }
  return EndTask(task, Mode::kPredict, status, {});
}

Status Trainer::EndTask(const feed::Task& task, Mode mode, const Status& ended,
                        const std::vector<double>& sums) {
  if (Status status = program_->End(mode); !status.ok()) return status;
  if (ended.code() != Code::kOutOfRange) {
    return client_->TaskFailed(task, program_->Explain(ended));
  }
  return client_->TaskDone(task, kHeldBack, sums);
}

// --- the rest ---------------------------------------------------------------------------------

Status Trainer::Deliver(std::string* output) {
  if (settings_.output.empty()) return Status();
  for (std::chrono::seconds pause{1};; pause *= 2) {
    Status status = WriteModel();
    if (status.ok()) *output = settings_.output;
    if (status.ok() || pause > kLongestPause || program_->LostModel(status)) return status;
    LOG(WARNING) << "Headrace: the model cannot be written, which is tried again in "
                 << pause.count() << " s: " << status.message();
    Tell("its model to be written, which failed: " + status.message());
    const auto until = Clock::now() + pause;
    while (Clock::now() < until) {
      if (client_->draining()) return status;
      std::this_thread::sleep_for(kLookAgain);
    }
  }
}

Status Trainer::WriteModel() {
  // The trained variables first, beside the model that is made with them.
  const std::string variables = settings_.output + ".variables";
  std::int64_t bytes = 0;
  Status status = WriteDirectory(
      variables, [&](const std::string& temporary) { return program_->Save(temporary + "/v"); },
      &bytes);
  if (status.ok()) {
    status = WriteServingModel(job_.directory + "/serving", variables + "/v", settings_.output);
  }
  RemoveDirectory(variables);
  return status;
}

void Trainer::Tell(const std::string& waits_for) {
  told_ = Clock::now();
  telemetry_.waits_for = waits_for;
  const Program::StageFigures stage = program_->FiguresOf(Mode::kTrain);
  telemetry_.times["total"] = {Seconds(told_ - began_), 0.0};
  telemetry_.times["get_batch"] = {stage.read_s, stage.waited_s};
  telemetry_.times["input_fn"] = {stage.body_s, 0.0};
  telemetry_.times["compute_loss"] = {Seconds(stepping_) - stage.waited_s, 0.0};
  client_->Tell(telemetry_);
}

}  // namespace headrace::trainer
