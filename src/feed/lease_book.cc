#include "feed/lease_book.h"

#include <utility>

namespace headrace::feed {

using ledger::Range;
using ledger::Ranges;
using message::End;

Status LeaseBook::Add(const message::Lease& lease, std::vector<Piece>* pieces) {
  const std::string who = "lease " + std::to_string(lease.token);
  if (held_.count(lease.token) != 0) return {Code::kInvalidArgument, who + " is held already"};
  for (std::size_t i = 0; i < lease.ranges.size(); ++i) {
    const Range& range = lease.ranges[i];
    if (range.empty() || range.begin < (i == 0 ? 0 : lease.ranges[i - 1].end) ||
        range.end - 1 > Identity::kMaxIndex) {
      return {Code::kInvalidArgument, who + ": its ranges are out of order or bounds"};
    }
  }
  Held& held = held_[lease.token];
  held.lease = lease;
  held.unsettled.Add(lease.ranges);
  held.news = lease.ranges.empty();
  for (const Range& range : lease.ranges) {
    pieces->push_back({NewSlot(lease.token, range), range});
    held.slots.insert(pieces->back().slot);
  }
  return {};
}

std::int64_t LeaseBook::NewSlot(std::uint64_t token, Range records) {
  // Long before numbers come again, what was read under the old ones is gone.
  while (slots_.count(next_slot_) != 0) next_slot_ = (next_slot_ + 1) & Identity::kMaxSlot;
  const std::int64_t slot = next_slot_;
  next_slot_ = (next_slot_ + 1) & Identity::kMaxSlot;
  slots_[slot] = {token, records};
  return slot;
}

const message::Lease* LeaseBook::Find(std::uint64_t token) const {
  const auto held = held_.find(token);
  return held == held_.end() ? nullptr : &held->second.lease;
}

std::uint64_t LeaseBook::TokenOf(std::int64_t slot) const {
  const auto found = slots_.find(slot);
  return found == slots_.end() ? 0 : found->second.token;
}

std::vector<std::uint64_t> LeaseBook::tokens() const {
  std::vector<std::uint64_t> tokens;
  for (const auto& [token, held] : held_) tokens.push_back(token);
  return tokens;
}

const std::set<std::int64_t>& LeaseBook::SlotsOf(std::uint64_t token) const {
  static const auto* const none = new std::set<std::int64_t>;
  const auto held = held_.find(token);
  return held == held_.end() ? *none : held->second.slots;
}

Ranges LeaseBook::Unsettled(std::uint64_t token) const {
  const auto held = held_.find(token);
  return held == held_.end() ? Ranges() : held->second.unsettled.All();
}

Ranges LeaseBook::Unsettled(std::uint64_t token, std::int64_t slot) const {
  const auto held = held_.find(token);
  const auto found = slots_.find(slot);
  if (held == held_.end() || found == slots_.end()) return {};
  return held->second.unsettled.Slice(found->second.records);
}

// Calls book(held, range) for each run of records of a slot that is known.
template <class Book>
void LeaseBook::ForRuns(const std::vector<std::int64_t>& identities, Book book) {
  for (std::size_t i = 0; i < identities.size();) {
    const std::int64_t first = identities[i];
    std::size_t next = i + 1;
    // Two slots never touch: indexes end before the next slot's begin.
    while (next < identities.size() && identities[next] == identities[next - 1] + 1) ++next;
    const auto slot = slots_.find(Identity::Slot(first));
    if (slot != slots_.end()) {
      const Range range{Identity::Index(first), Identity::Index(identities[next - 1]) + 1};
      Held& held = held_.at(slot->second.token);
      held.unsettled.Remove(range);
      held.news = true;
      book(held, range);
    }
    i = next;
  }
}

void LeaseBook::Settle(const Settled& settled) {
  ForRuns(settled.trained, [](Held& held, Range range) { held.trained.Add(range); });
  for (const auto& [op, identities] : settled.dropped) {
    if (op.rfind("filter", 0) == 0) {
      ForRuns(identities, [](Held& held, Range range) { held.filtered.Add(range); });
    } else {
      ForRuns(identities, [&op = op](Held& held, Range range) { held.dropped[op].Add(range); });
    }
  }
}

void LeaseBook::GiveBack(std::int64_t slot, const Ranges& records) {
  const auto found = slots_.find(slot);
  if (found == slots_.end() || records.empty()) return;
  Held& held = held_.at(found->second.token);
  for (const Range& range : records) held.unsettled.Remove(range);
  held.returned.Add(records);
  held.news = true;
}

void LeaseBook::GiveBackAll(std::uint64_t token) {
  const auto held = held_.find(token);
  if (held == held_.end()) return;
  held->second.returned.Add(held->second.unsettled.All());
  held->second.unsettled = {};
  held->second.news = true;
}

std::vector<LeaseBook::Piece> LeaseBook::Reslot(std::uint64_t token,
                                                std::vector<std::int64_t>* closed) {
  std::vector<Piece> pieces;
  const auto held = held_.find(token);
  if (held == held_.end()) return pieces;
  for (const std::int64_t slot : held->second.slots) {
    slots_.erase(slot);
    closed->push_back(slot);
  }
  held->second.slots.clear();
  for (const Range& range : held->second.unsettled.All()) {
    pieces.push_back({NewSlot(token, range), range});
    held->second.slots.insert(pieces.back().slot);
  }
  return pieces;
}

std::vector<std::int64_t> LeaseBook::Fail(std::uint64_t token, const std::string& error,
                                          std::int64_t culprit) {
  std::vector<std::int64_t> closed;
  const auto held = held_.find(token);
  if (held == held_.end()) return closed;
  held->second.unsettled = {};
  Reslot(token, &closed);
  held->second.failed = true;
  held->second.error = error;
  held->second.culprit = culprit;
  held->second.news = true;
  return closed;
}

std::vector<std::int64_t> LeaseBook::Forget(std::uint64_t token) {
  const auto held = held_.find(token);
  if (held == held_.end()) return {};
  std::vector<std::int64_t> slots(held->second.slots.begin(), held->second.slots.end());
  for (const std::int64_t slot : slots) slots_.erase(slot);
  held_.erase(held);
  return slots;
}

LeaseBook::Told LeaseBook::Take() {
  Told told;
  for (auto held = held_.begin(); held != held_.end();) {
    const auto next = std::next(held);
    if (held->second.news) TakeOf(held, {}, &told);
    held = next;
  }
  return told;
}

LeaseBook::Told LeaseBook::Take(std::uint64_t token, const std::vector<double>& metrics) {
  Told told;
  const auto held = held_.find(token);
  if (held != held_.end()) TakeOf(held, metrics, &told);
  return told;
}

void LeaseBook::TakeOf(std::map<std::uint64_t, Held>::iterator entry,
                       const std::vector<double>& metrics, Told* told) {
  Held& held = entry->second;
  message::Report report;
  report.token = entry->first;
  report.trained = held.trained.All();
  report.filtered = held.filtered.All();
  for (const auto& [op, ranges] : held.dropped) report.dropped[op] = ranges.All();
  report.returned = held.returned.All();
  report.metrics = metrics;
  if (held.failed) {
    report.end = End::kFailed;
    report.error = held.error;
    report.culprit = held.culprit;
  } else if (held.unsettled.empty()) {
    report.end = End::kFinished;
  }
  told->reports.push_back(std::move(report));
  held.trained = held.filtered = held.returned = {};
  held.dropped.clear();
  held.news = false;
  if (told->reports.back().end == End::kOpen) return;
  const std::vector<std::int64_t> slots = Forget(entry->first);
  told->closed.insert(told->closed.end(), slots.begin(), slots.end());
}

}  // namespace headrace::feed
