// Files that appear complete or not at all.
#ifndef HEADRACE_RECORD_OUTPUT_FILE_H_
#define HEADRACE_RECORD_OUTPUT_FILE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace headrace::record {

// Of files and folders that are being written, and of those that a killed process left.
inline constexpr std::string_view kUnfinishedExtension = ".hrpart";

// Written under another name in the same folder, and renamed by Commit().
//
// Ownership: owns the file under its other name until then: destroyed before, it is removed.
// Thread safety: one thread at a time.
// Errors: after the first one every call returns it, and Commit() renames nothing.
class OutputFile {
 public:
  static Status Create(const std::string& path, std::unique_ptr<OutputFile>* file);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  Status Append(std::string_view bytes);
  // Puts the file in its place, over one that may be there. `sync`: it survives a power failure.
  Status Commit(bool sync);

  const std::string& path() const { return path_; }
  // Appended so far.
  std::uint64_t bytes() const { return bytes_; }

 private:
  OutputFile(std::string path, std::string temporary, int fd);
  Status Flush();
  Status WriteAll(std::string_view bytes);

  const std::string path_;
  const std::string temporary_;
  int fd_;  // -1 once closed
  bool committed_ = false;
  std::string buffer_;
  std::uint64_t bytes_ = 0;
  Status status_;
};

// What was created, renamed or removed in the folder survives a power failure.
Status SyncFolder(const std::string& folder);

}  // namespace headrace::record

#endif  // HEADRACE_RECORD_OUTPUT_FILE_H_
