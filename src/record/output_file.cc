#include "record/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "record/file_system.h"
#include "record/input_file.h"

namespace headrace::record {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{256} * 1024;

}  // namespace

Status SyncFolder(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return SystemError(folder, "opening the folder", errno);
  const int failed = ::fsync(fd);
  const int error = errno;
  ::close(fd);
  return failed != 0 ? SystemError(folder, "syncing the folder", error) : Status();
}

Status OutputFile::Create(const std::string& path, std::unique_ptr<OutputFile>* file) {
  if (IsRemote(path)) return NoRemoteFiles(path);
  static std::atomic<std::uint64_t> next{0};
  // Left over from a process that was killed, a name may be taken already.
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::string temporary =
        path + "." + std::to_string(::getpid()) + "-" + std::to_string(next.fetch_add(1));
    temporary += kUnfinishedExtension;
    const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0) {
      file->reset(new OutputFile(path, std::move(temporary), fd));
      return {};
    }
    if (errno != EEXIST) return SystemError(path, "creating", errno);
  }
  return SystemError(path, "creating", EEXIST);
}

OutputFile::OutputFile(std::string path, std::string temporary, int fd)
    : path_(std::move(path)), temporary_(std::move(temporary)), fd_(fd) {}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!committed_) ::unlink(temporary_.c_str());
}

Status OutputFile::Append(std::string_view bytes) {
  if (!status_.ok()) return status_;
  bytes_ += bytes.size();
  if (buffer_.size() + bytes.size() > kBufferBytes) {
    if (Status status = Flush(); !status.ok()) return status;
  }
  if (bytes.size() >= kBufferBytes) return WriteAll(bytes);
  buffer_.append(bytes);
  return {};
}

Status OutputFile::Flush() {
  Status status = WriteAll(buffer_);
  buffer_.clear();
  return status;
}

Status OutputFile::WriteAll(std::string_view bytes) {
  while (status_.ok() && !bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0) {
      if (errno != EINTR) status_ = SystemError(path_, "writing", errno);
      continue;
    }
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return status_;
}

Status OutputFile::Commit(bool sync) {
  if (!status_.ok()) return status_;
  if (fd_ < 0) {
    return {Code::kFailedPrecondition, path_ + ": was committed already"};
  }
  if (Status status = Flush(); !status.ok()) return status;
  if (sync && ::fsync(fd_) != 0) return status_ = SystemError(path_, "syncing", errno);
  const int failed = ::close(fd_);
  fd_ = -1;
  if (failed != 0) return status_ = SystemError(path_, "closing", errno);
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return status_ = SystemError(path_, "renaming " + temporary_ + " to it", errno);
  }
  committed_ = true;
  if (!sync) return {};
  const std::string folder = std::filesystem::path(path_).parent_path().string();
  return SyncFolder(folder.empty() ? "." : folder);
}

}  // namespace headrace::record
