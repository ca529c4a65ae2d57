// The journal's file: SQLite, and the checks that SQLite does not do.
#ifndef HEADRACE_JOURNAL_DATABASE_H_
#define HEADRACE_JOURNAL_DATABASE_H_

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "journal/journal.h"

namespace headrace::journal {

// One connection. Thread safety: one thread at a time. Errors: as Journal::Open().
class Database {
 public:
  explicit Database(std::string path) : path_(std::move(path)) {}

  // Opens, checks everything, and takes the lock.
  Status Open(const std::string& job, const Visitors& visitors);
  std::uint64_t last_sequence() const { return last_sequence_; }

  Status Begin();
  // Requires: sequence is the last one and 1.
  Status Insert(std::uint64_t sequence, std::string_view event);
  Status Commit();

  Status Compact(std::uint64_t sequence, std::string_view state);

 private:
  struct CloseConnection {
    void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
  };
  struct FinalizeStatement {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  using Statement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

  Status Connect();
  Status CheckOrMakeSchema(const std::string& job);
  Status MakeSchema(const std::string& job);
  Status CheckPages();
  // Checks each row, and hands it out.
  Status Replay(const Visitors& visitors);
  Status Execute(const char* sql);
  Status Prepare(const char* sql, Statement* statement);
  // A row of one text; *found is false if there is none.
  Status ReadText(const char* sql, std::string* text, bool* found);
  // Where the row begins that has so many before it in its table, for messages: the page, as SQLite
  // counts rows only by page. Empty if SQLite cannot say (it is built without dbstat, or the pages
  // on the way are damaged).
  std::string PageOf(const std::string& table, std::int64_t rows_before);
  Status Error(const std::string& doing) const;
  Status Damage(const std::string& what) const;

  const std::string path_;
  std::unique_ptr<sqlite3, CloseConnection> db_;
  Statement insert_;
  std::uint64_t last_sequence_ = 0;
  std::uint32_t last_checksum_ = 0;
};

}  // namespace headrace::journal

#endif  // HEADRACE_JOURNAL_DATABASE_H_
