#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "records_tool/commands.h"
#include "records_tool/console.h"
#include "records_tool/inputs.h"

namespace headrace::records_tool {
namespace {

constexpr std::size_t kShownBytes = 100;  // of contents that are no text

// On one line, in visible ASCII.
std::string Escaped(std::string_view bytes) {
  std::string text;
  for (const char c : bytes.substr(0, kShownBytes)) {
    char shown[5] = {c, '\0'};
    if (c < ' ' || c > '~') {
      std::snprintf(shown, sizeof(shown), "\\x%02x", static_cast<unsigned char>(c));
    } else if (c == '\\') {
      shown[1] = '\\';
      shown[2] = '\0';
    }
    text += shown;
  }
  return bytes.size() > kShownBytes ? text + "..." : text;
}

bool IsText(record::Format format) {
  return format == record::Format::kText || format == record::Format::kCsv;
}

}  // namespace

int Cat(const InputOptions& options, const CatOptions& cat) {
  std::vector<std::string> paths;
  if (!FindInputs(options, &paths)) return 1;
  if (paths.size() != 1) {
    Complain(options.paths.front() + ": names " + std::to_string(paths.size()) +
             " files; name one of them");
    return 1;
  }
  std::unique_ptr<record::RecordFile> file;
  std::unique_ptr<record::RangeReader> reader;
  Status status = OpenInput(paths.front(), options, &file);
  if (status.ok()) {
    IndexNews news;
    news.Add(*file);
    news.Tell();
    status = file->Read(cat.begin, cat.end.value_or(file->num_records()), &reader);
  }
  if (!status.ok()) {
    Complain(status);
    return 1;
  }
  std::string_view record;
  while (reader->Next(&record)) {
    std::string line =
        std::to_string(reader->next_record() - 1) + "\t" + std::to_string(record.size());
    if (!cat.length_only) {
      line += "\t";
      line += IsText(file->layout().format) ? std::string(record) : Escaped(record);
    }
    if (!Print(line + "\n")) return 1;
  }
  if (!reader->status().ok()) Complain(reader->status());
  return reader->status().ok() ? 0 : 1;
}

}  // namespace headrace::records_tool
