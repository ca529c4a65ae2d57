// The journal as the dispatcher uses it: entries go in, and answers come out once they are on disk.
#ifndef HEADRACE_MASTER_DURABLE_LOG_H_
#define HEADRACE_MASTER_DURABLE_LOG_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "journal/journal.h"

namespace headrace::master {

// Thread safety: every method may run concurrently; entries are in the order of the calls of
// Append(). After() may call back before it returns, so the caller holds no lock that its callback
// takes; other callbacks run on the journal's thread, and must not block.
// Errors: the journal's first one, for ever after.
class DurableLog {
 public:
  using Callback = std::function<void(const Status&)>;

  explicit DurableLog(std::unique_ptr<journal::Journal> journal);
  // Waits for what was appended; all callbacks have run then.
  ~DurableLog();

  void Append(std::string entry);
  // A point that has everything before it that was appended so far.
  std::uint64_t Now() const;
  // Calls back when everything before `point` is durable, or with the error why it is not.
  void After(std::uint64_t point, Callback callback);

  Status failure() const;
  Status Flush() { return journal_->Flush(); }
  // Requires: no concurrent Append().
  Status Compact(std::string_view state) { return journal_->Compact(state); }
  journal::JournalFigures figures() const { return journal_->figures(); }

 private:
  void OnDurable(std::uint64_t point, const Status& status);

  mutable std::mutex mu_;                                   // the following
  std::deque<std::pair<std::uint64_t, Callback>> waiting_;  // by point
  std::uint64_t appended_ = 0, durable_ = 0;
  Status failure_;

  std::unique_ptr<journal::Journal> journal_;  // last: its thread uses the above
};

}  // namespace headrace::master

#endif  // HEADRACE_MASTER_DURABLE_LOG_H_
