// Records put aside, to be taken in another order.
#ifndef HEADRACE_RECORDS_TOOL_SPOOL_H_
#define HEADRACE_RECORDS_TOOL_SPOOL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace headrace::records_tool {

// Ownership: owns a file without a name, gone with the process; 12 bytes of memory a record.
// Thread safety: one thread at a time.
class Spool {
 public:
  // The file's room is taken in `folder`.
  static Status Create(const std::string& folder, std::unique_ptr<Spool>* spool);
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  Status Add(std::string_view record);
  // Hands out all records, in an order that `seed` and their number determine, on any machine; to
  // the first error.
  Status Shuffled(std::uint64_t seed, const std::function<Status(std::string_view)>& take);

 private:
  Spool(std::string folder, int fd) : folder_(std::move(folder)), fd_(fd) {}
  Status Flush();

  const std::string folder_;
  const int fd_;
  std::string buffer_;
  std::uint64_t flushed_ = 0;  // bytes
  std::vector<std::uint64_t> offsets_;
  std::vector<std::uint32_t> lengths_;
};

}  // namespace headrace::records_tool

#endif  // HEADRACE_RECORDS_TOOL_SPOOL_H_
