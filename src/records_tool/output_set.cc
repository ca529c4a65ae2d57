#include "records_tool/output_set.h"

#include <fnmatch.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "record/index.h"
#include "record/input_file.h"
#include "record/output_file.h"
#include "records_tool/console.h"

namespace headrace::records_tool {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFiles = 100000;  // as many as five digits name in order

std::string PartName(std::size_t number, record::Format format) {
  char digits[24];
  std::snprintf(digits, sizeof(digits), "part-%05zu.", number);
  return std::string(digits) + Extension(format);
}

// A part, or its index.
bool IsPart(fs::path name) {
  if (name.extension() == record::kIndexExtension) name.replace_extension();
  for (const auto format : {record::Format::kRecordIo, record::Format::kTfRecord,
                            record::Format::kText, record::Format::kCsv}) {
    const std::string pattern = std::string("part-[0-9][0-9][0-9][0-9][0-9].") + Extension(format);
    if (::fnmatch(pattern.c_str(), name.c_str(), 0) == 0) return true;
  }
  return false;
}

Status CheckExtension(const std::string& path, record::Format format) {
  const record::Format promised = record::FormatOfName(path);
  if (path.size() > 3 && path.compare(path.size() - 3, 3, ".gz") == 0) {
    return {Code::kInvalidArgument,
            path +
                ": gzip files cannot be split among workers and are not written; leave .gz out "
                "(--compressor packs the chunks of RecordIO)"};
  }
  // Readers tell RecordIO and TFRecord by content, text from CSV by name.
  const bool by_name = format == record::Format::kText || format == record::Format::kCsv;
  if (promised == format || (promised == record::Format::kText && !by_name)) return {};
  return {Code::kInvalidArgument, path + ": is named as " + record::FormatName(promised) +
                                      ", but is to hold " + record::FormatName(format) +
                                      "; give it another name, or another --to"};
}

Status CheckFolder(const OutputOptions& options) {
  const bool may_replace = options.overwrite;
  std::error_code error;
  for (fs::directory_iterator at(options.path, error); !error && at != fs::directory_iterator();
       at.increment(error)) {
    if (!may_replace) {
      return {Code::kAlreadyExists, options.path + ": is there already; --overwrite replaces it"};
    }
    if (!IsPart(at->path().filename())) {
      return {Code::kAlreadyExists,
              options.path + ": holds " + at->path().filename().string() +
                  ", which was not written by this command, and is not replaced; name another "
                  "folder"};
    }
  }
  return error ? record::SystemError(options.path, "listing it", error.value()) : Status();
}

// Whether what is at options.path may be replaced.
Status CheckPlace(const OutputOptions& options) {
  std::error_code error;
  const fs::file_status found = fs::status(options.path, error);
  if (!fs::exists(found)) return {};
  if (options.records_per_file > 0) {
    if (fs::is_directory(found)) return CheckFolder(options);
    return {Code::kAlreadyExists, options.path + ": is a file; a folder is to be written"};
  }
  if (fs::is_directory(found)) {
    return {Code::kAlreadyExists,
            options.path + ": is a folder; name a file, or say --records_per_file"};
  }
  if (options.overwrite) return {};
  return {Code::kAlreadyExists, options.path + ": is there already; --overwrite replaces it"};
}

std::string FolderOf(const std::string& path) {
  const fs::path folder = fs::path(path).parent_path();
  return folder.empty() ? "." : folder.string();
}

// Beside `path`; the name is one that paths.h leaves out.
std::string OtherName(const std::string& path, int number) {
  return path + "." + std::to_string(::getpid()) + "-" + std::to_string(number) +
         std::string(record::kUnfinishedExtension);
}

}  // namespace

const char* Extension(record::Format format) {
  switch (format) {
    case record::Format::kRecordIo: return "recordio";
    case record::Format::kTfRecord: return "tfrecord";
    case record::Format::kCsv: return "csv";
    case record::Format::kText:
    case record::Format::kDetect: break;
  }
  return "txt";
}

Status OutputSet::Create(OutputOptions options, std::unique_ptr<OutputSet>* output) {
  while (options.path.size() > 1 && options.path.back() == '/') options.path.pop_back();
  const bool one_file = options.records_per_file == 0;
  if (one_file) {
    Status status = CheckExtension(options.path, options.write.format);
    if (!status.ok()) return status;
  }
  if (Status status = CheckPlace(options); !status.ok()) return status;
  std::unique_ptr<Spool> spool;
  if (options.shuffle) {
    if (Status status = Spool::Create(FolderOf(options.path), &spool); !status.ok()) return status;
  }
  std::string parts;
  if (!one_file) {
    parts = OtherName(options.path, 0);
    std::error_code error;
    fs::create_directory(parts, error);
    if (error) return record::SystemError(options.path, "creating the folder", error.value());
  }
  output->reset(new OutputSet(std::move(options), std::move(parts), std::move(spool)));
  // The first file even if there are no records; also, what is wrong with the place shows now.
  return (*output)->StartFile();
}

OutputSet::OutputSet(OutputOptions options, std::string parts, std::unique_ptr<Spool> spool)
    : options_(std::move(options)), parts_(std::move(parts)), spool_(std::move(spool)) {}

OutputSet::~OutputSet() {
  writer_.reset();
  if (committed_ || parts_.empty()) return;
  std::error_code ignored;
  fs::remove_all(parts_, ignored);
}

Status OutputSet::Write(std::string_view record) {
  if (Interrupted()) return InterruptedError();
  return spool_ != nullptr ? spool_->Add(record) : Append(record);
}

Status OutputSet::StartFile() {
  if (files_.size() == kMaxFiles) {
    return {Code::kInvalidArgument, options_.path + ": more than " + std::to_string(kMaxFiles) +
                                        " files; raise --records_per_file"};
  }
  std::string path = options_.path;
  if (!parts_.empty()) path = parts_ + "/" + PartName(files_.size(), options_.write.format);
  files_.push_back({path, 0});
  return record::CreateRecordWriter(path, options_.write, &writer_);
}

Status OutputSet::Append(std::string_view record) {
  if (options_.records_per_file > 0 && files_.back().records == options_.records_per_file) {
    if (Status status = writer_->Close(); !status.ok()) return status;
    if (Status status = StartFile(); !status.ok()) return status;
  }
  if (Status status = writer_->Write(record); !status.ok()) return status;
  ++files_.back().records;
  return {};
}

Status OutputSet::Commit() {
  if (spool_ != nullptr) {
    Status status = spool_->Shuffled(options_.seed, [this](std::string_view record) {
      if (Interrupted()) return InterruptedError();
      return Append(record);
    });
    if (!status.ok()) return status;
  }
  if (Status status = writer_->Close(); !status.ok()) return status;
  if (!parts_.empty()) {
    if (Status status = RenameFolder(); !status.ok()) return status;
  }
  committed_ = true;
  return {};
}

Status OutputSet::RenameFolder() {
  const std::string old = OtherName(options_.path, 1);
  std::error_code error;
  const bool replaces = fs::exists(options_.path, error) && !fs::is_empty(options_.path, error);
  if (replaces) {
    // What came in the meantime is not ours to remove either.
    if (Status status = CheckFolder(options_); !status.ok()) return status;
    fs::rename(options_.path, old, error);
    if (error) return record::SystemError(options_.path, "renaming the old one", error.value());
  }
  fs::rename(parts_, options_.path, error);
  if (error) {
    std::error_code ignored;
    if (replaces) fs::rename(old, options_.path, ignored);
    return record::SystemError(options_.path, "renaming " + parts_ + " to it", error.value());
  }
  for (WrittenFile& file : files_) {
    file.path = options_.path + "/" + fs::path(file.path).filename().string();
  }
  if (Status status = record::SyncFolder(FolderOf(options_.path)); !status.ok()) return status;
  if (replaces) fs::remove_all(old, error);
  return {};
}

}  // namespace headrace::records_tool
