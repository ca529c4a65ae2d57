#include "ledger/simulation_oracle.h"

#include <algorithm>
#include <cmath>

namespace headrace::ledger {
namespace {

constexpr char kTrained = 1, kFiltered = 2, kDropped = 3, kQuarantined = 4;

std::string Record(std::int64_t work, std::int64_t number) {
  return "record " + std::to_string(number) + " of work " + std::to_string(work);
}

std::uint64_t Hash(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  std::uint64_t x = a * 0x9e3779b97f4a7c15 + b * 0xbf58476d1ce4e5b9 + c * 0x94d049bb133111eb + 1;
  for (int i = 0; i < 3; ++i) x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9;
  return x ^ (x >> 32);
}

}  // namespace

Truth::Fate Truth::Of(bool evaluation, std::int64_t file, std::int64_t index) const {
  const std::uint64_t hash = Hash(seed + evaluation, file, index);
  if (static_cast<int>(hash % 1000) < bad_per_mille) return Fate::kBad;
  if (evaluation) return Fate::kTrained;
  const int percent = static_cast<int>(hash / 1000 % 100);
  if (percent < filtered_percent) return Fate::kFiltered;
  if (percent < filtered_percent + dropped_percent) return Fate::kDropped;
  return Fate::kTrained;
}

double Truth::Value(std::int64_t file, std::int64_t index) const {
  return static_cast<double>(Hash(seed, file, index) % 1000);
}

Oracle::Oracle(const JobSpec& spec, const Truth& truth)
    : spec_(spec),
      truth_(truth),
      line_(spec.files, spec.task_records, spec.epochs, false, 0),
      model_(line_.all().end) {
  states_[0].resize(line_.all().end);
  Save();
}

void Oracle::Save() {
  saved_model_ = model_;
  saved_states_ = states_[0];
}

void Oracle::Restore(bool saved) {
  if (saved) {
    model_ = saved_model_;
    states_[0] = saved_states_;
  } else {
    std::fill(model_.begin(), model_.end(), 0);
    std::fill(states_[0].begin(), states_[0].end(), 0);
  }
}

Oracle::States& Oracle::Of(std::int64_t work, const Ledger& ledger) {
  States& states = states_[work];
  states.resize(ledger.line(work).all().end);
  return states;
}

bool Oracle::AllDone(std::int64_t work, std::int64_t begin, std::int64_t end) const {
  const States& states = states_.at(work);
  return std::all_of(states.begin() + begin, states.begin() + end, [](char c) { return c != 0; });
}

std::string Oracle::Check(const Event& event, const Status& status, const Effects& effects,
                          const Ledger& ledger) {
  std::string wrong;
  if (!status.ok()) {
    if (effects.changed) return "a refused event changed something: " + status.ToString();
    return "";
  }
  if (const auto* report = std::get_if<Report>(&event)) {
    wrong = Follow(*report, status, effects);
  } else if (const auto* request = std::get_if<Request>(&event)) {
    wrong = Follow(*request, effects, ledger);
  } else if (const auto* renew = std::get_if<Renew>(&event)) {
    for (const std::uint64_t token : renew->tokens) {
      const auto it = held_.find(token);
      const auto& unknown = effects.unknown;
      if (it == held_.end() || it->second.worker != renew->worker) continue;
      if (std::find(unknown.begin(), unknown.end(), token) == unknown.end()) {
        it->second.deadline_ms = ledger.now_ms() + spec_.lease_ms;
      }
    }
  } else if (std::holds_alternative<Restart>(event)) {
    for (auto& [token, held] : held_) held.deadline_ms = ledger.now_ms() + spec_.lease_ms;
  } else if (std::holds_alternative<LoseModel>(event)) {
    wrong = CheckIncarnation(ledger);
  } else if (std::holds_alternative<RewindTo>(event)) {
    wrong = CheckIncarnation(ledger);
    // A round whose model version is gone begins anew.
    for (const auto& [number, round] : ledger.rounds()) {
      if (round.state == RoundState::kDue) states_.erase(number);
    }
  }
  if (wrong.empty()) wrong = CheckEnded(effects, ledger);
  if (const auto* gone = std::get_if<Disconnect>(&event)) {
    if (wrong.empty() && ledger.leases().HoldsAny(gone->worker)) {
      return "a worker that is gone holds a lease";
    }
  }
  if (const auto* tick = std::get_if<Tick>(&event)) {
    for (const auto& [token, held] : held_) {
      if (wrong.empty() && held.deadline_ms <= tick->now_ms) {
        return "lease " + std::to_string(token) + " is past its deadline";
      }
    }
  }
  if (wrong.empty()) wrong = CheckStates(0, ledger.main(), ledger);
  for (const auto& [number, round] : ledger.rounds()) {
    if (wrong.empty()) wrong = CheckStates(number, round.pool, ledger);
    if (wrong.empty() && round.state == RoundState::kDone) wrong = CheckRound(round, ledger);
  }
  const auto quarantined = static_cast<std::int64_t>(ledger.quarantine().size());
  const bool must_fail = quarantined > spec_.max_quarantined, failed = !ledger.failure().empty();
  const bool early = failed && !must_fail && (TooManyAreBad(false) || TooManyAreBad(true));
  if (wrong.empty() && failed != must_fail && !early) {
    wrong = std::to_string(quarantined) + " in quarantine, failure \"" + ledger.failure() + "\"";
  }
  return wrong;
}

// A job may fail before all its bad records are in quarantine, where nothing else was done.
bool Oracle::TooManyAreBad(bool evaluation) const {
  const std::vector<FileSpec>& files = evaluation ? spec_.evaluation_files : spec_.files;
  std::int64_t bad = 0;
  for (std::size_t file = 0; file < files.size(); ++file) {
    for (std::int64_t i = 0; i < files[file].records; ++i) {
      bad += truth_.Of(evaluation, static_cast<std::int64_t>(file), i) == Truth::Fate::kBad ? 1 : 0;
    }
  }
  return bad > spec_.max_quarantined;
}

std::string Oracle::Follow(const Report& report, const Status&, const Effects&) {
  const auto it = held_.find(report.token);
  if (it == held_.end()) return "";  // a repeated report: the states must not change
  Held& held = it->second;
  States& states = states_[held.work];
  for (const Acknowledged& what : report.acknowledged) {
    for (std::int64_t i = what.range.begin; i < what.range.end; ++i) {
      if (held.records.erase(held.base + i) == 0) continue;
      char& state = states[held.base + i];
      if (state == 0) state = static_cast<char>(kTrained + static_cast<char>(what.outcome));
    }
  }
  for (const Range& range : report.returned) {
    for (std::int64_t i = range.begin; i < range.end; ++i) held.records.erase(held.base + i);
  }
  if (report.end == End::kFinished) {
    for (const std::int64_t number : held.records) {
      if (states[number] == 0) return Record(held.work, number) + " was forgotten by a finish";
    }
  }
  return "";
}

std::string Oracle::Follow(const Request& request, const Effects& effects, const Ledger& ledger) {
  if (effects.answer == Answer::kDone) {
    // What is known to be bad from an epoch before may go to quarantine in this very call.
    States& states = Of(0, ledger);
    for (const auto& [begin, end] : ledger.main().account.quarantined.map()) {
      for (std::int64_t i = begin; i < end; ++i) {
        if (states[i] == 0) states[i] = kQuarantined;
      }
    }
    if (ledger.verdict() == Verdict::kRunning) return "told a worker DONE while the job goes on";
    if (!AllDone(0, 0, line_.all().end)) return "told a worker DONE before all was done";
    for (const auto& [number, round] : ledger.rounds()) {
      if (round.state != RoundState::kDone) return "told a worker DONE before an evaluation ended";
    }
  }
  if (effects.grants.empty()) return "";
  auto& before = answered_[{request.worker, request.request}];
  if (!before.empty()) {
    for (const Grant& grant : effects.grants) {
      if (std::find(before.begin(), before.end(), grant.token) == before.end()) {
        return "a repeated request got a new lease";
      }
    }
    return "";
  }
  for (const Grant& grant : effects.grants) {
    if (grant.token <= last_token_) return "token " + std::to_string(grant.token) + " came again";
    last_token_ = grant.token;
    before.push_back(grant.token);
    Held held;
    held.worker = request.worker;
    held.work = grant.round;
    held.deadline_ms = ledger.now_ms() + spec_.lease_ms;
    held.base = ledger.line(grant.round).File(grant.epoch, grant.file).begin;
    const States& states = Of(grant.round, ledger);
    for (const Range& range : grant.ranges) {
      for (std::int64_t i = held.base + range.begin; i < held.base + range.end; ++i) {
        if (states[i] != 0) return Record(grant.round, i) + " is leased, but it is done";
        held.records.insert(i);
      }
    }
    if (spec_.strict_epochs && grant.round == 0 && grant.epoch > 0 &&
        !AllDone(0, 0, line_.Epoch(grant.epoch).begin)) {
      return "an epoch began before the one before it was done";
    }
    held_[grant.token] = held;
  }
  return "";
}

std::string Oracle::CheckIncarnation(const Ledger& ledger) {
  if (ledger.incarnation() <= incarnation_) return "no new incarnation";
  incarnation_ = ledger.incarnation();
  return ledger.leases().all().empty() ? "" : "a lease outlived its incarnation";
}

std::string Oracle::CheckEnded(const Effects& effects, const Ledger& ledger) {
  for (const Ended& ended : effects.ended) {
    const auto it = held_.find(ended.token);
    if (it == held_.end()) return "a lease ended twice";
    if (ended.reason == EndReason::kExpired && it->second.deadline_ms > ledger.now_ms()) {
      return "lease " + std::to_string(ended.token) + " expired before its time";
    }
    held_.erase(it);
  }
  if (held_.size() != ledger.leases().all().size()) return "leases that nobody knows of";
  return "";
}

// Each record in one state, and the one that was said of it.
std::string Oracle::CheckStates(std::int64_t work, const Pool& pool, const Ledger& ledger) {
  const Line& line = ledger.line(work);
  States& states = Of(work, ledger);
  std::vector<int> places(states.size());
  const Account& account = pool.account;
  for (const auto& [begin, end] : account.quarantined.map()) {
    for (std::int64_t i = begin; i < end; ++i) {
      const Line::Place place = line.Locate(i);
      if (truth_.Of(work != 0, place.file, place.index) != Truth::Fate::kBad) {
        return Record(work, i) + " is in quarantine, but it is good";
      }
      if (states[i] == 0) states[i] = kQuarantined;
      if (states[i] != kQuarantined) return Record(work, i) + " was trained, then quarantined";
    }
  }
  for (const auto& [begin, end] : account.done.map()) {
    for (std::int64_t i = begin; i < end; ++i) ++places[i];
  }
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(states.size()); ++i) {
    if (places[i] == 0 && states[i] != 0) return Record(work, i) + ": its report was lost";
    if (places[i] != 0 && states[i] == 0) return Record(work, i) + " is done, but nobody said so";
  }
  for (const Range& range : pool.Waiting(line)) {
    for (std::int64_t i = range.begin; i < range.end; ++i) ++places[i];
  }
  for (const auto& [token, lease] : ledger.leases().all()) {
    if (lease.work != work) continue;
    // Of two siblings the later counts what the other does not hold.
    const Lease* sibling = lease.sibling < token ? ledger.leases().Find(lease.sibling) : nullptr;
    for (const Range& range : lease.remaining) {
      for (std::int64_t i = range.begin; i < range.end; ++i) {
        if (sibling == nullptr || !Covers(sibling->remaining, {i, i + 1})) ++places[i];
      }
    }
  }
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(states.size()); ++i) {
    if (places[i] != 1) return Record(work, i) + " is in " + std::to_string(places[i]) + " places";
  }
  return "";
}

std::string Oracle::CheckRound(const Round& round, const Ledger& ledger) const {
  double records = 0, sum = 0;
  for (std::int64_t i = 0; i < ledger.line(1).all().end; ++i) {
    if (round.pool.account.quarantined.Covers({i, i + 1})) continue;
    const Line::Place place = ledger.line(1).Locate(i);
    records += 1;
    sum += truth_.Value(place.file, place.index);
  }
  if (records == 0) return "";
  const std::vector<double>& metrics = round.pool.metrics;
  if (metrics.size() != 2 || metrics[0] != records || metrics[1] != sum) {
    return "the metrics of an evaluation are wrong";
  }
  return "";
}

std::string Oracle::CheckEnd(const Ledger& ledger) const {
  if (ledger.verdict() == Verdict::kRunning) return "the job did not end";
  if (ledger.verdict() == Verdict::kFailed) return "";
  const Account& account = ledger.main().account;
  CoverageTotals truth;
  for (std::int64_t i = 0; i < line_.all().end; ++i) {
    const Line::Place place = line_.Locate(i);
    const Range record{i, i + 1};
    const Truth::Fate fate = truth_.Of(false, place.file, place.index);
    const auto dropped = account.dropped.find(kDropOp);
    if ((fate == Truth::Fate::kFiltered) != account.filtered.Covers(record) ||
        (fate == Truth::Fate::kBad) != account.quarantined.Covers(record) ||
        (fate == Truth::Fate::kDropped) !=
            (dropped != account.dropped.end() && dropped->second.Covers(record))) {
      return Record(0, i) + " ended in the wrong state";
    }
    if (spec_.type != TaskType::kTrain) continue;
    const int expected = fate == Truth::Fate::kTrained ? 1 : 0;
    const bool named = expected == 1 && account.repeated.Covers(record);
    if (model_[i] != expected && !(named && model_[i] > expected)) {
      return Record(0, i) + " was applied " + std::to_string(model_[i]) + " times, unnamed";
    }
  }
  std::int64_t sum = 0;
  for (const FileCoverage& file : ledger.Coverage()) sum += file.trained;
  if (sum != ledger.Totals().trained) return "coverage by file and in total differ";
  const bool final_round =
      std::any_of(ledger.rounds().begin(), ledger.rounds().end(),
                  [&](auto& r) { return r.second.state == RoundState::kDone; });
  if (spec_.evaluation_at_end && !final_round) return "no evaluation at the end";
  return "";
}

}  // namespace headrace::ledger
