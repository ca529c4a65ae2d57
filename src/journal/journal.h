// A durable, ordered log of events: what the master writes before it answers.
//
// One SQLite file in WAL mode with synchronous=FULL. Events of many callers are committed together
// by one thread, so that a sync of the disk serves all that wait for it.
//
// File format (version 1; docs/formats.md has the table): rows (sequence, checksum, event) without
// gaps, each checksum a CRC-32 over its row and the checksum before it, and at most one snapshot
// that stands for the rows up to its sequence.
#ifndef HEADRACE_JOURNAL_JOURNAL_H_
#define HEADRACE_JOURNAL_JOURNAL_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/status.h"

namespace headrace::journal {

class Database;

struct JournalFigures {
  std::uint64_t events = 0;   // durable, since opening
  std::uint64_t commits = 0;  // syncs of the disk that they took
  std::uint64_t bytes = 0;    // of those events
};

// Called while a journal is opened: with the snapshot, if there is one, then with every event after
// it, in order. An error ends the opening with it. Either may be null.
struct Visitors {
  std::function<Status(std::string_view state)> snapshot;
  std::function<Status(std::uint64_t sequence, std::string_view event)> event;
};

// Thread safety: Append(), Flush() and figures() may run concurrently.
class Journal {
 public:
  // Called once, on the journal's thread: OK when the event is on disk; else it is not, and never
  // will be. Must not block.
  using Durable = std::function<void(const Status&)>;

  // Opens the journal of `job` at `path`, or makes it. Locks it against other processes. An empty
  // `job`: whatever job it is of; none is made.
  //
  // Each row is checked and handed out in one pass, as reading a long journal is most of a restart:
  // where Open() fails, visitors may have seen what stands before the damage.
  //
  // What a crash leaves behind, an unfinished write at the end, is dropped: nobody was told that it
  // was durable. Anything else that is not as it was written is refused. Errors: DATA_LOSS (damage:
  // names file and offset or event), FAILED_PRECONDITION (a newer format, or the journal of another
  // job), ALREADY_EXISTS (another process has it), PERMISSION_DENIED, RESOURCE_EXHAUSTED (disk
  // full), UNAVAILABLE (the disk reports an error), INVALID_ARGUMENT (no journal at all).
  static Status Open(const std::string& path, const std::string& job, const Visitors& visitors,
                     std::unique_ptr<Journal>* journal);
  // Waits until everything that was appended is durable, or has failed.
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Appends an event; returns its sequence number, one more than that of the event before. Events
  // become durable in this order. After an error every later event fails with it: what the disk
  // holds is then known again only to who opens the journal anew.
  std::uint64_t Append(std::string event, Durable durable);
  // Waits until all that was appended before is durable.
  Status Flush();

  // Replaces the events up to the last one appended, all of them durable, by the state that they
  // lead to; waits until that is done.
  Status Compact(std::string_view state);

  std::uint64_t last_sequence() const;
  JournalFigures figures() const;

 private:
  struct Entry {
    std::uint64_t sequence;
    std::string event;
    Durable durable;
  };

  explicit Journal(std::unique_ptr<Database> database);
  void WriteLoop();
  // Writes a batch as one transaction, and calls back.
  void Commit(std::vector<Entry> batch);

  // Used by the thread, and by Compact() while the thread has nothing to do.
  const std::unique_ptr<Database> database_;

  mutable std::mutex mu_;
  std::condition_variable work_cv_;  // the thread: entries, stopping
  std::condition_variable done_cv_;  // others: a batch was committed
  std::vector<Entry> queue_;         // the rest guarded by mu_
  std::uint64_t appended_ = 0;       // sequence of the last event
  std::uint64_t settled_ = 0;        // all up to here were called back
  bool writing_ = false;
  bool stop_ = false;
  Status failure_;
  JournalFigures figures_;

  std::thread writer_;  // last: uses all of the above
};

}  // namespace headrace::journal

#endif  // HEADRACE_JOURNAL_JOURNAL_H_
