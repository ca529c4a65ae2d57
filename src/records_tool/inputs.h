// The record files of a command line, opened.
#ifndef HEADRACE_RECORDS_TOOL_INPUTS_H_
#define HEADRACE_RECORDS_TOOL_INPUTS_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "record/record_file.h"
#include "records_tool/commands.h"

namespace headrace::records_tool {

// The files that options.paths name. Complains of all that cannot be used; false if there are any.
bool FindInputs(const InputOptions& options, std::vector<std::string>* files);

// Opens one of them, in the format that options.open names or that is found. Empty files are an
// error unless allowed.
Status OpenInput(const std::string& path, const InputOptions& options,
                 std::unique_ptr<record::RecordFile>* file);

// What people are told of index files, at most two lines however many files there are: those that
// opening made, and those that could not be used or written.
class IndexNews {
 public:
  void Add(const record::RecordFile& file);
  // On standard error.
  void Tell() const;

 private:
  std::string first_made_, why_;
  std::size_t made_ = 0, not_kept_ = 0;
};

// As --format json names them: "recordio", "tfrecord", "text", "csv"; "unknown".
const char* FormatKey(record::Format format);

}  // namespace headrace::records_tool

#endif  // HEADRACE_RECORDS_TOOL_INPUTS_H_
