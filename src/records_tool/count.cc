#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "records_tool/commands.h"
#include "records_tool/console.h"
#include "records_tool/inputs.h"

namespace headrace::records_tool {
namespace {

struct Counted {
  std::string path;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  record::Layout layout;
};

// False, having complained of all that is wrong, if anything is. `must_index`: also if an index
// file could not be written.
bool CountAll(const InputOptions& options, bool must_index, std::vector<Counted>* counted) {
  std::vector<std::string> files;
  bool good = FindInputs(options, &files);
  IndexNews news;
  for (const std::string& path : files) {
    std::unique_ptr<record::RecordFile> file;
    if (Status status = OpenInput(path, options, &file); !status.ok()) {
      Complain(status);
      good = false;
      continue;
    }
    news.Add(*file);
    if (must_index && !file->index_status().ok()) good = false;  // news say why
    counted->push_back({path, file->num_records(), file->index().data_bytes, file->layout()});
  }
  if (good || must_index) news.Tell();
  return good;
}

bool PrintLines(const std::vector<Counted>& counted) {
  std::string text;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  for (const Counted& file : counted) {
    char line[128];
    std::snprintf(line, sizeof(line), "%12llu records %16llu bytes  %-8s %s ",
                  static_cast<unsigned long long>(file.records),
                  static_cast<unsigned long long>(file.bytes), FormatKey(file.layout.format),
                  file.layout.gzip ? "gzip" : "    ");
    text += line + file.path + "\n";
    records += file.records;
    bytes += file.bytes;
  }
  return Print(text + std::to_string(records) + " records, " + std::to_string(bytes) +
               " bytes in " + std::to_string(counted.size()) + " files\n");
}

bool PrintCounted(const std::vector<Counted>& counted, bool json) {
  if (!json) return PrintLines(counted);
  nlohmann::json list = nlohmann::json::array();
  for (const Counted& file : counted) {
    list.push_back({{"path", file.path},
                    {"records", file.records},
                    {"format", FormatKey(file.layout.format)},
                    {"bytes", file.bytes},
                    {"gzip", file.layout.gzip}});
  }
  return PrintJson(list);
}

}  // namespace

int Count(const InputOptions& options, bool json) {
  std::vector<Counted> counted;
  if (!CountAll(options, /*must_index=*/false, &counted)) return 1;
  return PrintCounted(counted, json) ? 0 : 1;
}

int MakeIndexes(const InputOptions& options, bool json) {
  std::vector<Counted> counted;
  if (!CountAll(options, /*must_index=*/true, &counted)) return 1;
  return PrintCounted(counted, json) ? 0 : 1;
}

}  // namespace headrace::records_tool
