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
  if ((*file)->num_records() == 0 && !options.allow_empty) {
    return {Code::kInvalidArgument,
            path + ": has no records; leave it out, or allow such files with --allow_empty"};
  }
  return {};
}

void IndexNews::Add(const record::RecordFile& file) {
  if (const std::string& path = file.made_index(); !path.empty() && made_++ == 0) {
    first_made_ = path;
  }
  // A stale or damaged index is no news once it has been made anew.
  if (const Status& status = file.index_status(); !status.ok() && not_kept_++ == 0) {
    why_ = status.message();
  }
}

void IndexNews::Tell() const {
  const auto more = [](std::size_t count) {
    return count == 1 ? "" : ", and " + std::to_string(count - 1) + " more";
  };
  if (made_ > 0) Complain("made an index of where records begin: " + first_made_ + more(made_));
  if (not_kept_ > 0) {
    Complain("no index is kept: " + why_ + more(not_kept_) +
             "; each process that reads the file makes its own, in memory");
  }
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
