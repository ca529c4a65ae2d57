#include "trainer/directory.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "record/input_file.h"

namespace headrace::trainer {

using record::SystemError;

namespace {

namespace fs = std::filesystem;

Status Sync(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return SystemError(path, "opening", errno);
  const int result = fsync(file);
  const int error = errno;
  close(file);
  return result == 0 ? Status() : SystemError(path, "syncing", error);
}

Status SyncAll(const fs::path& directory, std::int64_t* bytes) {
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (Status status = Sync(entry.path()); !status.ok()) return status;
    if (entry.is_regular_file()) *bytes += static_cast<std::int64_t>(entry.file_size());
  }
  return Sync(directory);
}

// rename() does not replace a directory that holds something. Exchanged, one of the two is there at
// every moment. Where the file system cannot do that (NFS), a crash in between leaves the old one
// under the name `old`.
Status MoveInPlace(const fs::path& from, const fs::path& to) {
  const std::string parent = to.parent_path().empty() ? "." : to.parent_path().string();
  if (!fs::exists(to)) {
    fs::rename(from, to);
    return Sync(parent);
  }
  if (!fs::is_directory(to)) {
    return Status(Code::kAlreadyExists, to.string() + " is there already, and is no directory");
  }
  fs::path old = from;
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) != 0) {
    const int error = errno;
    if (error != EINVAL && error != ENOSYS) return SystemError(to, "replacing", error);
    old = to.string() + kUnfinished + "old-" + std::to_string(getpid());
    fs::rename(to, old);
    fs::rename(from, to);
  }
  Status status = Sync(parent);
  fs::remove_all(old);
  return status;
}

Status Write(const fs::path& path, const fs::path& temporary,
             const std::function<Status(const std::string&)>& fill, std::int64_t* bytes) {
  fs::remove_all(temporary);
  fs::create_directories(temporary);
  if (Status status = fill(temporary); !status.ok()) return status;
  if (Status status = SyncAll(temporary, bytes); !status.ok()) return status;
  return MoveInPlace(temporary, path);
}

}  // namespace

Status WriteDirectory(const std::string& name,
                      const std::function<Status(const std::string& temporary)>& fill,
                      std::int64_t* bytes) {
  const fs::path path = fs::path(name).lexically_normal();
  const fs::path temporary = path.string() + kUnfinished + std::to_string(getpid());
  Status status;
  *bytes = 0;
  try {
    status = Write(path, temporary, fill, bytes);
  } catch (const fs::filesystem_error& error) {
    status = SystemError(name, "writing the folder", error.code().value());
  }
  if (!status.ok()) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
  }
  return status;
}

Status MakeDirectory(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  return error ? SystemError(path, "making the folder", error.value()) : Status();
}

void RemoveDirectory(const std::string& path) {
  std::error_code ignored;
  fs::remove_all(path, ignored);
}

Status WriteFile(const std::string& path, const std::string& contents) {
  std::ofstream file(path, std::ios::binary);
  file << contents;
  file.close();
  return file ? Status() : SystemError(path, "writing", errno);
}

}  // namespace headrace::trainer
