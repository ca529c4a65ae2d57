// Asking for leases and keeping them.
#include <algorithm>

#include "ledger/ledger.h"
#include "ledger/mutation.h"

namespace headrace::ledger {
namespace {

constexpr std::int64_t kRetryMs = 100;

}  // namespace

Status Ledger::On(const Request& event, Effects* effects) {
  const auto it = workers_.find(event.worker);
  if (it == workers_.end()) {
    return {Code::kNotFound, "worker " + std::to_string(event.worker) + " is unknown; join first"};
  }
  Worker& worker = it->second;
  if (event.incarnation != incarnation_) {
    return {Code::kAborted, "the job was rewound: incarnation " + std::to_string(incarnation_) +
                                ", the request is of " + std::to_string(event.incarnation) +
                                "; take the restored model and ask again"};
  }
  if (event.max_tasks < 1) return {Code::kInvalidArgument, "max_tasks: ask for 1 task or more"};
  if (event.request != 0 && event.request < worker.last_request) {
    return {Code::kAborted, "request " + std::to_string(event.request) + " is older than " +
                                std::to_string(worker.last_request) + ", which was answered"};
  }
  if (!failure_.empty()) {
    effects->answer = Answer::kFailed;
    return {};
  }
  if (event.request != 0 && event.request == worker.last_request &&
      !Mutant(Mutation::kDuplicateRequestServedTwice)) {
    for (const std::uint64_t token : worker.last_tokens) {
      const Lease* lease = leases_.Find(token);
      if (lease != nullptr) effects->grants.push_back(GrantOf(*lease));
    }
    effects->answer = Answer::kLeases;
    return {};
  }

  if (event.evaluation) {
    for (const std::int64_t round : open_rounds_) {
      if (rounds_.at(round).state == RoundState::kOpen) LeaseFrom(round, event, effects);
      if (!effects->grants.empty()) break;
    }
  }
  if (effects->grants.empty() && event.main) LeaseFrom(0, event, effects);
  if (effects->grants.empty()) HelpStragglers(event, effects);
  if (!effects->grants.empty()) {
    effects->answer = Answer::kLeases;
    worker.last_request = event.request;
    worker.last_tokens.clear();
    for (const Grant& grant : effects->grants) worker.last_tokens.push_back(grant.token);
    return {};
  }
  effects->retry_ms = kRetryMs;
  if (Done()) {
    effects->answer = Answer::kDone;
  } else if (leases_.HoldsAny(event.worker) && !Mutant(Mutation::kNoFlush)) {
    effects->answer = Answer::kFlush;
  } else {
    effects->answer = Answer::kWait;
  }
  return {};
}

bool Ledger::Done() const {
  if (Mutant(Mutation::kDoneTooEarly)) return open_rounds_.empty();
  // The last record may have gone to quarantine in this very call.
  const bool final_round_due = spec_.evaluation_at_end && final_round_ == 0;
  return main_.Complete(line_) && open_rounds_.empty() && !final_round_due;
}

// What workers were lost with is leased to one that has nothing beside it: the next loss is then
// its own. It comes before all else: most workers always have something. Main work and evaluation
// are apart, since the one stands still for the other.
bool Ledger::MustEmpty(std::uint64_t worker, std::int64_t work) const {
  const Piece* due = PoolOf(work).Due(line(work), now_ms_, spec_.strict_epochs);
  const bool comes = due != nullptr && LostOften(due->losses);
  for (const std::uint64_t token : leases_.HeldBy(worker)) {
    const Lease& lease = *leases_.Find(token);
    if ((lease.work == 0) == (work == 0) && (comes || LostOften(lease.losses))) return true;
  }
  return false;
}

void Ledger::LeaseFrom(std::int64_t work, const Request& event, Effects* effects) {
  Pool& pool = PoolOf(work);
  const IntervalSet& bad = work == 0 ? bad_ : evaluation_bad_;
  if (MustEmpty(event.worker, work)) return;
  Piece piece;
  for (std::int64_t i = 0; i < event.max_tasks; ++i) {
    if (!pool.Take(line(work), bad, now_ms_, spec_.strict_epochs, /*suspects=*/i == 0, &piece,
                   &effects->changed)) {
      return;
    }
    effects->grants.push_back(GrantOf(*NewLease(event.worker, work, piece, effects)));
    if (piece.suspect) return;
  }
}

Lease* Ledger::NewLease(std::uint64_t worker, std::int64_t work, const Piece& piece,
                        Effects* effects) {
  Lease lease;
  lease.token = next_token_++;
  lease.worker = worker;
  lease.work = work;
  lease.range = piece.range;
  lease.remaining = {piece.range};
  lease.attempts = piece.attempts;
  lease.losses = piece.losses;
  lease.suspect = piece.suspect;
  lease.granted_ms = now_ms_;
  lease.deadline_ms = now_ms_ + spec_.lease_ms;
  effects->changed = true;
  return leases_.Insert(std::move(lease));
}

// The queue is empty. The oldest lease of another worker is doubled, or its worker is asked for
// what it has not read.
void Ledger::HelpStragglers(const Request& event, Effects* effects) {
  for (const auto& [token, held] : leases_.all()) {
    if (held.worker == event.worker || held.remaining.empty() || held.suspect) continue;
    if (now_ms_ - held.granted_ms < spec_.straggler_ms) continue;
    if (held.work == 0 ? !event.main : !event.evaluation) continue;
    if (TypeOf(held.work) == TaskType::kTrain && !spec_.train_backup) {
      if (held.recalled || Size(held.remaining) < 2) continue;
      leases_.Find(token)->recalled = true;
      effects->recalls.push_back({token, held.worker});
      effects->changed = true;
      return;
    }
    if (held.sibling != 0 || MustEmpty(event.worker, held.work)) continue;
    const Piece piece{held.range, held.attempts, held.losses, false};
    Lease* backup = NewLease(event.worker, held.work, piece, effects);
    Lease* original = leases_.Find(token);
    backup->remaining = original->remaining;
    backup->backup = true;
    backup->sibling = token;
    original->sibling = backup->token;
    effects->grants.push_back(GrantOf(*backup));
    return;
  }
}

Grant Ledger::GrantOf(const Lease& lease) const {
  const Line::Place place = line(lease.work).Locate(lease.range.begin);
  const std::int64_t base = lease.range.begin - place.index;
  Grant grant;
  grant.token = lease.token;
  grant.type = TypeOf(lease.work);
  grant.epoch = place.epoch;
  grant.round = lease.work;
  grant.model_version =
      lease.work == 0 ? spec_.model_version : rounds_.at(lease.work).model_version;
  grant.file = place.file;
  for (const Range& range : lease.remaining) {
    grant.ranges.push_back({range.begin - base, range.end - base});
  }
  grant.deadline_ms = lease.deadline_ms;
  grant.lease_ms = std::max<std::int64_t>(lease.deadline_ms - now_ms_, 0);
  grant.isolate = lease.suspect;
  grant.backup = lease.backup;
  return grant;
}

Status Ledger::On(const Renew& event, Effects* effects) {
  for (const std::uint64_t token : event.tokens) {
    Lease* lease = leases_.Find(token);
    if (lease == nullptr || lease->worker != event.worker) {
      effects->unknown.push_back(token);
      continue;
    }
    if (lease->recalled) effects->recalls.push_back({token, event.worker});
    leases_.SetDeadline(lease, now_ms_ + spec_.lease_ms);
    if (!Mutant(Mutation::kRenewalNotJournaled)) effects->changed = true;
  }
  return {};
}

}  // namespace headrace::ledger
