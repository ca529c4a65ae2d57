// Record files wherever TensorFlow has a file system: gs:// in the wheel, others where a library of
// ops brings them. Linking this file in is enough.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "record/file_system.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/runtime/convert.h"

namespace headrace {
namespace {

using ::tensorflow::Env;

Status Failed(const std::string& path, const std::string& doing, const absl::Status& why) {
  if (absl::IsUnimplemented(why)) {
    return Status(Code::kUnimplemented,
                  absl::StrCat(path, ": this TensorFlow has no file system for it (", why.message(),
                               "): copy it to a local or mounted folder"));
  }
  return Status(static_cast<Code>(why.raw_code()),
                absl::StrCat(path, ": ", doing, ": ", why.message()));
}

class RemoteFile final : public record::InputFile {
 public:
  RemoteFile(std::string name, const tensorflow::FileStatistics& info,
             std::unique_ptr<tensorflow::RandomAccessFile> file)
      : InputFile(std::move(name), static_cast<std::uint64_t>(info.length), info.mtime_nsec),
        file_(std::move(file)) {}

  Status ReadAt(std::uint64_t offset, std::size_t bytes, char* to,
                std::size_t* got) const override {
    *got = 0;
    while (*got < bytes) {
      absl::string_view read;
      const absl::Status status =
          file_->Read(offset + *got, read, absl::MakeSpan(to + *got, bytes - *got));
      // A file system may give memory of its own.
      if (read.data() != to + *got) std::copy(read.begin(), read.end(), to + *got);
      *got += read.size();
      if (absl::IsOutOfRange(status) || (status.ok() && read.empty())) break;  // the end
      if (!status.ok()) return Failed(name(), absl::StrCat("reading at byte ", offset), status);
    }
    return Status();
  }

  Status CheckUnchanged() const override {
    tensorflow::FileStatistics info;
    if (absl::Status status = Env::Default()->Stat(name(), &info); !status.ok()) {
      return Failed(name(), "looking at it", status);
    }
    if (static_cast<std::uint64_t>(info.length) == size() && info.mtime_nsec == mtime_ns()) {
      return Status();
    }
    return Status(
        Code::kFailedPrecondition,
        absl::StrCat(name(), ": was changed after it was opened (", size(), " bytes then, ",
                     info.length, " now); record files must not change during a job: start again"));
  }

 private:
  const std::unique_ptr<tensorflow::RandomAccessFile> file_;
};

class RemoteFiles final : public record::FileSystem {
 public:
  Status Open(const std::string& path,
              std::shared_ptr<const record::InputFile>* file) const override {
    tensorflow::FileStatistics info;
    if (absl::Status status = Env::Default()->Stat(path, &info); !status.ok()) {
      return Failed(path, "looking at it", status);
    }
    if (info.is_directory) {
      return Status(Code::kInvalidArgument,
                    path + ": is a folder; name the record files themselves");
    }
    std::unique_ptr<tensorflow::RandomAccessFile> opened;
    if (absl::Status status = Env::Default()->NewRandomAccessFile(path, &opened); !status.ok()) {
      return Failed(path, "opening", status);
    }
    *file = std::make_shared<RemoteFile>(path, info, std::move(opened));
    return Status();
  }

  // Under another name first: not every file system shows a file only when it is complete.
  Status Write(const std::string& path, std::string_view contents) const override {
    const std::string part = absl::StrCat(path, ".", Env::Default()->NowMicros(), ".hrpart");
    absl::Status status = tensorflow::WriteStringToFile(Env::Default(), part, contents);
    if (status.ok()) status = Env::Default()->RenameFile(part, path);
    if (status.ok()) return Status();
    Env::Default()->DeleteFile(part).IgnoreError();
    return Failed(path, "writing", status);
  }

  Status Find(const std::string& path, std::vector<std::string>* files) const override {
    Env* const env = Env::Default();
    if (env->IsDirectory(path).ok()) return AddFolder(path, files);
    const absl::Status exists = env->FileExists(path);
    if (exists.ok()) {
      files->push_back(path);
      return Status();
    }
    if (!absl::IsNotFound(exists)) return Failed(path, "looking at it", exists);
    std::vector<std::string> matches;
    if (path.find_first_of("*?[") != std::string::npos) {
      if (absl::Status status = env->GetMatchingPaths(path, &matches); !status.ok()) {
        return Failed(path, "looking for what it matches", status);
      }
    }
    if (matches.empty()) {
      return Status(Code::kNotFound, path + ": there is no such file or folder");
    }
    for (const std::string& match : matches) {
      if (!env->IsDirectory(match).ok()) {
        files->push_back(match);
      } else if (Status status = AddFolder(match, files); !status.ok()) {
        return status;
      }
    }
    return Status();
  }

 private:
  Status AddFolder(const std::string& folder, std::vector<std::string>* files) const {
    std::vector<std::string> children;
    if (absl::Status status = Env::Default()->GetChildren(folder, &children); !status.ok()) {
      return Failed(folder, "listing it", status);
    }
    for (std::string child : children) {
      while (!child.empty() && child.back() == '/') child.pop_back();  // so are folders in gs://
      if (child.empty()) continue;
      const std::string path = absl::StrCat(folder, folder.back() == '/' ? "" : "/", child);
      if (!Env::Default()->IsDirectory(path).ok()) {
        files->push_back(path);
      } else if (Status status = AddFolder(path, files); !status.ok()) {
        return status;
      }
    }
    return Status();
  }
};

const bool is_set = [] {
  static const RemoteFiles files;
  record::SetRemoteFiles(&files);
  return true;
}();

}  // namespace
}  // namespace headrace
