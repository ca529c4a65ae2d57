// TFRecord files: 64-bit length, its masked CRC32C, the bytes, their masked CRC32C.
#ifndef HEADRACE_RECORD_TFRECORD_H_
#define HEADRACE_RECORD_TFRECORD_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "record/byte_stream.h"
#include "record/cursor.h"

namespace headrace::record {

inline constexpr std::size_t kTfRecordHeaderBytes = 12;
inline constexpr std::size_t kTfRecordFooterBytes = 4;

// Whether these bytes, at least 12, begin a record. By chance one in four billion do.
bool IsTfRecordHeader(std::string_view bytes);

// From `offset` on, where `stream` stands. Records over `max_record_bytes` are an error.
std::unique_ptr<Cursor> MakeTfRecordCursor(std::string name, std::unique_ptr<ByteStream> stream,
                                           std::uint64_t offset, std::uint64_t max_record_bytes);

void AppendTfRecord(std::string_view record, std::string* file);

}  // namespace headrace::record

#endif  // HEADRACE_RECORD_TFRECORD_H_
