// The commands of headrace-records. Each returns the exit code: 0 done, 1 failed; errors are told
// on standard error, all of them where one does not hide the next.
#ifndef HEADRACE_RECORDS_TOOL_COMMANDS_H_
#define HEADRACE_RECORDS_TOOL_COMMANDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "record/record_file.h"
#include "records_tool/output_set.h"

namespace headrace::records_tool {

struct InputOptions {
  std::vector<std::string> paths;
  record::OpenOptions open;
  bool allow_empty = false;  // files without records are no error
};

// Prints path, number of records, format, bytes and packing of each file.
int Count(const InputOptions& options, bool json);

// Makes the index files that are missing or stale.
int MakeIndexes(const InputOptions& options, bool json);

// Prints all damage.
int Verify(const InputOptions& options, bool json);

// Writes the records of the inputs in another format. `skip_header`: without the first record of
// each file.
int Convert(const InputOptions& options, bool skip_header, const OutputOptions& output, bool json);

// Writes what comes on standard input: for each record its length (32 bits, little-endian) and its
// bytes; then 0xffffffff, without which the input was cut and nothing is written.
int Write(const OutputOptions& output, bool json);

struct CatOptions {
  std::uint64_t begin = 0;
  std::optional<std::uint64_t> end;  // default: the last one
  bool length_only = false;
};

// Prints records for people: number, bytes, and the beginning of the contents.
int Cat(const InputOptions& options, const CatOptions& cat);

}  // namespace headrace::records_tool

#endif  // HEADRACE_RECORDS_TOOL_COMMANDS_H_
