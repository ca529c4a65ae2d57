#include "record/verify.h"

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "record/input_file.h"
#include "records_tool/commands.h"
#include "records_tool/console.h"
#include "records_tool/inputs.h"

namespace headrace::records_tool {
namespace {

Status VerifyPath(const std::string& path, const InputOptions& options,
                  record::VerifyReport* report) {
  std::shared_ptr<const record::InputFile> file;
  if (Status status = record::OpenInputFile(path, &file); !status.ok()) return status;
  const record::Layout layout{options.open.format, false, options.open.delimiter};
  Status status = record::VerifyFile(file, layout, options.open.max_record_bytes,
                                     std::numeric_limits<std::size_t>::max(), report);
  if (!status.ok()) return status;
  if (Status changed = file->CheckUnchanged(); !changed.ok()) return changed;
  if (report->num_records == 0 && report->num_damaged == 0 && !options.allow_empty) {
    return {Code::kInvalidArgument,
            path + ": has no records; leave it out, or allow such files with --allow_empty"};
  }
  return {};
}

nlohmann::json AsJson(const std::string& path, const record::VerifyReport& report) {
  nlohmann::json damages = nlohmann::json::array();
  for (const record::Damage& damage : report.damages) {
    damages.push_back(
        {{"offset", damage.offset}, {"bytes", damage.bytes}, {"what", damage.status.message()}});
  }
  return {{"path", path},
          {"format", FormatKey(report.layout.format)},
          {"gzip", report.layout.gzip},
          {"records", report.num_records},
          {"damaged", report.num_damaged},
          {"damages", std::move(damages)}};
}

std::string AsLines(const std::string& path, const record::VerifyReport& report) {
  std::string text;
  for (const record::Damage& damage : report.damages) {
    text += damage.status.message() + " (" + std::to_string(damage.bytes) + " bytes lost)\n";
  }
  const std::string verdict = report.num_damaged == 0
                                  ? "good"
                                  : "DAMAGED in " + std::to_string(report.num_damaged) + " places";
  return text + path + ": " + verdict + ", " + std::to_string(report.num_records) +
         " records can be read (" + record::FormatName(report.layout.format) + ")\n";
}

}  // namespace

int Verify(const InputOptions& options, bool json) {
  std::vector<std::string> files;
  bool good = FindInputs(options, &files);
  nlohmann::json list = nlohmann::json::array();
  for (const std::string& path : files) {
    record::VerifyReport report;
    if (Status status = VerifyPath(path, options, &report); !status.ok()) {
      Complain(status);
      good = false;
      continue;
    }
    if (report.num_damaged > 0) good = false;
    if (json) {
      list.push_back(AsJson(path, report));
    } else if (!Print(AsLines(path, report))) {
      return 1;
    }
  }
  if (json && !PrintJson(list)) return 1;
  return good ? 0 : 1;
}

}  // namespace headrace::records_tool
