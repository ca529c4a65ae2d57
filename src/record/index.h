// Where the records of a file are: made once, kept beside the file or in a folder of its own.
//
// An index file, all little-endian: "HRINDEX\n", version, format, flags (bit 0: gzip; bits 8 to 15:
// the delimiter of CSV), all 32 bits; bytes and modification time of the data file, number of
// records, number of entries, all 64 bits; (offset, number of the first record) for each entry, 64
// bits each; and, in every version, at the very end the masked CRC32C of all before it.
#ifndef HEADRACE_RECORD_INDEX_H_
#define HEADRACE_RECORD_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "record/format.h"
#include "record/input_file.h"

namespace headrace::record {

inline constexpr std::uint32_t kIndexVersion = 1;
inline constexpr std::string_view kIndexExtension = ".hridx";

struct IndexEntry {
  std::uint64_t offset = 0;
  std::uint64_t first_record = 0;  // the one that begins there
};

// One entry for each chunk of RecordIO; one for each 1,024 records, or each 256 KiB if that is
// less, of the others; a single one for what is packed by gzip.
struct Index {
  Layout layout;
  std::uint64_t data_bytes = 0;
  std::int64_t data_mtime_ns = 0;
  std::uint64_t num_records = 0;
  std::vector<IndexEntry> entries;  // ascending

  // The last entry that is not after `record`: O(log entries). Requires: record < num_records.
  std::size_t Find(std::uint64_t record) const;
  // Where the entry's records and bytes end.
  std::uint64_t FirstRecordAfter(std::size_t entry) const;
  std::uint64_t OffsetAfter(std::size_t entry) const;
};

// Reads all of the file, as far as it takes to find where records begin (headers of chunks, lengths
// of TFRecords, all of a text); contents are not checked. DATA_LOSS if the file is damaged there.
Status BuildIndex(const std::shared_ptr<const InputFile>& file, const Layout& layout,
                  std::uint64_t max_record_bytes, Index* index);

std::string EncodeIndex(const Index& index);
// DATA_LOSS if it is damaged; UNIMPLEMENTED, with the version, if a newer Headrace wrote it.
Status DecodeIndex(const std::string& name, std::string_view bytes, Index* index);

// The index file of `data_path`: beside it, if `folder` is empty, else in that folder, where the
// name tells files of different folders apart.
std::string IndexPath(const std::string& data_path, const std::string& folder);

// NOT_FOUND if there is none; FAILED_PRECONDITION if it does not belong to the file as it is now,
// or to this layout; else as DecodeIndex().
Status LoadIndex(const std::string& path, const InputFile& file, const Layout& layout,
                 Index* index);
// By rename: readers see the old one or the new one.
Status SaveIndex(const std::string& path, const Index& index);

}  // namespace headrace::record

#endif  // HEADRACE_RECORD_INDEX_H_
