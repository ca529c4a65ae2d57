// Directories that appear by one rename.
#ifndef HEADRACE_TRAINER_DIRECTORY_H_
#define HEADRACE_TRAINER_DIRECTORY_H_

#include <cstdint>
#include <functional>
#include <string>

#include "base/status.h"

namespace headrace::trainer {

// Marks directories that are being written, or that were left so; followed by the process's number.
inline constexpr char kUnfinished[] = ".unfinished-";

// `fill` fills a new directory; it then gets its name, and is on disk, when this returns. A
// directory of that name is replaced: at every moment the one or the other is there, but on file
// systems that cannot exchange two names (docs/guarantees.md). *bytes: the size of its files.
// Errors: as `fill`, ALREADY_EXISTS if there is a file of that name; RESOURCE_EXHAUSTED,
// PERMISSION_DENIED and so on from the system, with the path. On error nothing of it stays.
Status WriteDirectory(const std::string& path,
                      const std::function<Status(const std::string& temporary)>& fill,
                      std::int64_t* bytes);

// And those above it; one that is there already is fine.
Status MakeDirectory(const std::string& path);

// With all that is in it; if it is not there, nothing happens.
void RemoveDirectory(const std::string& path);

Status WriteFile(const std::string& path, const std::string& contents);

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_DIRECTORY_H_
