// Record files of any format: how many records there are, and any range of them.
#ifndef HEADRACE_RECORD_RECORD_FILE_H_
#define HEADRACE_RECORD_RECORD_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "record/cursor.h"
#include "record/format.h"
#include "record/index.h"
#include "record/input_file.h"

namespace headrace::record {

class ChunkCache;

struct OpenOptions {
  enum class IndexUse {
    kReadWrite,  // use the index file; make it if it is missing, damaged or stale
    kRead,       // use it if it fits, else make an index in memory
    kMemory,     // neither look for one nor write one
  };

  Format format = Format::kDetect;
  char delimiter = ',';  // of CSV: quotes count only after one
  IndexUse index = IndexUse::kReadWrite;
  std::string index_folder;  // default: beside the file
  // A longer record is an error. Raised, a file that is no text can take that much memory.
  std::uint64_t max_record_bytes = std::uint64_t{256} * 1024 * 1024;
};

// Records [begin, end) of a file, in order.
//
// Ownership: shares what it needs with its RecordFile, which may go first.
// Thread safety: one thread at a time; readers of one file are independent.
// Errors: after the first one Next() returns false for good. A new range can begin behind a damaged
// record (TFRecord) or behind its chunk (RecordIO).
class RangeReader {
 public:
  RangeReader(std::unique_ptr<Cursor> cursor, std::string name, std::uint64_t begin,
              std::uint64_t end)
      : cursor_(std::move(cursor)), name_(std::move(name)), next_(begin), end_(end) {}

  // The next record, valid until the next call or the reader's end. False at the end of the range
  // or with an error: see status().
  bool Next(std::string_view* record) {
    if (next_ >= end_) return false;
    if (!cursor_->Next(record)) return Stop();
    ++next_;
    return true;
  }
  // OK until Next() met an error: DATA_LOSS for damage, with file and offset.
  const Status& status() const { return status_; }
  // The number, in the file, of the record that Next() would return now; after an error, of the
  // first one that could not be read.
  std::uint64_t next_record() const { return next_; }

 private:
  bool Stop();

  const std::unique_ptr<Cursor> cursor_;
  const std::string name_;
  std::uint64_t next_;
  std::uint64_t end_;
  Status status_;
};

// Ownership: owns the open file and the index in memory.
// Thread safety: every method may run concurrently.
// Costs: opening reads the index file, or all of the data once (see BuildIndex()); a range begins
// after O(log n) and at most one chunk, 1,024 records, or 256 KiB and one record. Readers of a
// RecordIO file share the chunk that was read last, which stays in memory.
class RecordFile {
 public:
  static Status Open(const std::string& path, const OpenOptions& options,
                     std::unique_ptr<RecordFile>* file);
  // The same with a file of any kind; never with an index file.
  static Status Open(std::shared_ptr<const InputFile> input, const OpenOptions& options,
                     std::unique_ptr<RecordFile>* file);
  ~RecordFile();

  const std::string& name() const { return input_->name(); }
  const Layout& layout() const { return index_->layout; }
  std::uint64_t num_records() const { return index_->num_records; }
  const Index& index() const { return *index_; }
  // False for gzip: a range that does not begin at 0 unpacks all that is before it.
  bool splittable() const { return !index_->layout.gzip; }
  // Why no index file was used or written although options asked for it; OK else. Never stops the
  // reading: only opening the file again takes longer.
  const Status& index_status() const { return index_status_; }
  // The index file that opening made; empty: none, as it was there, or is not wanted or possible.
  const std::string& made_index() const { return made_index_; }

  // OUT_OF_RANGE unless begin <= end <= num_records(). FAILED_PRECONDITION if the file was changed
  // since it was opened.
  Status Read(std::uint64_t begin, std::uint64_t end, std::unique_ptr<RangeReader>* reader) const;
  // Where a record begins, damaged or not: of RecordIO, its chunk; of gzip, in the unpacked file.
  // Errors as Read().
  Status FindOffset(std::uint64_t record, std::uint64_t* offset) const;

 private:
  // Of the entry's first record.
  std::unique_ptr<Cursor> CursorAt(std::size_t entry) const;
  RecordFile(std::shared_ptr<const InputFile> input, std::shared_ptr<const Index> index,
             Status index_status, std::string made_index, std::uint64_t max_record_bytes);

  const std::shared_ptr<const InputFile> input_;
  const std::shared_ptr<const Index> index_;
  const Status index_status_;
  const std::string made_index_;
  const std::uint64_t max_record_bytes_;
  const std::shared_ptr<ChunkCache> cache_;
};

}  // namespace headrace::record

#endif  // HEADRACE_RECORD_RECORD_FILE_H_
