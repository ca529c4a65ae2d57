#include "record/record_file.h"

#include <utility>

#include "record/byte_stream.h"
#include "record/open_cursor.h"
#include "record/recordio.h"

namespace headrace::record {
namespace {

// The index of a local file, from its index file if that can be. UNIMPLEMENTED if a newer Headrace
// wrote one: it may know something of the data that this one does not.
Status GetIndex(const std::shared_ptr<const InputFile>& input, const Layout& layout,
                const OpenOptions& options, Index* index, Status* index_status,
                std::string* made_index) {
  const bool use_file = options.index != OpenOptions::IndexUse::kMemory;
  const std::string path = use_file ? IndexPath(input->name(), options.index_folder) : "";
  if (use_file) {
    Status status = LoadIndex(path, *input, layout, index);
    if (status.ok() || status.code() == Code::kUnimplemented) return status;
    if (status.code() != Code::kNotFound) *index_status = status;
  }
  if (Status status = BuildIndex(input, layout, options.max_record_bytes, index); !status.ok()) {
    return status;
  }
  // Changed while it was read: then the index is of neither file.
  if (Status status = input->CheckUnchanged(); !status.ok()) return status;
  if (options.index == OpenOptions::IndexUse::kReadWrite) {
    *index_status = SaveIndex(path, *index);
    if (index_status->ok()) *made_index = path;
  }
  return {};
}

}  // namespace

bool RangeReader::Stop() {
  status_ = cursor_->status();
  if (status_.ok()) {  // the index knows of more records
    status_ =
        DamageAt(name_, cursor_->offset(),
                 "the file ends before record " + std::to_string(next_) + ", which its index has");
  }
  end_ = next_;
  return false;
}

RecordFile::RecordFile(std::shared_ptr<const InputFile> input, std::shared_ptr<const Index> index,
                       Status index_status, std::string made_index, std::uint64_t max_record_bytes)
    : input_(std::move(input)),
      index_(std::move(index)),
      index_status_(std::move(index_status)),
      made_index_(std::move(made_index)),
      max_record_bytes_(max_record_bytes),
      cache_(std::make_shared<ChunkCache>()) {}

RecordFile::~RecordFile() = default;

Status RecordFile::Open(const std::string& path, const OpenOptions& options,
                        std::unique_ptr<RecordFile>* file) {
  std::shared_ptr<const InputFile> input;
  if (Status status = OpenInputFile(path, &input); !status.ok()) return status;
  Layout layout{options.format, false, options.delimiter};
  if (Status status = DetectLayout(input, &layout); !status.ok()) return status;
  auto index = std::make_shared<Index>();
  Status index_status;
  std::string made;
  if (Status status = GetIndex(input, layout, options, index.get(), &index_status, &made);
      !status.ok()) {
    return status;
  }
  file->reset(new RecordFile(std::move(input), std::move(index), std::move(index_status),
                             std::move(made), options.max_record_bytes));
  return {};
}

Status RecordFile::Open(std::shared_ptr<const InputFile> input, const OpenOptions& options,
                        std::unique_ptr<RecordFile>* file) {
  Layout layout{options.format, false, options.delimiter};
  if (Status status = DetectLayout(input, &layout); !status.ok()) return status;
  auto index = std::make_shared<Index>();
  Status status = BuildIndex(input, layout, options.max_record_bytes, index.get());
  if (!status.ok()) return status;
  file->reset(
      new RecordFile(std::move(input), std::move(index), Status(), "", options.max_record_bytes));
  return {};
}

Status RecordFile::Read(std::uint64_t begin, std::uint64_t end,
                        std::unique_ptr<RangeReader>* reader) const {
  if (begin > end || end > num_records()) {
    return {Code::kOutOfRange, name() + ": records " + std::to_string(begin) + " to " +
                                   std::to_string(end) + " were asked for; the file has " +
                                   std::to_string(num_records())};
  }
  if (Status status = input_->CheckUnchanged(); !status.ok()) return status;
  std::unique_ptr<Cursor> cursor;
  if (begin < end) {
    const std::size_t entry = index_->Find(begin);
    cursor = CursorAt(entry);
    for (std::uint64_t skipped = index_->entries[entry].first_record; skipped < begin; ++skipped) {
      if (cursor->Skip()) continue;
      if (!cursor->status().ok()) return cursor->status();
      return DamageAt(
          name(), cursor->offset(),
          "the file ends before record " + std::to_string(begin) + ", which its index has");
    }
  }
  *reader = std::make_unique<RangeReader>(std::move(cursor), name(), begin, end);
  return {};
}

std::unique_ptr<Cursor> RecordFile::CursorAt(std::size_t entry) const {
  const std::uint64_t offset = index_->entries[entry].offset;
  if (layout().format == Format::kRecordIo && !layout().gzip) {
    return MakeRecordIoCursor(name(), OpenStream(input_, offset), index_, entry, cache_);
  }
  return OpenCursor(input_, layout(), max_record_bytes_, offset);
}

Status RecordFile::FindOffset(std::uint64_t record, std::uint64_t* offset) const {
  std::unique_ptr<RangeReader> reader;  // of nothing: the checks
  if (Status status = Read(record, record, &reader); !status.ok()) return status;
  if (record == num_records()) {
    return {Code::kOutOfRange, name() + " has no record " + std::to_string(record)};
  }
  const std::size_t entry = index_->Find(record);
  *offset = index_->entries[entry].offset;
  if (layout().format == Format::kRecordIo && !layout().gzip) return {};  // an entry is a chunk
  const std::unique_ptr<Cursor> cursor = CursorAt(entry);
  for (std::uint64_t at = index_->entries[entry].first_record; at <= record; ++at) {
    const bool there = cursor->Skip();
    if (!there && cursor->status().ok()) {
      return DamageAt(
          name(), cursor->offset(),
          "the file ends before record " + std::to_string(record) + ", which its index has");
    }
    if (!there && at < record) return cursor->status();
  }
  *offset = cursor->offset();  // also where the record itself is what is damaged
  return {};
}

}  // namespace headrace::record
