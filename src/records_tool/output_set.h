// One record file, or a folder of them, that appears complete or not at all.
#ifndef HEADRACE_RECORDS_TOOL_OUTPUT_SET_H_
#define HEADRACE_RECORDS_TOOL_OUTPUT_SET_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "record/record_writer.h"
#include "records_tool/spool.h"

namespace headrace::records_tool {

struct OutputOptions {
  std::string path;
  record::WriteOptions write;
  // 0: `path` is one file. Else a folder of part-00000.EXTENSION and so on, with so many records
  // each, the last one with what is left.
  std::uint64_t records_per_file = 0;
  // A file, or a folder that holds nothing but such parts and their indexes, is replaced.
  bool overwrite = false;
  bool shuffle = false;
  std::uint64_t seed = 0;
};

struct WrittenFile {
  std::string path;
  std::uint64_t records = 0;
};

// Written under another name beside `path` and renamed by Commit(). (Over an old folder, there is
// none for a moment between two renames.)
//
// Ownership: owns what it wrote until Commit(); destroyed before, it is removed.
// Thread safety: one thread at a time.
// Errors: the first one ends it, CANCELLED if Interrupted() (console.h) among them. Those of
// Write() name no record: the caller knows which it was.
class OutputSet {
 public:
  // ALREADY_EXISTS unless it may overwrite what is there; INVALID_ARGUMENT if the name's extension
  // promises another format.
  static Status Create(OutputOptions options, std::unique_ptr<OutputSet>* output);
  ~OutputSet();
  OutputSet(const OutputSet&) = delete;
  OutputSet& operator=(const OutputSet&) = delete;

  Status Write(std::string_view record);
  Status Commit();
  // Once committed.
  const std::vector<WrittenFile>& files() const { return files_; }

 private:
  OutputSet(OutputOptions options, std::string parts, std::unique_ptr<Spool> spool);
  Status Append(std::string_view record);
  Status StartFile();
  Status RenameFolder();

  const OutputOptions options_;
  const std::string parts_;  // folder of the parts before Commit(); "" for one file
  const std::unique_ptr<Spool> spool_;
  std::unique_ptr<record::RecordWriter> writer_;
  std::vector<WrittenFile> files_;
  bool committed_ = false;
};

// "recordio", "tfrecord", "txt", "csv".
const char* Extension(record::Format format);

}  // namespace headrace::records_tool

#endif  // HEADRACE_RECORDS_TOOL_OUTPUT_SET_H_
