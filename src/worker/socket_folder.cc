#include "worker/socket_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace headrace::worker {
namespace {

namespace fs = std::filesystem;

constexpr char kPrefix[] = "headrace-";
constexpr char kLock[] = "/lock";

// Of agents of this user that run no more.
void RemoveAbandoned(const std::string& base) {
  std::error_code error;
  for (fs::directory_iterator at(base, error), end; !error && at != end; at.increment(error)) {
    const std::string folder = at->path().string();
    struct stat found {};
    if (at->path().filename().string().rfind(kPrefix, 0) != 0 ||
        lstat(folder.c_str(), &found) != 0 || !S_ISDIR(found.st_mode) ||
        found.st_uid != geteuid()) {
      continue;
    }
    // A folder without it is another program's, or about to be used.
    const int lock = open((folder + kLock).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (lock < 0) continue;
    if (flock(lock, LOCK_EX | LOCK_NB) == 0) {
      std::error_code ignored;
      fs::remove_all(folder, ignored);
    }
    close(lock);
  }
}

}  // namespace

Status SocketFolder::Make(std::string base) {
  std::error_code error;
  if (base.empty()) base = fs::temp_directory_path(error).string();
  if (base.empty()) base = "/tmp";
  RemoveAbandoned(base);
  const auto failed = [&] {
    return Status(Code::kUnavailable, "no folder for the socket in " + base + ": " +
                                          std::generic_category().message(errno) +
                                          "; give one with --socket_dir");
  };
  std::string pattern = base + "/" + kPrefix + "XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) return failed();
  path_ = pattern;
  // Locked before it has its name: who sees it knows whether its agent runs.
  const std::string unnamed = path_ + "/unnamed";
  lock_ = open(unnamed.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_ < 0 || flock(lock_, LOCK_EX | LOCK_NB) != 0 ||
      rename(unnamed.c_str(), (path_ + kLock).c_str()) != 0) {
    return failed();
  }
  return {};
}

SocketFolder::~SocketFolder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
  if (lock_ >= 0) close(lock_);
}

}  // namespace headrace::worker
