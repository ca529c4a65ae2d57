#include "feed/stream.h"

#include <utility>

namespace headrace::feed {

using ledger::Ranges;
using Piece = LeaseBook::Piece;

namespace {

std::set<std::int64_t> SetOf(const std::vector<std::int64_t>& list) {
  return {list.begin(), list.end()};
}

}  // namespace

Stream::Stream(std::shared_ptr<RangeQueue> queue, std::shared_ptr<Account> account)
    : queue_(std::move(queue)), account_(std::move(account)) {}

Status Stream::Give(const message::Lease& lease) {
  std::vector<Piece> pieces;
  Status status = book_.Add(lease, &pieces);
  if (!status.ok()) return status;
  if (draining_) {
    book_.GiveBackAll(lease.token);
    return {};
  }
  dry_ = false;
  if (lease.isolate) alone_.insert(lease.token);
  for (const Piece& piece : pieces) {
    status = account_->Open(piece.slot, piece.records.begin, piece.records.end);
    if (!status.ok()) return status;
  }
  Push(lease.token, pieces);
  return {};
}

void Stream::Push(std::uint64_t token, const std::vector<Piece>& pieces) {
  const message::Lease& lease = *book_.Find(token);
  const bool alone = alone_.count(token) != 0;
  if (alone) queue_->Flush();
  for (const Piece& piece : pieces) {
    queue_->Push({lease.path, piece.slot, piece.records.begin, piece.records.end, nullptr});
  }
  if (alone) queue_->Flush();
}

void Stream::Flush() {
  dry_ = true;
  queue_->Flush();
}

void Stream::Finish() {
  finished_ = true;
  queue_->Finish();
}

void Stream::HandBack(std::uint64_t token) {
  for (const std::int64_t slot : book_.SlotsOf(token)) {
    Ranges back;
    std::int64_t count = 0;
    for (const auto& [begin, end] : queue_->Drop(slot)) {
      back.push_back({begin, end});
      count += end - begin;
    }
    book_.GiveBack(slot, back);
    account_->GiveBack(slot, count);
  }
}

void Stream::Recall(std::uint64_t token) {
  HandBack(token);
}

bool Stream::Revoke(std::uint64_t token) {
  if (book_.Find(token) == nullptr) return false;
  CloseSlots(book_.Forget(token));
  alone_.erase(token);
  return true;
}

void Stream::CloseSlots(const std::vector<std::int64_t>& slots) {
  for (const std::int64_t slot : slots) {
    queue_->Drop(slot);
    account_->Close(slot);
  }
}

void Stream::Drain() {
  if (draining_) return;
  draining_ = true;
  for (const std::uint64_t token : book_.tokens()) HandBack(token);
  queue_->Clear();  // flushes: the end does the same
  Finish();
}

std::set<std::uint64_t> Stream::Begun(const std::set<std::int64_t>& unbegun_slots) const {
  std::set<std::uint64_t> begun;
  for (const std::uint64_t token : book_.tokens()) {
    for (const std::int64_t slot : book_.SlotsOf(token)) {
      if (unbegun_slots.count(slot) == 0 && !book_.Unsettled(token, slot).empty()) {
        begun.insert(token);
      }
    }
  }
  return begun;
}

Status Stream::Reslot(std::uint64_t token, std::vector<Piece>* pieces) {
  std::vector<std::int64_t> closed;
  *pieces = book_.Reslot(token, &closed);
  CloseSlots(closed);
  for (const Piece& piece : *pieces) {
    Status status = account_->Open(piece.slot, piece.records.begin, piece.records.end);
    if (!status.ok()) return status;
  }
  return {};
}

Status Stream::Rebuild(const std::set<std::uint64_t>& again) {
  std::map<std::uint64_t, std::vector<Piece>> pieces;  // in the order of tokens, the oldest first
  for (const std::uint64_t token : again) {
    Status status = Reslot(token, &pieces[token]);
    if (!status.ok()) return status;
    if (draining_) book_.GiveBackAll(token);
  }
  if (draining_) return {};
  std::vector<std::uint64_t> order(again.begin(), again.end());
  for (const Range& range : queue_->Clear()) {
    const std::uint64_t token = book_.TokenOf(range.slot);
    pieces[token].push_back({range.slot, {range.begin, range.end}});
    if (pieces[token].size() == 1) order.push_back(token);
  }
  for (const std::uint64_t token : order) Push(token, pieces[token]);
  if (dry_) queue_->Flush();
  return {};
}

Status Stream::Ended(const std::string& op, bool* more) {
  account_->End(op);
  Settle();
  blameless_ = 0;
  // An iterator may end before the ranges that it has begun. What it delivered is not left: steps
  // have it.
  std::set<std::uint64_t> left;
  for (const std::uint64_t token : Begun(SetOf(queue_->unbegun()))) {
    for (const std::int64_t slot : book_.SlotsOf(token)) {
      if (account_->Unread(slot) > 0) left.insert(token);
    }
  }
  Status status = left.empty() ? Status() : Rebuild(left);
  *more = !finished_ || queue_->size() > 0;
  return status;
}

Status Stream::Dropped() {
  if (!draining_) return {Code::kFailedPrecondition, "nobody said that this process is to leave"};
  Settle();
  return Rebuild(Begun(SetOf(queue_->unbegun())));
}

Status Stream::Failed(const Status& error) {
  Settle();
  const Account::Unreadable unreadable = account_->TakeUnreadable();
  std::set<std::uint64_t> suspects = Begun(SetOf(queue_->unbegun()));
  if (suspects.empty()) {
    // Such as a range that was taken back while its file was being opened.
    return ++blameless_ > kMostBlameless ? error : Status();
  }
  blameless_ = 0;
  std::uint64_t blamed =
      unreadable.identity < 0 ? 0 : book_.TokenOf(Identity::Slot(unreadable.identity));
  const bool known = suspects.count(blamed) > 0;
  if (!known) blamed = suspects.size() == 1 ? *suspects.begin() : 0;
  if (blamed == 0) {
    alone_.insert(suspects.begin(), suspects.end());
    return Rebuild(suspects);
  }
  const std::int64_t record = known ? Identity::Index(unreadable.identity) : -1;
  CloseSlots(book_.Fail(blamed, (known ? unreadable.error : error).ToString(), record));
  suspects.erase(blamed);
  return Rebuild(suspects);
}

int Stream::unbegun() const {
  const std::set<std::int64_t> slots = SetOf(queue_->unbegun());
  std::set<std::uint64_t> tokens;
  for (const std::int64_t slot : slots) tokens.insert(book_.TokenOf(slot));
  for (const std::uint64_t token : Begun(slots)) tokens.erase(token);
  return static_cast<int>(tokens.size());
}

std::vector<message::Report> Stream::Take() {
  Settle();
  LeaseBook::Told told = book_.Take();
  for (const std::int64_t slot : told.closed) account_->Close(slot);
  for (const message::Report& report : told.reports) {
    if (report.end != message::End::kOpen) alone_.erase(report.token);
  }
  return std::move(told.reports);
}

}  // namespace headrace::feed
