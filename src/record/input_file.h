// Files that are read at any offset.
#ifndef HEADRACE_RECORD_INPUT_FILE_H_
#define HEADRACE_RECORD_INPUT_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace headrace::record {

// Bytes that do not change while they are read. Implemented here for local files and for memory;
// others may bring their own file systems.
//
// Ownership: shared by all that read it.
// Thread safety: every method may run concurrently.
// Units: offsets and sizes in bytes, times in nanoseconds since 1970.
class InputFile {
 public:
  virtual ~InputFile() = default;
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  // As the caller named it; begins all error messages.
  const std::string& name() const { return name_; }
  // When it was opened.
  std::uint64_t size() const { return size_; }
  std::int64_t mtime_ns() const { return mtime_ns_; }

  // Reads up to `bytes` bytes; fewer only at the end of the file.
  virtual Status ReadAt(std::uint64_t offset, std::size_t bytes, char* to,
                        std::size_t* got) const = 0;
  // FAILED_PRECONDITION if the size or the time is no longer what it was when it was opened.
  virtual Status CheckUnchanged() const { return {}; }

 protected:
  InputFile(std::string name, std::uint64_t size, std::int64_t mtime_ns)
      : name_(std::move(name)), size_(size), mtime_ns_(mtime_ns) {}

 private:
  const std::string name_;
  const std::uint64_t size_;
  const std::int64_t mtime_ns_;
};

// A regular local file, or a remote one (file_system.h). NOT_FOUND, PERMISSION_DENIED or
// INVALID_ARGUMENT (a folder, a pipe) else.
Status OpenInputFile(const std::string& path, std::shared_ptr<const InputFile>* file);

// Bytes in memory, last changed at the beginning of time.
std::shared_ptr<const InputFile> MakeMemoryFile(std::string name, std::string contents);

// The whole of a file of at most `max_bytes`.
Status ReadWholeFile(const std::string& path, std::uint64_t max_bytes, std::string* contents);

// DATA_LOSS: "FILE: byte OFFSET: WHAT", and DamageAdvice().
Status DamageAt(const std::string& file, std::uint64_t offset, const std::string& what);
// "; restore the file, or ...": the command that lists all damage.
std::string DamageAdvice(const std::string& file);
// A failed system call: the code that fits `error`, "FILE: DOING: text of the error".
Status SystemError(const std::string& file, const std::string& doing, int error);

}  // namespace headrace::record

#endif  // HEADRACE_RECORD_INPUT_FILE_H_
