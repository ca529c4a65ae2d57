#include <utility>

#include "record/byte_stream.h"
#include "record/index.h"
#include "record/open_cursor.h"
#include "record/recordio.h"

namespace headrace::record {
namespace {

constexpr std::uint64_t kRecordsPerEntry = 1024;
constexpr std::uint64_t kBytesPerEntry = std::uint64_t{256} * 1024;

// Reads the headers only.
Status IndexChunks(const InputFile& file, Index* index) {
  std::uint64_t offset = 0;
  while (offset < file.size()) {
    char bytes[kChunkHeaderBytes];
    std::size_t got = 0;
    ChunkHeader header;
    if (Status status = file.ReadAt(offset, sizeof(bytes), bytes, &got); !status.ok()) {
      return status;
    }
    Status status =
        ParseChunkHeader(file.name(), offset, {bytes, got}, file.size() - offset, &header);
    if (!status.ok()) return status;
    index->entries.push_back({offset, index->num_records});
    index->num_records += header.num_records;
    offset += kChunkHeaderBytes + header.payload_bytes;
  }
  return {};
}

Status IndexRecords(Cursor* cursor, bool single_entry, Index* index) {
  while (cursor->Skip()) {
    const std::uint64_t offset = cursor->offset();
    const std::uint64_t record = index->num_records++;
    if (!index->entries.empty()) {
      const IndexEntry& last = index->entries.back();
      if (single_entry || (record - last.first_record < kRecordsPerEntry &&
                           offset - last.offset < kBytesPerEntry)) {
        continue;
      }
    }
    index->entries.push_back({offset, record});
  }
  return cursor->status();
}

}  // namespace

Status BuildIndex(const std::shared_ptr<const InputFile>& file, const Layout& layout,
                  std::uint64_t max_record_bytes, Index* index) {
  *index = Index();
  index->layout = layout;
  index->data_bytes = file->size();
  index->data_mtime_ns = file->mtime_ns();
  if (layout.format == Format::kRecordIo && !layout.gzip) return IndexChunks(*file, index);
  return IndexRecords(OpenCursor(file, layout, max_record_bytes, 0).get(), layout.gzip, index);
}

}  // namespace headrace::record
