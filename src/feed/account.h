// What became of the records that a dataset has read: the trainer's side of the ledger.
#ifndef HEADRACE_FEED_ACCOUNT_H_
#define HEADRACE_FEED_ACCOUNT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "feed/registry.h"

namespace headrace::feed {

// Names a record: its file's position in the job's list, and its position in that file.
class Identity {
 public:
  static constexpr int kIndexBits = 40;
  static constexpr std::int64_t kMaxIndex = (std::int64_t{1} << kIndexBits) - 1;
  static constexpr std::int64_t kMaxFile = (std::int64_t{1} << (63 - kIndexBits)) - 1;

  // Requires: 0 <= file <= kMaxFile, 0 <= index <= kMaxIndex. Never negative.
  static std::int64_t Make(std::int64_t file, std::int64_t index) {
    return file << kIndexBits | index;
  }
  static std::int64_t File(std::int64_t identity) { return identity >> kIndexBits; }
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
// Thread safety: every method may run concurrently.
// Errors: INTERNAL if a call does not fit what was said of the record before (such as a step that
// used a record that was never read); nothing changes then.
class Account {
 public:
  // A record left the source. It is one element until Split() says otherwise.
  Status Read(std::int64_t identity);
  // The element is being split: Part() follows for each piece, then PartsEnd().
  Status Split(std::int64_t identity);
  Status Part(std::int64_t identity);
  // `op` is named if there was no part.
  Status PartsEnd(std::int64_t identity, const std::string& op);
  // An element was dropped by `op`.
  Status Drop(std::int64_t identity, const std::string& op);
  // A step that used these elements has been applied. All or nothing.
  Status Applied(const std::vector<std::int64_t>& identities);

  // The iterator has ended: whatever was read and is not settled was held back by an op that drops
  // without saying what (the rest of a batch under drop_remainder), here named by `op`.
  void End(const std::string& op);

  Settled Take();
  // Read and not settled.
  std::size_t outstanding() const;

 private:
  struct Record {
    int open = 1;         // elements, and splits in progress, that are neither used nor dropped
    bool used = false;    // by a step
    std::string dropped;  // by this op, the first one
  };
  using Records = std::unordered_map<std::int64_t, Record>;

  static Status NotThere(std::int64_t identity, const char* what);
  Status CloseLocked(std::int64_t identity, const char* what, bool used, const std::string& op);
  void SettleLocked(Records::iterator record);

  mutable std::mutex mu_;
  Records records_;                              // guarded by mu_, as is all below
  std::unordered_map<std::int64_t, int> parts_;  // of splits in progress: made so far
  Settled settled_;
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
