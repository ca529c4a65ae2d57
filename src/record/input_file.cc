#include "record/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <system_error>
#include <utility>

#include "record/file_system.h"

namespace headrace::record {
namespace {

std::int64_t ModificationTime(const struct stat& info) {
  return static_cast<std::int64_t>(info.st_mtim.tv_sec) * 1000000000 + info.st_mtim.tv_nsec;
}

class LocalFile final : public InputFile {
 public:
  LocalFile(std::string name, int fd, const struct stat& info)
      : InputFile(std::move(name), static_cast<std::uint64_t>(info.st_size),
                  ModificationTime(info)),
        fd_(fd) {}
  ~LocalFile() override { ::close(fd_); }

  Status ReadAt(std::uint64_t offset, std::size_t bytes, char* to,
                std::size_t* got) const override {
    *got = 0;
    while (*got < bytes) {
      const ssize_t n = ::pread(fd_, to + *got, bytes - *got, static_cast<off_t>(offset + *got));
      if (n == 0) break;
      if (n < 0) {
        if (errno == EINTR) continue;
        return SystemError(name(), "reading at byte " + std::to_string(offset + *got), errno);
      }
      *got += static_cast<std::size_t>(n);
    }
    return {};
  }

  Status CheckUnchanged() const override {
    struct stat info;
    if (::fstat(fd_, &info) != 0) return SystemError(name(), "looking at it", errno);
    if (static_cast<std::uint64_t>(info.st_size) == size() &&
        ModificationTime(info) == mtime_ns()) {
      return {};
    }
    return {Code::kFailedPrecondition,
            name() + ": was changed after it was opened (" + std::to_string(size()) +
                " bytes then, " + std::to_string(info.st_size) +
                " now); record files must not change during a job: start again"};
  }

 private:
  const int fd_;
};

class MemoryFile final : public InputFile {
 public:
  MemoryFile(std::string name, std::string contents)
      : InputFile(std::move(name), contents.size(), 0), contents_(std::move(contents)) {}

  Status ReadAt(std::uint64_t offset, std::size_t bytes, char* to,
                std::size_t* got) const override {
    const std::size_t begin = std::min<std::uint64_t>(offset, contents_.size());
    *got = std::min(bytes, contents_.size() - begin);
    if (*got > 0) std::memcpy(to, contents_.data() + begin, *got);
    return {};
  }

 private:
  const std::string contents_;
};

}  // namespace

Status OpenInputFile(const std::string& path, std::shared_ptr<const InputFile>* file) {
  if (IsRemote(path)) {
    return RemoteFiles() == nullptr ? NoRemoteFiles(path) : RemoteFiles()->Open(path, file);
  }
  // Not blocking: opening a pipe would wait for its writer.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return SystemError(path, "opening", errno);
  struct stat info;
  if (::fstat(fd, &info) != 0) {
    const int error = errno;
    ::close(fd);
    return SystemError(path, "looking at it", error);
  }
  if (!S_ISREG(info.st_mode)) {
    ::close(fd);
    return {Code::kInvalidArgument, path + ": is " +
                                        (S_ISDIR(info.st_mode) ? "a folder" : "no regular file") +
                                        "; name the record files themselves"};
  }
  *file = std::make_shared<LocalFile>(path, fd, info);
  return {};
}

std::shared_ptr<const InputFile> MakeMemoryFile(std::string name, std::string contents) {
  return std::make_shared<MemoryFile>(std::move(name), std::move(contents));
}

Status ReadWholeFile(const std::string& path, std::uint64_t max_bytes, std::string* contents) {
  std::shared_ptr<const InputFile> file;
  if (Status status = OpenInputFile(path, &file); !status.ok()) return status;
  if (file->size() > max_bytes) {
    return {Code::kInvalidArgument, path + ": has " + std::to_string(file->size()) +
                                        " bytes, more than the " + std::to_string(max_bytes) +
                                        " that are allowed here"};
  }
  contents->resize(file->size());
  std::size_t got = 0;
  if (Status status = file->ReadAt(0, contents->size(), contents->data(), &got); !status.ok()) {
    return status;
  }
  contents->resize(got);
  return {};
}

Status DamageAt(const std::string& file, std::uint64_t offset, const std::string& what) {
  return {Code::kDataLoss,
          file + ": byte " + std::to_string(offset) + ": " + what + DamageAdvice(file)};
}

std::string DamageAdvice(const std::string& file) {
  return "; restore the file, or see all damage with: headrace data verify " + file;
}

Status SystemError(const std::string& file, const std::string& doing, int error) {
  Code code = Code::kUnavailable;
  if (error == ENOENT || error == ENOTDIR) code = Code::kNotFound;
  if (error == EACCES || error == EPERM || error == EROFS) code = Code::kPermissionDenied;
  if (error == ENOSPC || error == EDQUOT || error == EMFILE) code = Code::kResourceExhausted;
  if (error == EIO) code = Code::kDataLoss;
  return {code, file + ": " + doing + ": " + std::generic_category().message(error)};
}

}  // namespace headrace::record
