#include "ledger/simulation.h"

#include <algorithm>
#include <utility>

#include "ledger/codec.h"
#include "ledger/simulation_worker.h"
#include "ledger/simulation_world.h"

namespace headrace::ledger {

SimulatedWorld::SimulatedWorld(const SimulationOptions& options)
    : options_(options), random_(options.seed), oracle_(options.spec, options.truth) {}

void SimulatedWorld::At(std::int64_t time, std::function<void()> what) {
  due_.push({std::max(time, now_), next_due_++, std::move(what)});
}

std::int64_t SimulatedWorld::Draw(std::int64_t below) {
  return static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(below));
}

bool SimulatedWorld::Chance(double probability) {
  return static_cast<double>(random_() >> 11) * 0x1p-53 < probability;
}

void SimulatedWorld::Violate(const std::string& what) {
  if (result_.violation.empty()) {
    result_.violation = "at " + std::to_string(now_) + " ms: " + what;
  }
}

void SimulatedWorld::Transmit(std::function<void()> what) {
  const bool faults = now_ < options_.fault_ms;
  if (faults && Chance(options_.drop)) return;
  const int copies = faults && Chance(options_.duplicate) ? 2 : 1;
  for (int i = 0; i < copies; ++i) After(Draw(options_.delay_ms + 1), what);
}

void SimulatedWorld::Send(const Event& event, Reply reply) {
  Transmit([this, event, reply = std::move(reply)] {
    Effects effects;
    const Status status = Apply(event, &effects);
    Transmit([reply, status, effects] { reply(status, effects); });
  });
}

bool SimulatedWorld::Train(std::uint64_t token, std::uint64_t worker, std::int64_t epoch,
                           std::int64_t file, std::int64_t index) {
  const Lease* lease = ledger_.leases().Find(token);
  if (lease == nullptr || lease->worker != worker) return false;
  oracle_.Apply(ledger_.line(0).File(epoch, file).begin + index);
  if (++step_ % 8 == 0) {
    Progress progress;
    progress.step = step_;
    progress.incarnation = ledger_.incarnation();
    Effects effects;
    const Status status = Apply(progress, &effects);
    if (!status.ok()) Violate("progress: " + status.ToString());
  }
  return true;
}

Status SimulatedWorld::Apply(Event event, Effects* effects) {
  std::visit([this](auto& e) { e.now_ms = now_; }, event);
  const Status status = ledger_.Apply(event, effects);
  ++result_.events;
  const std::string bytes = Encode(event);
  if (effects->changed) journal_.push_back(bytes);
  Encoder log;
  log(result_.log_hash, bytes, static_cast<std::int64_t>(status.code()), effects->answer,
      static_cast<std::uint64_t>(effects->ended.size()));
  result_.log_hash = Fingerprint(log.bytes());
  const std::string wrong = oracle_.Check(event, status, *effects, ledger_);
  if (!wrong.empty()) Violate(std::string(KindName(event)) + ": " + wrong);
  for (const Ended& ended : effects->ended) Count(Name(ended.reason));
  for (const std::int64_t round : effects->evaluations_due) {
    After(30, [this, round] {
      Effects pinned;
      PinEvaluation pin;
      pin.round = round;
      pin.model_version = step_;
      if (!Apply(pin, &pinned).ok()) Violate("an evaluation round cannot be pinned");
    });
  }
  return status;
}

void SimulatedWorld::AddWorker() {
  const std::uint64_t number = next_worker_++;
  const double speed = Chance(options_.stragglers) ? 0.1 : 1.0;
  const double clock = 1 + options_.skew * (static_cast<double>(Draw(2001)) / 1000 - 1);
  auto& worker = workers_[number];
  worker = std::make_unique<SimulatedWorker>(this, number, speed, clock);
  worker->Start();
}

SimulatedWorker* SimulatedWorld::AnyWorker() {
  std::vector<SimulatedWorker*> working;
  for (auto& [number, worker] : workers_) {
    if (worker->working()) working.push_back(worker.get());
  }
  if (working.empty()) return nullptr;
  return working[static_cast<std::size_t>(Draw(static_cast<std::int64_t>(working.size())))];
}

void SimulatedWorld::Kill() {
  SimulatedWorker* worker = AnyWorker();
  if (worker == nullptr) return;
  Count("kills");
  worker->Kill();
  Disconnect gone;
  gone.worker = worker->number();
  // Its host says so, or nobody does.
  if (Chance(0.6)) {
    After(Draw(50), [this, gone] {
      Effects effects;
      if (!Apply(gone, &effects).ok()) Violate("disconnect refused");
    });
  }
  After(Draw(2000), [this] { AddWorker(); });
}

void SimulatedWorld::Every(double per_minute, std::function<void()> what) {
  if (per_minute <= 0) return;
  After(1 + Draw(static_cast<std::int64_t>(120000 / per_minute)), [this, per_minute, what] {
    if (now_ >= options_.fault_ms) return;
    what();
    Every(per_minute, what);
  });
}

void SimulatedWorld::CheckReplay() {
  Ledger replayed, restored;
  const std::size_t half = journal_.size() / 2;
  for (std::size_t i = 0; i < journal_.size(); ++i) {
    Event event;
    Effects effects;
    Status status = Decode(journal_[i], &event);
    if (status.ok()) status = replayed.Apply(event, &effects);
    if (!status.ok()) return Violate("replay: " + status.ToString());
    if (i == half) {
      status = Ledger::Restore(replayed.Snapshot(), &restored);
      if (!status.ok()) return Violate("snapshot: " + status.ToString());
    } else if (i > half && !restored.Apply(event, &effects).ok()) {
      return Violate("replay after a snapshot is refused");
    }
  }
  if (replayed.Digest() != ledger_.Digest()) Violate("replay differs from live");
  if (restored.Digest() != ledger_.Digest()) Violate("replay from a snapshot differs from live");
}

void SimulatedWorld::RestartMaster() {
  Count("master restarts");
  CheckReplay();
  Ledger replayed;
  for (const std::string& bytes : journal_) {
    Event event;
    Effects effects;
    if (Decode(bytes, &event).ok()) replayed.Apply(event, &effects).IgnoreError();
  }
  ledger_ = std::move(replayed);
  Effects effects;
  if (!Apply(Restart(), &effects).ok()) Violate("restart refused");
}

// A barrier: no worker trains until all that was trained is acknowledged, and no lease is in the
// hands of a worker that cannot say so.
void SimulatedWorld::TryCheckpoint() {
  barrier_ = true;
  bool quiet = true;
  for (const auto& [token, lease] : ledger_.leases().all()) {
    quiet &= workers_.at(lease.worker)->Quiet();
  }
  if (!quiet) return After(20, [this] { TryCheckpoint(); });
  Count("checkpoints");
  oracle_.Save();
  checkpoint_ = Encode(ledger_.TakePosition());
  barrier_ = false;
}

void SimulatedWorld::Rewind() {
  if (barrier_ || ledger_.verdict() == Verdict::kFailed) return;
  Count("rewinds");
  Effects effects;
  if (result_.counts["rewinds"] % 2 == 0) {
    Count("losses of the model");
    const Status lost = Apply(LoseModel(), &effects);
    if (!lost.ok()) Violate("lose model: " + lost.ToString());
  }
  RewindTo rewind;
  if (checkpoint_.empty()) {
    rewind.position.files = FilesFingerprint(options_.spec);
  } else if (!Decode(checkpoint_, &rewind.position).ok()) {
    return Violate("the checkpoint cannot be read");
  }
  oracle_.Restore(!checkpoint_.empty());
  step_ = rewind.position.step;
  const Status status = Apply(rewind, &effects);
  if (!status.ok()) Violate("rewind: " + status.ToString());
}

SimulationResult SimulatedWorld::Run() {
  CreateJob create;
  create.spec = options_.spec;
  Effects effects;
  const Status status = Apply(create, &effects);
  if (!status.ok()) Violate(status.ToString());
  for (int i = 0; i < options_.workers; ++i) AddWorker();
  Every(options_.kills, [this] { Kill(); });
  Every(options_.pauses, [this] {
    SimulatedWorker* worker = AnyWorker();
    if (worker != nullptr) worker->Pause(now_ + Draw(3 * options_.spec.lease_ms));
  });
  Every(options_.drains, [this] {
    SimulatedWorker* worker = AnyWorker();
    if (worker == nullptr) return;
    worker->Drain();
    After(Draw(2000), [this] { AddWorker(); });
  });
  Every(options_.master_restarts, [this] { RestartMaster(); });
  Every(options_.checkpoints, [this] {
    if (!barrier_) TryCheckpoint();
  });
  Every(options_.rewinds, [this] { Rewind(); });
  std::function<void()> tick = [this, &tick] {
    Effects ticked;
    if (!Apply(Tick(), &ticked).ok()) Violate("tick refused");
    After(100, tick);
  };
  tick();

  while (result_.violation.empty() && ledger_.verdict() == Verdict::kRunning &&
         now_ < options_.limit_ms) {
    now_ = due_.top().time;
    const std::function<void()> what = due_.top().what;
    due_.pop();
    what();
  }
  if (result_.violation.empty()) {
    const std::string wrong = oracle_.CheckEnd(ledger_);
    if (!wrong.empty()) Violate("end: " + wrong);
    CheckReplay();
  }
  result_.verdict = ledger_.verdict();
  return result_;
}

SimulationResult Simulate(const SimulationOptions& options) {
  return SimulatedWorld(options).Run();
}

}  // namespace headrace::ledger
