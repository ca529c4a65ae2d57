#include "master/state.h"

#include <algorithm>
#include <utility>

#include "ledger/codec.h"

namespace headrace::master {
namespace {

constexpr std::uint64_t kSnapshotVersion = 3;
constexpr std::size_t kRemembered = 64;  // expired leases a worker

}  // namespace

Status State::Apply(const Entry& entry, ledger::Effects* effects, bool* changed) {
  *effects = ledger::Effects();
  *changed = false;
  Status status = std::visit([&](const auto& e) { return On(e, effects, changed); }, entry);
  repeated_ |= effects->repeated;
  return status;
}

bool State::IsFenced(std::uint64_t worker) const {
  return std::find(fenced_.begin(), fenced_.end(), worker) != fenced_.end();
}

const Worker* State::Find(std::uint64_t worker) const {
  const auto it = workers_.find(worker);
  return it == workers_.end() ? nullptr : &it->second;
}

Status State::On(const ledger::Event& event, ledger::Effects* effects, bool* changed) {
  Status status = ledger_.Apply(event, effects);
  *changed = effects->changed;
  if (status.ok() && std::holds_alternative<ledger::CreateJob>(event)) {
    created_ms_ = ledger::TimeOf(event);
  }
  for (const ledger::Ended& ended : effects->ended) {
    const auto it = workers_.find(ended.worker);
    if (ended.reason == ledger::EndReason::kExpired && it != workers_.end()) {
      FenceOff(ended.worker);
      it->second.expired.push_back(ended.token);
      if (it->second.expired.size() > kRemembered)
        it->second.expired.erase(it->second.expired.begin());
    }
  }
  return status;
}

Status State::On(const Started& entry, ledger::Effects* effects, bool* changed) {
  ledger::Restart restart;
  restart.now_ms = entry.now_ms;
  Status status = ledger_.Apply(restart, effects);
  if (!status.ok()) return status;
  ++starts_;
  *changed = true;
  return {};
}

Status State::On(const Joined& entry, ledger::Effects* effects, bool* changed) {
  ledger::Join join;
  join.worker = entry.worker;
  join.name = entry.name;
  join.now_ms = entry.now_ms;
  Status status = ledger_.Apply(join, effects);
  if (!status.ok()) return status;
  Worker& worker = workers_[entry.worker];
  worker.number = entry.worker;
  worker.name = entry.name;
  worker.key = entry.key;
  worker.host = entry.host;
  worker.pid = entry.pid;
  worker.joined_ms = entry.now_ms;
  Slot& slot = slots_[entry.name];
  slot.last_worker = entry.worker;
  slot.host = entry.host;
  slot.pid = entry.pid;
  if (!slot.last_exit.empty()) {
    ++slot.restarts;
    slot.restart_ms = entry.now_ms - slot.left_ms;
  }
  if (entry.worker >= next_worker_) next_worker_ = entry.worker + 1;
  *changed = true;
  return {};
}

Status State::On(const Left& entry, ledger::Effects* effects, bool* changed) {
  const auto it = workers_.find(entry.worker);
  if (it == workers_.end()) {
    return {Code::kNotFound, "worker " + std::to_string(entry.worker) + " has left"};
  }
  ledger::Disconnect disconnect;
  disconnect.worker = entry.worker;
  disconnect.now_ms = entry.now_ms;
  Status status = ledger_.Apply(disconnect, effects);
  if (!status.ok()) return status;
  Slot& slot = slots_[it->second.name];
  slot.last_exit = entry.reason;
  slot.left_ms = entry.now_ms;
  const ledger::Verdict verdict = ledger_.verdict();
  const bool done =
      verdict == ledger::Verdict::kDone || verdict == ledger::Verdict::kDoneWithQuarantined;
  const bool delivers = last_generation_ == 0 || entry.worker == delivering_.worker;
  if (done && delivers && entry.reason.empty()) delivered_ = true;
  if (!entry.model.empty()) model_ = entry.model;
  if (entry.worker == restoring_.worker) restoring_ = RestoreOrdered();
  if (entry.worker == delivering_.worker) delivering_ = DeliverOrdered();
  workers_.erase(it);
  *changed = true;
  return {};
}

Status State::On(const Restored& entry, ledger::Effects* effects, bool* changed) {
  const auto it = workers_.find(entry.worker);
  if (it == workers_.end()) {
    return {Code::kNotFound, "worker " + std::to_string(entry.worker) + " is unknown; join first"};
  }
  if (last_generation_ != 0 && entry.worker != restoring_.worker) {
    return {Code::kAborted, "worker " + std::to_string(entry.worker) +
                                " was not told to restore the model, or another was since; attach"};
  }
  ledger::RewindTo rewind;
  rewind.now_ms = entry.now_ms;
  if (entry.position.empty()) {
    rewind.position.files = ledger::FilesFingerprint(ledger_.spec());
    rewind.position.step = entry.step;
  } else {
    Status status = ledger::Decode(entry.position, &rewind.position);
    if (!status.ok()) return status;
  }
  if (rewind.position.step != entry.step) {
    return {Code::kInvalidArgument,
            "the model is at step " + std::to_string(entry.step) + ", its position at step " +
                std::to_string(rewind.position.step) + "; restore both from one checkpoint"};
  }
  Status status = ledger_.Apply(rewind, effects);
  if (!status.ok()) return status;
  it->second.restored = FingerprintOf(entry);
  it->second.model_incarnation = ledger_.incarnation();
  it->second.expired.clear();
  restored_from_ = entry.checkpoint;
  restored_step_ = entry.step;
  if (!entry.checkpoint.empty() && checkpoint_.directory == entry.checkpoint) {
    checkpoint_.incarnation = ledger_.incarnation();
  }
  delivered_ = repeated_ = false;
  EndHold(holds_ + 1);
  // What a worker of an earlier model still does is refused by its generation.
  generation_ = restoring_.generation;
  restoring_ = RestoreOrdered();
  delivering_ = DeliverOrdered();
  fenced_.clear();
  *changed = true;
  return {};
}

Status State::On(const Saved& entry, ledger::Effects*, bool* changed) {
  checkpoint_ = {entry.directory, entry.step,  entry.hold,  ledger_.incarnation(),
                 entry.pause_ms,  entry.bytes, entry.now_ms};
  saving_ = SaveOrdered();
  *changed = true;
  return {};
}

Status State::On(const Measured& entry, ledger::Effects*, bool* changed) {
  *changed = measured_.emplace(entry.round, entry).second;
  return {};
}

Status State::On(const StopAsked& entry, ledger::Effects*, bool* changed) {
  if (!stop_.empty() && (stop_[0].discard || !entry.discard)) return {};
  stop_ = {entry};
  *changed = true;
  return {};
}

Status State::On(const Closed&, ledger::Effects*, bool* changed) {
  stop_.clear();
  *changed = true;
  return {};
}

Status State::On(const SaveOrdered& entry, ledger::Effects*, bool* changed) {
  saving_ = entry;
  *changed = true;
  return {};
}

Status State::On(const HoldEnded& entry, ledger::Effects*, bool* changed) {
  EndHold(entry.hold);
  *changed = true;
  return {};
}

Status State::On(const RestoreOrdered& entry, ledger::Effects*, bool* changed) {
  restoring_ = entry;
  last_generation_ = entry.generation;
  *changed = true;
  return {};
}

Status State::On(const Attached& entry, ledger::Effects*, bool* changed) {
  const auto it = workers_.find(entry.worker);
  if (it == workers_.end() || it->second.model_incarnation == ledger_.incarnation()) return {};
  it->second.model_incarnation = ledger_.incarnation();
  *changed = true;
  return {};
}

Status State::On(const ModelLost& entry, ledger::Effects* effects, bool* changed) {
  ledger::LoseModel lose;
  lose.now_ms = entry.now_ms;
  Status status = ledger_.Apply(lose, effects);
  if (!status.ok()) return status;
  generation_ = 0;
  delivering_ = DeliverOrdered();
  EndHold(holds_ + 1);
  *changed = true;
  return {};
}

Status State::On(const Fenced& entry, ledger::Effects*, bool* changed) {
  const std::size_t before = fenced_.size();
  FenceOff(entry.worker);
  *changed = fenced_.size() != before;
  return {};
}

Status State::On(const DeliverOrdered& entry, ledger::Effects*, bool* changed) {
  delivering_ = entry;
  *changed = true;
  return {};
}

// Only a model that is there can be spoiled.
void State::FenceOff(std::uint64_t worker) {
  if (generation_ != 0 && !IsFenced(worker)) fenced_.push_back(worker);
}

void State::EndHold(std::uint64_t hold) {
  holds_ = std::max(holds_, hold);
  saving_ = SaveOrdered();
}

std::uint64_t State::FingerprintOf(const Restored& entry) {
  ledger::Encoder encoder;
  encoder(entry.position, entry.step, entry.checkpoint);
  return ledger::Fingerprint(encoder.bytes());
}

std::string State::Snapshot() const {
  ledger::Encoder encoder;
  encoder(kSnapshotVersion, ledger_.Snapshot(), *this);
  return encoder.Take();
}

Status State::Restore(std::string_view bytes, State* state) {
  ledger::Decoder decoder("journal snapshot", bytes);
  std::uint64_t version = 0;
  decoder(version);
  if (decoder.ok() && version != kSnapshotVersion) {
    return {Code::kUnimplemented, "journal snapshot of version " + std::to_string(version) +
                                      ", this program reads version " +
                                      std::to_string(kSnapshotVersion) +
                                      "; use the headrace that wrote it, or a newer one"};
  }
  std::string ledger;
  State restored;
  decoder(ledger, restored);
  Status status = decoder.Finish();
  if (status.ok()) status = ledger::Ledger::Restore(ledger, &restored.ledger_);
  if (status.ok()) *state = std::move(restored);
  return status;
}

}  // namespace headrace::master
