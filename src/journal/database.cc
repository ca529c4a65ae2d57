#include "journal/database.h"

#include <zlib.h>

#include <cstdlib>
#include <utility>

#include "journal/wal_check.h"

namespace headrace::journal {
namespace {

constexpr int kFormat = 1;
constexpr int kApplicationId = 0x48524a31;  // "HRJ1", in the SQLite file's header

std::uint32_t RowChecksum(std::uint32_t previous, std::uint64_t sequence, std::string_view event) {
  unsigned char head[12];
  for (int i = 0; i < 4; ++i) head[i] = static_cast<unsigned char>(previous >> (8 * i));
  for (int i = 0; i < 8; ++i) head[4 + i] = static_cast<unsigned char>(sequence >> (8 * i));
  const uLong crc = crc32_z(crc32_z(0, nullptr, 0), head, sizeof head);
  if (event.empty())
    return static_cast<std::uint32_t>(crc);  // zlib takes a null pointer for a reset
  return static_cast<std::uint32_t>(
      crc32_z(crc, reinterpret_cast<const Bytef*>(event.data()), event.size()));
}

std::string InPage(std::int64_t offset) {
  return " (in the page at offset " + std::to_string(offset) + " of the file)";
}

std::string_view BlobOf(sqlite3_stmt* row, int column) {
  const void* data = sqlite3_column_blob(row, column);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(row, column));
  return {static_cast<const char*>(data), size};
}

}  // namespace

Status Database::Error(const std::string& doing) const {
  const int extended = sqlite3_extended_errcode(db_.get());
  const std::string text = path_ + ": " + doing + ": " + sqlite3_errmsg(db_.get());
  switch (extended & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Status(Code::kAlreadyExists, text +
                                              "; another process uses this journal: stop it, or "
                                              "give this job a journal of its own");
    case SQLITE_FULL: return Status(Code::kResourceExhausted, text + "; make room and start again");
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN:
      return Status(Code::kPermissionDenied,
                    text + "; the journal's directory must exist and be writable");
    case SQLITE_NOTADB:
      return Status(Code::kInvalidArgument, text + "; this file is no Headrace journal");
    case SQLITE_CORRUPT: {
      const std::string why = sqlite3_errmsg(db_.get());
      const bool schema = why.rfind("malformed database schema", 0) == 0;  // in the first page
      return Damage(doing + ": " + why + (schema ? InPage(0) : ""));
    }
    default: return Status(Code::kUnavailable, text);
  }
}

Status Database::Damage(const std::string& what) const {
  return Status(Code::kDataLoss, path_ + " is damaged: " + what +
                                     ". Restore it, or start the job anew with another journal");
}

Status Database::Execute(const char* sql) {
  if (sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK) return Status();
  return Error(sql);
}

Status Database::Prepare(const char* sql, Statement* statement) {
  sqlite3_stmt* made = nullptr;
  if (sqlite3_prepare_v2(db_.get(), sql, -1, &made, nullptr) != SQLITE_OK) return Error(sql);
  statement->reset(made);
  return Status();
}

Status Database::ReadText(const char* sql, std::string* text, bool* found) {
  Statement statement;
  Status status = Prepare(sql, &statement);
  if (!status.ok()) return status;
  const int step = sqlite3_step(statement.get());
  *found = step == SQLITE_ROW;
  if (*found) *text = std::string(BlobOf(statement.get(), 0));
  return step == SQLITE_ROW || step == SQLITE_DONE ? Status() : Error(sql);
}

Status Database::Open(const std::string& job, const Visitors& visitors) {
  Status status = CheckWal(path_ + "-wal");
  if (status.ok()) status = Connect();
  if (status.ok()) status = CheckOrMakeSchema(job);
  if (status.ok()) status = CheckPages();
  if (status.ok()) status = Replay(visitors);
  if (!status.ok()) return status;
  return Prepare("INSERT INTO events (sequence, checksum, event) VALUES (?, ?, ?)", &insert_);
}

Status Database::Connect() {
  sqlite3* db = nullptr;
  const int opened =
      sqlite3_open_v2(path_.c_str(), &db,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  db_.reset(db);
  if (opened != SQLITE_OK) return Error("cannot open");
  sqlite3_extended_result_codes(db, 1);
  if (sqlite3_db_readonly(db, "main") == 1) {
    return Status(Code::kPermissionDenied,
                  path_ + " may not be written: change its owner or rights");
  }
  // Exclusive: a second master on one journal is refused, and no shared-memory file is needed.
  Status status = Execute("PRAGMA locking_mode = EXCLUSIVE");
  if (status.ok()) status = Execute("PRAGMA journal_mode = WAL");
  if (status.ok()) status = Execute("PRAGMA synchronous = FULL");
  // The lock is taken by the first write transaction.
  if (status.ok()) status = Execute("BEGIN IMMEDIATE");
  if (status.ok()) status = Execute("COMMIT");
  return status;
}

Status Database::MakeSchema(const std::string& job) {
  const std::string sql =
      "BEGIN;"
      "PRAGMA application_id = " +
      std::to_string(kApplicationId) +
      ";"
      "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
      "CREATE TABLE events (sequence INTEGER PRIMARY KEY, checksum INTEGER NOT NULL,"
      " event BLOB NOT NULL);"
      "CREATE TABLE snapshot (one INTEGER PRIMARY KEY, sequence INTEGER NOT NULL,"
      " checksum INTEGER NOT NULL, state BLOB NOT NULL);"
      "INSERT INTO meta VALUES ('format', '" +
      std::to_string(kFormat) + "');";
  Status status = Execute(sql.c_str());
  if (!status.ok()) return status;
  Statement insert;
  status = Prepare("INSERT INTO meta VALUES ('job', ?)", &insert);
  if (!status.ok()) return status;
  sqlite3_bind_text(insert.get(), 1, job.data(), static_cast<int>(job.size()), SQLITE_STATIC);
  if (sqlite3_step(insert.get()) != SQLITE_DONE) return Error("cannot write the job's name");
  insert.reset();
  return Execute("COMMIT");
}

Status Database::CheckOrMakeSchema(const std::string& job) {
  std::string text;
  bool found = false;
  Status status = ReadText("SELECT count(*) FROM sqlite_master", &text, &found);
  if (!status.ok()) return status;
  if (text == "0" && job.empty()) {
    return Status(Code::kInvalidArgument, path_ + " is empty, and no Headrace journal");
  }
  if (text == "0") return MakeSchema(job);

  status = ReadText("PRAGMA application_id", &text, &found);
  if (!status.ok()) return status;
  if (text != std::to_string(kApplicationId)) {
    return Status(Code::kInvalidArgument, path_ + " is an SQLite file, but no Headrace journal");
  }
  status = ReadText("SELECT value FROM meta WHERE key = 'format'", &text, &found);
  if (!status.ok()) return status;
  if (!found) return Damage("it does not say its format");
  if (text != std::to_string(kFormat)) {
    return Status(Code::kFailedPrecondition,
                  path_ + " has journal format " + text + ", and this program reads format " +
                      std::to_string(kFormat) + ": use the release of Headrace that wrote it");
  }
  status = ReadText("SELECT value FROM meta WHERE key = 'job'", &text, &found);
  if (!status.ok()) return status;
  if (!found) return Damage("it does not name its job");
  if (text == job || job.empty()) return Status();
  return Status(Code::kFailedPrecondition, path_ + " is the journal of job '" + text +
                                               "', not of '" + job +
                                               "': give each job a journal of its own");
}

// Rows that a damaged page lost are found here; rows that changed, by their checksums.
Status Database::CheckPages() {
  std::string text, page_size;
  bool found = false;
  Status status = ReadText("PRAGMA quick_check(1)", &text, &found);
  if (!status.ok()) return status;
  if (found && text == "ok") return Status();
  // SQLite names the page by its number: "On tree page 3 cell 2: ...", "Page 3: ...".
  const std::size_t named = text.find("age ");
  const std::uint64_t page =
      named == std::string::npos ? 0 : std::strtoull(text.c_str() + named + 4, nullptr, 10);
  if (page == 0) {  // the first event that cannot be read tells more
    status = Replay({});
    return status.ok() ? Damage(text) : status;
  }
  status = ReadText("PRAGMA page_size", &page_size, &found);
  if (status.ok() && found) {
    text += InPage(static_cast<std::int64_t>((page - 1) * std::stoull(page_size)));
  }
  return Damage(text);
}

std::string Database::PageOf(const std::string& table, std::int64_t rows_before) {
  Statement pages;
  // Paths sort as the rows do. Overflow pages belong to the row that begins before them.
  const Status status = Prepare(
      "SELECT pgoffset, ncell FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path",
      &pages);
  if (!status.ok()) return "";
  sqlite3_bind_text(pages.get(), 1, table.data(), static_cast<int>(table.size()), SQLITE_STATIC);
  std::string last;  // of a row behind the last one
  while (sqlite3_step(pages.get()) == SQLITE_ROW) {
    last = InPage(sqlite3_column_int64(pages.get(), 0));
    rows_before -= sqlite3_column_int64(pages.get(), 1);
    if (rows_before < 0) return last;
  }
  return last;
}

Status Database::Replay(const Visitors& visitors) {
  std::uint64_t sequence = 0;
  std::uint32_t checksum = 0;
  std::int64_t read = 0;  // events
  Statement rows;
  Status status = Prepare("SELECT sequence, checksum, state FROM snapshot", &rows);
  if (!status.ok()) return status;
  int step = sqlite3_step(rows.get());
  if (step == SQLITE_ROW) {
    sequence = static_cast<std::uint64_t>(sqlite3_column_int64(rows.get(), 0));
    checksum = RowChecksum(0, sequence, BlobOf(rows.get(), 2));
    if (checksum != static_cast<std::uint32_t>(sqlite3_column_int64(rows.get(), 1))) {
      return Damage("the snapshot's checksum is wrong" + PageOf("snapshot", 0));
    }
    if (visitors.snapshot) status = visitors.snapshot(BlobOf(rows.get(), 2));
    if (!status.ok()) return status;
    step = sqlite3_step(rows.get());
  }
  if (step != SQLITE_DONE) return Error("cannot read the snapshot");

  status = Prepare("SELECT sequence, checksum, event FROM events ORDER BY sequence", &rows);
  if (!status.ok()) return status;
  while ((step = sqlite3_step(rows.get())) == SQLITE_ROW) {
    const auto found = static_cast<std::uint64_t>(sqlite3_column_int64(rows.get(), 0));
    if (found != sequence + 1) {
      return Damage("event " + std::to_string(sequence + 1) + " is missing" +
                    PageOf("events", read));
    }
    sequence = found;
    checksum = RowChecksum(checksum, sequence, BlobOf(rows.get(), 2));
    if (checksum != static_cast<std::uint32_t>(sqlite3_column_int64(rows.get(), 1))) {
      return Damage("the checksum of event " + std::to_string(sequence) + " is wrong" +
                    PageOf("events", read));
    }
    ++read;
    if (visitors.event) status = visitors.event(sequence, BlobOf(rows.get(), 2));
    if (!status.ok()) return status;
  }
  if (step != SQLITE_DONE) {
    const Status error = Error("cannot read event " + std::to_string(sequence + 1));
    return {error.code(), error.message() + PageOf("events", read)};
  }
  last_sequence_ = sequence;
  last_checksum_ = checksum;
  return Status();
}

Status Database::Begin() {
  return Execute("BEGIN IMMEDIATE");
}

Status Database::Insert(std::uint64_t sequence, std::string_view event) {
  const std::uint32_t checksum = RowChecksum(last_checksum_, sequence, event);
  sqlite3_stmt* insert = insert_.get();
  sqlite3_bind_int64(insert, 1, static_cast<sqlite3_int64>(sequence));
  sqlite3_bind_int64(insert, 2, checksum);
  // Never a null pointer: that would be NULL, not an empty blob.
  sqlite3_bind_blob64(insert, 3, event.empty() ? "" : event.data(), event.size(), SQLITE_STATIC);
  const int step = sqlite3_step(insert);
  sqlite3_reset(insert);
  if (step != SQLITE_DONE) return Error("cannot write event " + std::to_string(sequence));
  last_sequence_ = sequence;
  last_checksum_ = checksum;
  return Status();
}

Status Database::Commit() {
  return Execute("COMMIT");
}

Status Database::Compact(std::uint64_t sequence, std::string_view state) {
  const std::uint32_t checksum = RowChecksum(0, sequence, state);
  Statement write;
  Status status = Execute("BEGIN IMMEDIATE; DELETE FROM snapshot; DELETE FROM events");
  if (status.ok()) status = Prepare("INSERT INTO snapshot VALUES (1, ?, ?, ?)", &write);
  if (!status.ok()) return status;
  sqlite3_bind_int64(write.get(), 1, static_cast<sqlite3_int64>(sequence));
  sqlite3_bind_int64(write.get(), 2, checksum);
  sqlite3_bind_blob64(write.get(), 3, state.empty() ? "" : state.data(), state.size(),
                      SQLITE_STATIC);
  if (sqlite3_step(write.get()) != SQLITE_DONE) return Error("cannot write the snapshot");
  write.reset();
  status = Execute("COMMIT");
  if (status.ok()) last_checksum_ = checksum;
  return status;
}

}  // namespace headrace::journal
