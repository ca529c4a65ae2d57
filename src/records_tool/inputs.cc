#include "records_tool/inputs.h"

#include <filesystem>
#include <system_error>

#include "records_tool/console.h"
#include "records_tool/paths.h"

namespace headrace::records_tool {

bool FindInputs(const InputOptions& options, std::vector<std::string>* files) {
  const std::vector<Status> failures = ResolvePaths(options.paths, files);
  for (const Status& failure : failures) Complain(failure);
  return failures.empty();
}

Status OpenInput(const std::string& path, const InputOptions& options,
                 std::unique_ptr<record::RecordFile>* file) {
  if (const std::string& folder = options.open.index_folder;
      !folder.empty() && options.open.index == record::OpenOptions::IndexUse::kReadWrite) {
    std::error_code ignored;  // saving the index says what is wrong
    std::filesystem::create_directories(folder, ignored);
  }
  if (Status status = record::RecordFile::Open(path, options.open, file); !status.ok()) {
    return status;
  }
  // A stale or damaged index is no news once it has been made anew.
  if (const Status& index = (*file)->index_status(); !index.ok()) {
    Complain("no index is kept: " + index.message());
  }
  if ((*file)->num_records() == 0 && !options.allow_empty) {
    return {Code::kInvalidArgument,
            path + ": has no records; leave it out, or allow such files with --allow_empty"};
  }
  return {};
}

const char* FormatKey(record::Format format) {
  switch (format) {
    case record::Format::kRecordIo: return "recordio";
    case record::Format::kTfRecord: return "tfrecord";
    case record::Format::kText: return "text";
    case record::Format::kCsv: return "csv";
    case record::Format::kDetect: break;
  }
  return "unknown";
}

}  // namespace headrace::records_tool
