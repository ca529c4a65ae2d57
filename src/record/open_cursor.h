// The cursor that fits a layout.
#ifndef HEADRACE_RECORD_OPEN_CURSOR_H_
#define HEADRACE_RECORD_OPEN_CURSOR_H_

#include <cstdint>
#include <memory>

#include "record/cursor.h"
#include "record/format.h"
#include "record/input_file.h"

namespace headrace::record {

// From `offset` on, where a record (for RecordIO: a chunk) begins. Requires: offset 0 if the layout
// says gzip or RecordIO.
std::unique_ptr<Cursor> OpenCursor(const std::shared_ptr<const InputFile>& file,
                                   const Layout& layout, std::uint64_t max_record_bytes,
                                   std::uint64_t offset);

}  // namespace headrace::record

#endif  // HEADRACE_RECORD_OPEN_CURSOR_H_
