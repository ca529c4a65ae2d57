#include "record/open_cursor.h"

#include <utility>

#include "record/byte_stream.h"
#include "record/recordio.h"
#include "record/text.h"
#include "record/tfrecord.h"

namespace headrace::record {

std::unique_ptr<Cursor> OpenCursor(const std::shared_ptr<const InputFile>& file,
                                   const Layout& layout, std::uint64_t max_record_bytes,
                                   std::uint64_t offset) {
  auto stream = layout.gzip ? OpenGzipStream(file) : OpenStream(file, offset);
  switch (layout.format) {
    case Format::kRecordIo:
      return MakeRecordIoCursor(file->name(), std::move(stream), nullptr, 0, nullptr);
    case Format::kTfRecord:
      return MakeTfRecordCursor(file->name(), std::move(stream), offset, max_record_bytes);
    case Format::kDetect:
    case Format::kText:
    case Format::kCsv: break;
  }
  TextOptions options;
  options.quotes = layout.format == Format::kCsv;
  options.delimiter = layout.delimiter;
  options.max_record_bytes = max_record_bytes;
  return MakeTextCursor(file->name(), std::move(stream), offset, options);
}

}  // namespace headrace::record
