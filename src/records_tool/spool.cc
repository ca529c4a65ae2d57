#include "records_tool/spool.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <limits>
#include <random>
#include <utility>

#include "record/input_file.h"

namespace headrace::records_tool {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

// Below `bound`, each equally likely. The standard's own draws differ between libraries.
std::uint64_t Draw(std::mt19937_64* random, std::uint64_t bound) {
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  const std::uint64_t fair = most - most % bound;
  std::uint64_t drawn = (*random)();
  while (drawn >= fair) drawn = (*random)();
  return drawn % bound;
}

}  // namespace

Status Spool::Create(const std::string& folder, std::unique_ptr<Spool>* spool) {
  std::string name = folder + "/.headrace-spool-XXXXXX";
  const int fd = ::mkstemp(name.data());
  if (fd < 0) return record::SystemError(folder, "making room to shuffle", errno);
  ::unlink(name.c_str());
  spool->reset(new Spool(folder, fd));
  return {};
}

Spool::~Spool() {
  ::close(fd_);
}

Status Spool::Add(std::string_view record) {
  if (record.size() > std::numeric_limits<std::uint32_t>::max()) {
    return {Code::kInvalidArgument,
            "a record of " + std::to_string(record.size()) + " bytes cannot be shuffled"};
  }
  offsets_.push_back(flushed_ + buffer_.size());
  lengths_.push_back(static_cast<std::uint32_t>(record.size()));
  buffer_.append(record);
  return buffer_.size() >= kBufferBytes ? Flush() : Status();
}

Status Spool::Flush() {
  for (std::string_view left = buffer_; !left.empty();) {
    const ssize_t n = ::write(fd_, left.data(), left.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return record::SystemError(folder_, "writing what is to be shuffled", errno);
    left.remove_prefix(static_cast<std::size_t>(n));
  }
  flushed_ += buffer_.size();
  buffer_.clear();
  return {};
}

Status Spool::Shuffled(std::uint64_t seed, const std::function<Status(std::string_view)>& take) {
  if (Status status = Flush(); !status.ok()) return status;
  std::mt19937_64 random(seed);
  for (std::size_t i = offsets_.size(); i > 1; --i) {
    const std::size_t other = Draw(&random, i);
    std::swap(offsets_[i - 1], offsets_[other]);
    std::swap(lengths_[i - 1], lengths_[other]);
  }
  std::string record;
  for (std::size_t i = 0; i < offsets_.size(); ++i) {
    record.resize(lengths_[i]);
    for (std::size_t got = 0; got < record.size();) {
      const ssize_t n = ::pread(fd_, record.data() + got, record.size() - got,
                                static_cast<off_t>(offsets_[i] + got));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return record::SystemError(folder_, "reading what is to be shuffled", errno);
      got += static_cast<std::size_t>(n);
    }
    if (Status status = take(record); !status.ok()) return status;
  }
  return {};
}

}  // namespace headrace::records_tool
