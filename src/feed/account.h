// What became of the records that a dataset has read: the trainer's side of the ledger.
#ifndef HEADRACE_FEED_ACCOUNT_H_
#define HEADRACE_FEED_ACCOUNT_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/status.h"
#include "feed/registry.h"

namespace headrace::feed {

// Names a record: the slot that it was read under (of the feed's client: one slot a range of a
// lease; elsewhere any number, such as its file's place in a list), and its position in its file.
class Identity {
 public:
  static constexpr int kIndexBits = 40;
  static constexpr std::int64_t kMaxIndex = (std::int64_t{1} << kIndexBits) - 1;
  static constexpr std::int64_t kMaxSlot = (std::int64_t{1} << (63 - kIndexBits)) - 1;

  // Requires: 0 <= slot <= kMaxSlot, 0 <= index <= kMaxIndex. Never negative.
  static std::int64_t Make(std::int64_t slot, std::int64_t index) {
    return slot << kIndexBits | index;
  }
  static std::int64_t Slot(std::int64_t identity) { return identity >> kIndexBits; }
  static std::int64_t Index(std::int64_t identity) { return identity & kMaxIndex; }
};

// What was settled since the last call of Account::Take(), each list sorted.
struct Settled {
  std::vector<std::int64_t> trained;
  std::map<std::string, std::vector<std::int64_t>> dropped;  // by the op that dropped them

  bool empty() const { return trained.empty() && dropped.empty(); }
};

// Follows each record from the source to the step that used it. A record is settled when every
// element that was made of it has been used by an applied step, or has been dropped by a named op;
// as trained, if any was used. It may be split into any number of elements (flat_map); none at all
// is a drop.
//
// A slot that was opened holds its records in an array, made where records are in flight. What
// belongs to a slot that was closed is of the past, and ignored. Records of slots that were never
// opened are looked up in a hash table.
//
// Thread safety: every method may run concurrently.
// Errors: INTERNAL if a call does not fit what was said of the record before (such as a step that
// used a record that was never read); nothing changes then.
class Account {
 public:
  Account();
  ~Account();

  // Records [begin, end) may be read under this slot. A number may come again long after it was
  // closed. INVALID_ARGUMENT if it is open, or out of bounds.
  Status Open(std::int64_t slot, std::int64_t begin, std::int64_t end);
  // `count` records of the slot, not read so far, will not be.
  void GiveBack(std::int64_t slot, std::int64_t count);
  // What was settled before still comes with Take().
  void Close(std::int64_t slot);
  // Called, without a lock, whenever the last record of an open slot was settled.
  void OnFinished(std::function<void()> finished);

  // A record left the source. It is one element until Split() says otherwise.
  Status Read(std::int64_t identity);
  // The source could not read this record. Its iterator fails; with what, and how much later, is up
  // to the ops behind the source, so the record to blame is kept here.
  void ReadFailed(std::int64_t identity, const Status& error);
  // The first since the last call and the last end, or identity -1.
  struct Unreadable {
    std::int64_t identity = -1;
    Status error;
  };
  Unreadable TakeUnreadable();
  // The element is being split: Part() follows for each piece, then PartsEnd().
  Status Split(std::int64_t identity);
  Status Part(std::int64_t identity);
  // `op` is named if there was no part.
  Status PartsEnd(std::int64_t identity, const std::string& op);
  // An element was dropped by `op`.
  Status Drop(std::int64_t identity, const std::string& op);
  // A step that used these elements has been applied. All or nothing. Negative ones are padding.
  Status Applied(const std::int64_t* identities, std::size_t count);
  Status Applied(const std::vector<std::int64_t>& identities) {
    return Applied(identities.data(), identities.size());
  }

  // The iterator gave these elements away: a step may still use them when it has ended. Only needed
  // where iterators may end before the steps of their last batches.
  Status Deliver(const std::int64_t* identities, std::size_t count);

  // The iterator has ended: whatever was read, and is neither settled nor delivered, was held back
  // by an op that drops without saying what (the rest of a batch under drop_remainder), here named
  // by `op`. It did not fail: no record is to blame.
  void End(const std::string& op);

  Settled Take();
  // Read and not settled.
  std::size_t outstanding() const;
  // Elements that iterators gave away and no step has used. Looks at each record in flight.
  std::size_t in_hand() const;
  // Records of an open slot that were neither read nor given back; 0 for others.
  std::int64_t Unread(std::int64_t slot) const;

 private:
  struct Record {
    enum State : std::uint32_t { kUnread, kLive, kSettled };

    std::uint32_t open = 0;  // elements, and splits in progress, that are neither used nor dropped
    std::uint32_t delivered = 0;  // of these: in the hands of steps
    std::uint32_t dropped : 24;   // by this op, the first one: its place in ops_; 0: by none
    std::uint32_t state : 2;
    std::uint32_t used : 1;       // by a step
    std::uint32_t splitting : 1;  // in parts_

    Record() : dropped(0), state(kUnread), used(0), splitting(0) {}
  };
  struct Slot;
  // Where the record of an identity is.
  struct Found {
    Record* record = nullptr;
    Slot* slot = nullptr;
    bool ignored = false;  // its slot was closed
  };

  static Status NotThere(std::int64_t identity, const char* what);
  // record == nullptr: it was not read, or is settled. Inline, for the step's path.
  Found FindLocked(std::int64_t identity);
  Status CloseLocked(std::int64_t identity, const char* what, std::uint32_t op);
  void SettleLocked(std::int64_t identity, const Found& found);
  std::uint32_t OpLocked(const std::string& op);
  // Ends what the iterator held of a record.
  void EndLocked(std::int64_t identity, const Found& found, std::uint32_t op);
  // Unlocks, and tells whoever asked when a slot was finished meanwhile.
  void Unlock(std::unique_lock<std::mutex>* lock);

  mutable std::mutex mu_;
  std::vector<std::unique_ptr<Slot>> slots_;       // guarded by mu_, as is all below; by number
  std::vector<bool> opened_;                       // slots that were ever open
  std::vector<std::int64_t> open_;                 // slots that are
  std::unordered_map<std::int64_t, Record> rest_;  // of slots that were never opened
  std::unordered_map<std::int64_t, std::int64_t> parts_;  // of splits in progress: made so far
  std::size_t outstanding_ = 0;
  Unreadable unreadable_;
  bool finished_ = false;  // a slot, since the listener was called
  std::function<void()> on_finished_;

  std::vector<std::string> ops_;  // from 1
  std::unordered_map<std::string, std::uint32_t> op_numbers_;
  std::vector<std::int64_t> trained_;
  std::vector<std::vector<std::int64_t>> dropped_;  // by op
};

// The accounts of this process, by name: graphs name the account that their ops report to.
class Accounts : public Registry<Account> {
 public:
  static Accounts& Get();

 private:
  Accounts() : Registry("an account") {}
};

}  // namespace headrace::feed

#endif  // HEADRACE_FEED_ACCOUNT_H_
