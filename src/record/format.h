// The formats of record files, and how to tell them apart.
#ifndef HEADRACE_RECORD_FORMAT_H_
#define HEADRACE_RECORD_FORMAT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "record/input_file.h"

namespace headrace::record {

// The numbers are part of the index files' format.
enum class Format : std::uint32_t {
  kDetect = 0,
  kRecordIo = 1,
  kTfRecord = 2,
  kText = 3,  // one record a line
  kCsv = 4,   // as text, but a line's end in quotes does not end the record
};

// "RecordIO", "TFRecord", "text", "CSV".
const char* FormatName(Format format);

// How a file's bytes become records.
struct Layout {
  Format format = Format::kDetect;
  bool gzip = false;     // the whole file is packed
  char delimiter = ',';  // of CSV
};

inline bool operator==(const Layout& a, const Layout& b) {
  return a.format == b.format && a.gzip == b.gzip && a.delimiter == b.delimiter;
}
inline bool operator!=(const Layout& a, const Layout& b) {
  return !(a == b);
}

// What a file's extension promises, .gz after it or not; kText if it promises nothing.
Format FormatOfName(std::string_view name);

// Completes *layout: gzip always by content; the format, if kDetect, by content, and text and CSV
// by the extension (.csv and .csv.gz are CSV). DATA_LOSS if the extension promises RecordIO
// (.recordio, .rio) or TFRecord (.tfrecord, .tfrecords) and the content is something else;
// INVALID_ARGUMENT if it is binary and nothing known.
Status DetectLayout(const std::shared_ptr<const InputFile>& file, Layout* layout);

}  // namespace headrace::record

#endif  // HEADRACE_RECORD_FORMAT_H_
