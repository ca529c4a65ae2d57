#include "feed/tasks.h"

#include <algorithm>
#include <utility>

namespace headrace::feed {

using message::Lease;
using message::Report;

Tasks::Tasks(std::shared_ptr<RangeQueue> queue, std::shared_ptr<Account> account)
    : queue_(std::move(queue)), account_(std::move(account)) {}

void Tasks::Give(const Lease& lease) {
  Of(lease.queue).waiting.push_back(lease);
}

bool Tasks::Revoke(std::uint64_t token) {
  for (Waiting& of : queues_) {
    const auto it = std::find_if(of.waiting.begin(), of.waiting.end(),
                                 [&](const Lease& lease) { return lease.token == token; });
    if (it == of.waiting.end()) continue;
    of.waiting.erase(it);
    return true;
  }
  if (book_.Find(token) == nullptr) return false;
  for (const std::int64_t slot : book_.Forget(token)) {
    queue_->Drop(slot);
    account_->Close(slot);
  }
  return true;
}

std::vector<Report> Tasks::Drain() {
  std::vector<Report> back;
  for (Waiting& of : queues_) {
    for (const Lease& lease : of.waiting) {
      back.emplace_back();
      back.back().token = lease.token;
      back.back().end = message::End::kReleased;
    }
    of.waiting.clear();
    of.finished = true;
  }
  return back;
}

Status Tasks::Begin(QueueName queue, Lease* lease) {
  if (at_hand_ != 0) {
    return {Code::kFailedPrecondition,
            "the task before, lease " + std::to_string(at_hand_) + ", is neither done nor failed"};
  }
  std::deque<Lease>& waiting = Of(queue).waiting;
  *lease = waiting.front();
  std::vector<LeaseBook::Piece> pieces;
  Status status = book_.Add(*lease, &pieces);
  if (!status.ok()) return status;
  waiting.pop_front();
  at_hand_ = lease->token;
  for (const LeaseBook::Piece& piece : pieces) {
    status = account_->Open(piece.slot, piece.records.begin, piece.records.end);
    if (!status.ok()) return status;
    queue_->Push({lease->path, piece.slot, piece.records.begin, piece.records.end, nullptr});
  }
  queue_->Flush();
  return {};
}

Status Tasks::CheckAtHand(std::uint64_t token) const {
  if (at_hand_ == token) return {};
  return {Code::kFailedPrecondition, "lease " + std::to_string(token) + " is not the task at hand"};
}

std::optional<Report> Tasks::TellOf(std::uint64_t token, const std::vector<double>& metrics) {
  at_hand_ = 0;
  queue_->Clear();  // what an iterator left behind that did not read to its end
  LeaseBook::Told told = book_.Take(token, metrics);
  for (const std::int64_t slot : told.closed) account_->Close(slot);
  if (told.reports.empty()) return std::nullopt;  // revoked
  return std::move(told.reports.front());
}

Status Tasks::Done(std::uint64_t token, const std::string& op, const std::vector<double>& metrics,
                   std::optional<Report>* report) {
  Status status = CheckAtHand(token);
  if (!status.ok()) return status;
  account_->End(op);
  book_.Settle(account_->Take());
  const ledger::Ranges left = book_.Unsettled(token);
  if (!left.empty()) {
    status = {Code::kInternal, "the task of lease " + std::to_string(token) + " is done, but " +
                                   std::to_string(ledger::Size(left)) +
                                   " of its records were not read, the first is record " +
                                   std::to_string(left.front().begin)};
    Failed(token, status, report).IgnoreError();
    return status;
  }
  *report = TellOf(token, metrics);
  return {};
}

Status Tasks::Failed(std::uint64_t token, const Status& error, std::optional<Report>* report) {
  Status status = CheckAtHand(token);
  if (!status.ok()) return status;
  const Account::Unreadable unreadable = account_->TakeUnreadable();
  const bool known =
      unreadable.identity >= 0 && book_.TokenOf(Identity::Slot(unreadable.identity)) == token;
  const std::int64_t record = known ? Identity::Index(unreadable.identity) : -1;
  for (const std::int64_t slot :
       book_.Fail(token, (known ? unreadable.error : error).ToString(), record)) {
    account_->Close(slot);
  }
  *report = TellOf(token, {});
  account_->Take();  // of this task, or of what came late of the one before
  if (!report->has_value()) return {};
  // Nothing of it counts: the whole task is done again.
  (*report)->trained.clear();
  (*report)->filtered.clear();
  (*report)->dropped.clear();
  return {};
}

}  // namespace headrace::feed
