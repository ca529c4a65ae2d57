// The record files that a command line names.
#ifndef HEADRACE_RECORDS_TOOL_PATHS_H_
#define HEADRACE_RECORDS_TOOL_PATHS_H_

#include <string>
#include <vector>

#include "base/status.h"

namespace headrace::records_tool {

// Appends the absolute paths of the files that `paths` name, in their order:
//   a file;
//   a folder: the regular files in it and in folders below, sorted by path, without those that
//     begin with a dot, index files and outputs that are being written (their folders, too);
//   a pattern (* ? [...]): what it matches, sorted, each as above.
//   one of these that is remote (scheme://), where the program has remote files.
// Links in a path are followed up to the last name, which is kept, so that a file has one path.
//
// One status for each argument that cannot be used: NOT_FOUND if nothing is there, UNIMPLEMENTED
// for a remote path where it has none, INVALID_ARGUMENT for an index file, a file that is named
// twice, a link to a folder inside a folder, or a name that is not UTF-8 (it could not be
// reported).
std::vector<Status> ResolvePaths(const std::vector<std::string>& paths,
                                 std::vector<std::string>* files);

}  // namespace headrace::records_tool

#endif  // HEADRACE_RECORDS_TOOL_PATHS_H_
