#include "record/file_system.h"

#include <atomic>

namespace headrace::record {
namespace {

std::atomic<const FileSystem*> remote_files{nullptr};

}  // namespace

bool IsRemote(std::string_view path) {
  return path.find("://") != std::string_view::npos;
}

void SetRemoteFiles(const FileSystem* files) {
  remote_files.store(files);
}

const FileSystem* RemoteFiles() {
  return remote_files.load();
}

Status NoRemoteFiles(const std::string& path) {
  return {Code::kUnimplemented,
          path + ": is remote (" + path.substr(0, path.find("://")) +
              "), and this program uses local or mounted folders only: copy it to one"};
}

}  // namespace headrace::record
