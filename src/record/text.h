// Lines of text, and records of CSV files.
//
// A line ends with \n or \r\n or with the file; a file that ends with \n has no empty line after
// it. In a CSV file (RFC 4180) a line's end inside of quotes does not end the record. Quotes count
// only where a field begins with one, so that 5" pipe is an ordinary field.
#ifndef HEADRACE_RECORD_TEXT_H_
#define HEADRACE_RECORD_TEXT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "record/byte_stream.h"
#include "record/cursor.h"

namespace headrace::record {

struct TextOptions {
  bool quotes = false;  // CSV
  char delimiter = ',';
  std::uint64_t max_record_bytes = 0;
};

// From `offset` on, where `stream` stands and a record begins.
std::unique_ptr<Cursor> MakeTextCursor(std::string name, std::unique_ptr<ByteStream> stream,
                                       std::uint64_t offset, const TextOptions& options);

// Whether a line of these bytes is read as one record: no line's end outside of quotes, and none
// open at the end.
bool IsCsvRecord(std::string_view bytes, char delimiter);

}  // namespace headrace::record

#endif  // HEADRACE_RECORD_TEXT_H_
