#include "record/index.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "record/bytes.h"
#include "record/crc.h"
#include "record/file_system.h"
#include "record/output_file.h"

namespace headrace::record {
namespace {

constexpr std::string_view kMagic = "HRINDEX\n";
constexpr std::size_t kHeaderBytes = 8 + 3 * 4 + 4 * 8;
constexpr std::size_t kEntryBytes = 16;
constexpr std::size_t kFooterBytes = 4;
constexpr std::uint64_t kMaxIndexBytes = std::uint64_t{1} << 32;
constexpr std::uint32_t kGzipFlag = 1;
constexpr int kDelimiterShift = 8;
constexpr std::uint32_t kDelimiterFlags = 0xffu << kDelimiterShift;

Status Damaged(const std::string& name, std::uint64_t offset, const std::string& what) {
  return {Code::kDataLoss, name + ": byte " + std::to_string(offset) + ": " + what +
                               "; delete this index, and it is made anew"};
}

// Entries that could not be used safely: whoever made the index was wrong.
Status CheckEntries(const std::string& name, const Index& index) {
  for (std::size_t i = 0; i < index.entries.size(); ++i) {
    const IndexEntry& entry = index.entries[i];
    const bool begins = i > 0 || (entry.offset == 0 && entry.first_record == 0);
    const bool ascends = i == 0 || (entry.offset > index.entries[i - 1].offset &&
                                    entry.first_record >= index.entries[i - 1].first_record);
    if (!begins || !ascends || entry.offset >= index.data_bytes ||
        entry.first_record > index.num_records) {
      return Damaged(name, kHeaderBytes + i * kEntryBytes,
                     "entry " + std::to_string(i) + " is out of order");
    }
  }
  if (index.entries.empty() && index.num_records > 0) {
    return Damaged(name, kHeaderBytes, "records, but no entries");
  }
  return {};
}

}  // namespace

std::size_t Index::Find(std::uint64_t record) const {
  const auto after =
      std::upper_bound(entries.begin(), entries.end(), record,
                       [](std::uint64_t r, const IndexEntry& e) { return r < e.first_record; });
  return static_cast<std::size_t>(after - entries.begin()) - 1;
}

std::uint64_t Index::FirstRecordAfter(std::size_t entry) const {
  return entry + 1 < entries.size() ? entries[entry + 1].first_record : num_records;
}

std::uint64_t Index::OffsetAfter(std::size_t entry) const {
  return entry + 1 < entries.size() ? entries[entry + 1].offset : data_bytes;
}

std::string EncodeIndex(const Index& index) {
  std::string bytes(kMagic);
  AppendU32(kIndexVersion, &bytes);
  AppendU32(static_cast<std::uint32_t>(index.layout.format), &bytes);
  const auto delimiter = static_cast<unsigned char>(index.layout.delimiter);
  AppendU32((index.layout.gzip ? kGzipFlag : 0u) | static_cast<std::uint32_t>(delimiter)
                                                       << kDelimiterShift,
            &bytes);
  AppendU64(index.data_bytes, &bytes);
  AppendU64(static_cast<std::uint64_t>(index.data_mtime_ns), &bytes);
  AppendU64(index.num_records, &bytes);
  AppendU64(index.entries.size(), &bytes);
  for (const IndexEntry& entry : index.entries) {
    AppendU64(entry.offset, &bytes);
    AppendU64(entry.first_record, &bytes);
  }
  AppendU32(MaskedCrc32c(bytes), &bytes);
  return bytes;
}

Status DecodeIndex(const std::string& name, std::string_view bytes, Index* index) {
  if (bytes.size() < kMagic.size() + 4 + kFooterBytes || bytes.substr(0, 8) != kMagic) {
    return Damaged(name, 0, "no index");
  }
  const std::size_t body_bytes = bytes.size() - kFooterBytes;
  if (MaskedCrc32c(bytes.substr(0, body_bytes)) != LoadU32(bytes.data() + body_bytes)) {
    return Damaged(name, body_bytes, "the checksum does not fit the contents");
  }
  const char* const at = bytes.data();
  if (const std::uint32_t version = LoadU32(at + 8); version != kIndexVersion) {
    return {Code::kUnimplemented,
            name + ": byte 8: an index of version " + std::to_string(version) +
                ", made by a newer Headrace; this one knows version " +
                std::to_string(kIndexVersion) +
                ": use the newer one, or delete the index, and it is made anew"};
  }
  if (bytes.size() < kHeaderBytes + kFooterBytes) return Damaged(name, bytes.size(), "cut");
  const std::uint32_t format = LoadU32(at + 12);
  const std::uint32_t flags = LoadU32(at + 16);
  if (format < static_cast<std::uint32_t>(Format::kRecordIo) ||
      format > static_cast<std::uint32_t>(Format::kCsv)) {
    return Damaged(name, 12, "format " + std::to_string(format) + " does not exist");
  }
  if ((flags & ~(kGzipFlag | kDelimiterFlags)) != 0) {
    return Damaged(name, 16, "flags " + std::to_string(flags) + " do not exist");
  }
  index->layout.format = static_cast<Format>(format);
  index->layout.gzip = (flags & kGzipFlag) != 0;
  index->layout.delimiter = static_cast<char>(flags >> kDelimiterShift);
  index->data_bytes = LoadU64(at + 20);
  index->data_mtime_ns = static_cast<std::int64_t>(LoadU64(at + 28));
  index->num_records = LoadU64(at + 36);
  const std::uint64_t num_entries = LoadU64(at + 44);
  const std::size_t entry_bytes = bytes.size() - kHeaderBytes - kFooterBytes;
  if (entry_bytes % kEntryBytes != 0 || num_entries != entry_bytes / kEntryBytes) {
    return Damaged(
        name, 44,
        std::to_string(num_entries) + " entries in " + std::to_string(entry_bytes) + " bytes");
  }
  index->entries.resize(num_entries);
  for (std::size_t i = 0; i < num_entries; ++i) {
    index->entries[i].offset = LoadU64(at + kHeaderBytes + i * kEntryBytes);
    index->entries[i].first_record = LoadU64(at + kHeaderBytes + i * kEntryBytes + 8);
  }
  return CheckEntries(name, *index);
}

std::string IndexPath(const std::string& data_path, const std::string& folder) {
  const std::string extension(kIndexExtension);
  if (folder.empty()) return data_path + extension;
  std::error_code error;
  const std::filesystem::path full = IsRemote(data_path)
                                         ? std::filesystem::path(data_path)
                                         : std::filesystem::weakly_canonical(data_path, error);
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a
  for (const char c : error ? data_path : full.string()) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  }
  char digits[17];
  std::snprintf(digits, sizeof(digits), "%016" PRIx64, hash);
  const std::string base = std::filesystem::path(data_path).filename().string();
  return (std::filesystem::path(folder) / (base + "." + digits + extension)).string();
}

Status LoadIndex(const std::string& path, const InputFile& file, const Layout& layout,
                 Index* index) {
  std::string bytes;
  if (Status status = ReadWholeFile(path, kMaxIndexBytes, &bytes); !status.ok()) return status;
  if (Status status = DecodeIndex(path, bytes, index); !status.ok()) return status;
  if (index->data_bytes != file.size() || index->data_mtime_ns != file.mtime_ns() ||
      index->layout != layout) {
    return {Code::kFailedPrecondition,
            path + ": does not belong to " + file.name() +
                " as it is now; make it anew with: " + "headrace data index " + file.name()};
  }
  return {};
}

Status SaveIndex(const std::string& path, const Index& index) {
  if (IsRemote(path) && RemoteFiles() != nullptr) {
    return RemoteFiles()->Write(path, EncodeIndex(index));
  }
  std::unique_ptr<OutputFile> file;
  if (Status status = OutputFile::Create(path, &file); !status.ok()) return status;
  if (Status status = file->Append(EncodeIndex(index)); !status.ok()) return status;
  return file->Commit(/*sync=*/false);
}

}  // namespace headrace::record
