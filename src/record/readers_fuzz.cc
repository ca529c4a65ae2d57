// Fuzzes the readers of record files: whatever the bytes are, reading ends well, and finds damage
// just where verifying does. The first byte says what the rest is.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "record/record_file.h"
#include "record/verify.h"

namespace headrace::record {
namespace {

constexpr Format kFormats[] = {Format::kDetect, Format::kRecordIo, Format::kTfRecord, Format::kText,
                               Format::kCsv};
constexpr std::uint64_t kMaxRecordBytes = 1 << 20;

// Records read in order up to the first damage; their number if there is none.
Status ReadAll(const RecordFile& file, std::uint64_t* count) {
  std::unique_ptr<RangeReader> reader;
  Status status = file.Read(0, file.num_records(), &reader);
  if (!status.ok()) return status;
  std::string_view record;
  for (*count = 0; reader->Next(&record); ++*count) {
    if (record.size() > kMaxRecordBytes) std::abort();
  }
  return reader->status();
}

void ReadAndVerify(Format format, std::string bytes) {
  OpenOptions options;
  options.format = format;
  options.index = OpenOptions::IndexUse::kMemory;
  options.max_record_bytes = kMaxRecordBytes;
  const auto input = MakeMemoryFile("fuzz", std::move(bytes));
  std::unique_ptr<RecordFile> file;
  std::uint64_t count = 0;
  Status status = RecordFile::Open(input, options, &file);
  if (status.ok()) status = ReadAll(*file, &count);
  if (format == Format::kDetect) return;
  Layout layout;
  layout.format = format;
  VerifyReport report;
  if (!VerifyFile(input, layout, kMaxRecordBytes, 2, &report).ok()) return;
  if (file != nullptr && !file->index().layout.gzip && status.ok() != (report.num_damaged == 0)) {
    std::abort();
  }
  if (status.ok() && report.num_damaged == 0 && report.num_records != count) std::abort();
}

}  // namespace
}  // namespace headrace::record

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using headrace::record::kFormats;
  if (size == 0) return 0;
  headrace::record::ReadAndVerify(kFormats[data[0] % std::size(kFormats)],
                                  std::string(data + 1, data + size));
  return 0;
}
