// Writes record files of any format.
#ifndef HEADRACE_RECORD_RECORD_WRITER_H_
#define HEADRACE_RECORD_RECORD_WRITER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "record/format.h"
#include "record/recordio.h"

namespace headrace::record {

struct WriteOptions {
  Format format = Format::kRecordIo;  // kText and kCsv write records as lines; CSV has commas
  // Of RecordIO's chunks. pyrecordio's default is snappy; uncompressed reads fastest. pyrecordio
  // cannot read gzip (not even what it wrote: it hangs).
  Compressor compressor = Compressor::kSnappy;
  // Bytes of records in a chunk; a longer record has a chunk of its own (which pyrecordio reads,
  // but would not write). Raised, a reader takes that much memory, and a range that begins within a
  // chunk takes longer to begin; lowered, there is more overhead. 1 to kMaxRecordBytes.
  std::uint64_t chunk_bytes = kDefaultChunkBytes;
  bool sync = true;  // Close() waits until the file would survive a power failure
};

// The file appears under its name when it is closed, never before.
//
// Ownership: destroyed without Close(), it leaves no file.
// Thread safety: one thread at a time.
// Errors: INVALID_ARGUMENT for a record that the format cannot hold; it is not written, and writing
// may go on. Others are returned by every later call, too.
class RecordWriter {
 public:
  virtual ~RecordWriter() = default;
  virtual Status Write(std::string_view record) = 0;
  virtual Status Close() = 0;
};

Status CreateRecordWriter(const std::string& path, const WriteOptions& options,
                          std::unique_ptr<RecordWriter>* writer);

}  // namespace headrace::record

#endif  // HEADRACE_RECORD_RECORD_WRITER_H_
