#include "records_tool/paths.h"

#include <glob.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>
#include <utility>

#include "record/file_system.h"
#include "record/index.h"
#include "record/output_file.h"

namespace headrace::records_tool {
namespace {

namespace fs = std::filesystem;

bool IsIndexFile(const fs::path& path) {
  return path.extension() == record::kIndexExtension;
}

bool IsLeftOut(const fs::path& path) {
  return path.filename().string().front() == '.' || IsIndexFile(path) ||
         path.extension() == record::kUnfinishedExtension;
}

Status Failed(const fs::path& path, const std::string& doing, const std::error_code& error) {
  const Code code = error == std::errc::no_such_file_or_directory ? Code::kNotFound
                    : error == std::errc::permission_denied       ? Code::kPermissionDenied
                                                                  : Code::kUnavailable;
  return {code, path.string() + ": " + doing + ": " + error.message()};
}

Status CheckUtf8(const std::string& path) {
  try {
    (void)nlohmann::json(path).dump();
  } catch (const nlohmann::json::exception&) {
    return {Code::kInvalidArgument, path + ": the name is not UTF-8; rename it"};
  }
  return {};
}

class Resolver {
 public:
  explicit Resolver(std::vector<std::string>* files) : files_(files) {}

  Status Add(const std::string& argument) {
    argument_ = argument;
    if (record::IsRemote(argument)) return AddRemote(argument);
    std::error_code error;
    const fs::file_status found = fs::status(argument, error);
    if (fs::exists(found)) return AddFound(argument, found);
    if (found.type() != fs::file_type::not_found) return Failed(argument, "looking at it", error);
    if (argument.find_first_of("*?[") != std::string::npos) return AddMatches(argument);
    return {Code::kNotFound, argument + ": there is no such file or folder"};
  }

 private:
  Status AddFound(const fs::path& path, const fs::file_status& found) {
    if (fs::is_directory(found)) return AddFolder(path);
    if (!fs::is_regular_file(found)) {
      return {Code::kInvalidArgument, path.string() + ": is neither a file nor a folder"};
    }
    if (IsIndexFile(path)) {
      return {Code::kInvalidArgument, path.string() + ": is an index; name the file it belongs to"};
    }
    return AddFile(path);
  }

  Status AddRemote(const std::string& argument) {
    if (record::RemoteFiles() == nullptr) return record::NoRemoteFiles(argument);
    std::vector<std::string> found;
    if (Status status = record::RemoteFiles()->Find(argument, &found); !status.ok()) return status;
    if (found.size() != 1 || found.front() != argument) {
      // Names that begin with a dot, and what is below them, are left out as in local folders.
      const std::size_t root = argument.find("://") + 3;
      found.erase(std::remove_if(found.begin(), found.end(),
                                 [root](const std::string& path) {
                                   return IsLeftOut(path) ||
                                          path.find("/.", root) != std::string::npos;
                                 }),
                  found.end());
    }
    if (found.empty()) return {Code::kNotFound, argument + ": there are no record files there"};
    std::sort(found.begin(), found.end());
    for (std::string& path : found) {
      if (IsIndexFile(path)) {
        return {Code::kInvalidArgument, path + ": is an index; name the file it belongs to"};
      }
      if (Status status = AddName(std::move(path)); !status.ok()) return status;
    }
    return {};
  }

  Status AddFile(const fs::path& path) {
    std::error_code error;
    const fs::path folder = fs::canonical(path.has_parent_path() ? path.parent_path() : ".", error);
    if (error) return Failed(path, "looking for its folder", error);
    return AddName((folder / path.filename()).string());
  }

  Status AddName(std::string file) {
    if (Status status = CheckUtf8(file); !status.ok()) return status;
    const auto [first, added] = named_by_.emplace(file, argument_);
    if (!added) {
      return {Code::kInvalidArgument, file + ": is named twice, by " + first->second + " and by " +
                                          argument_ + "; its records would count twice"};
    }
    files_->push_back(std::move(file));
    return {};
  }

  Status AddFolder(const fs::path& folder) {
    std::vector<fs::path> found;
    std::error_code error;
    fs::recursive_directory_iterator at(folder, error);
    for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
      const fs::directory_entry& entry = *at;
      if (IsLeftOut(entry.path())) {
        at.disable_recursion_pending();
        continue;
      }
      if (entry.is_symlink(error) && entry.is_directory(error)) {
        return {Code::kInvalidArgument,
                entry.path().string() + ": is a link to a folder; name that folder itself"};
      }
      if (!error && entry.is_regular_file(error)) found.push_back(entry.path());
      if (error) return Failed(entry.path(), "looking at it", error);
    }
    if (error) return Failed(folder, "listing it", error);
    if (found.empty()) {
      return {Code::kNotFound, folder.string() + ": there are no record files in this folder"};
    }
    std::sort(found.begin(), found.end());
    for (const fs::path& path : found) {
      if (Status status = AddFile(path); !status.ok()) return status;
    }
    return {};
  }

  Status AddMatches(const std::string& pattern) {
    glob_t matches{};
    // NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread
    const int failed = ::glob(pattern.c_str(), GLOB_NOSORT | GLOB_ERR, nullptr, &matches);
    std::vector<fs::path> found;
    if (failed == 0) found.assign(matches.gl_pathv, matches.gl_pathv + matches.gl_pathc);
    ::globfree(&matches);
    if (failed != 0 && failed != GLOB_NOMATCH) {
      return {Code::kPermissionDenied, pattern + ": cannot list the folders that it names"};
    }
    found.erase(std::remove_if(found.begin(), found.end(), IsLeftOut), found.end());
    if (found.empty()) return {Code::kNotFound, pattern + ": matches no record file"};
    std::sort(found.begin(), found.end());
    for (const fs::path& path : found) {
      std::error_code error;
      const fs::file_status status = fs::status(path, error);
      if (error) return Failed(path, "looking at it", error);
      if (Status added = AddFound(path, status); !added.ok()) return added;
    }
    return {};
  }

  std::vector<std::string>* const files_;
  std::string argument_;
  std::map<std::string, std::string> named_by_;  // file -> argument
};

}  // namespace

std::vector<Status> ResolvePaths(const std::vector<std::string>& paths,
                                 std::vector<std::string>* files) {
  std::vector<Status> failures;
  Resolver resolver(files);
  for (const std::string& path : paths) {
    if (Status status = resolver.Add(path); !status.ok()) failures.push_back(std::move(status));
  }
  return failures;
}

}  // namespace headrace::records_tool
