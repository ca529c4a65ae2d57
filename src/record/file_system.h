// Files that are elsewhere: "scheme://...".
#ifndef HEADRACE_RECORD_FILE_SYSTEM_H_
#define HEADRACE_RECORD_FILE_SYSTEM_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "record/input_file.h"

namespace headrace::record {

// Thread safety: every method may run concurrently.
class FileSystem {
 public:
  virtual ~FileSystem() = default;

  // As OpenInputFile() below.
  virtual Status Open(const std::string& path, std::shared_ptr<const InputFile>* file) const = 0;
  // Readers see the file as it was, or all of this.
  virtual Status Write(const std::string& path, std::string_view contents) const = 0;
  // The files that a path names: itself; all in a folder and below; those that match a pattern
  // (* ? [...]), and all below the folders that do. In any order. NOT_FOUND: there is none.
  virtual Status Find(const std::string& path, std::vector<std::string>* files) const = 0;
};

bool IsRemote(std::string_view path);

// Of all schemes; nullptr in a process that reads local files only.
// SetRemoteFiles: at the start of a process, before there are other threads; `files` stays.
void SetRemoteFiles(const FileSystem* files);
const FileSystem* RemoteFiles();

// Where there are no remote files: UNIMPLEMENTED, naming the path and what to do.
Status NoRemoteFiles(const std::string& path);

}  // namespace headrace::record

#endif  // HEADRACE_RECORD_FILE_SYSTEM_H_
