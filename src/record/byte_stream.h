// Bytes in order, and a window onto them.
#ifndef HEADRACE_RECORD_BYTE_STREAM_H_
#define HEADRACE_RECORD_BYTE_STREAM_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "record/bytes.h"
#include "record/input_file.h"

namespace headrace::record {

// Ownership: one reader owns it.
// Thread safety: one thread at a time.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // Reads up to `bytes` bytes; fewer only at the end.
  virtual Status Read(char* to, std::size_t bytes, std::size_t* got) = 0;
  // Leaves out up to `bytes` bytes; fewer only at the end.
  virtual Status Skip(std::uint64_t bytes, std::uint64_t* skipped);
  // At most this many bytes are left; kUnknown if only reading tells.
  virtual std::uint64_t remaining() const { return kUnknown; }

  static constexpr std::uint64_t kUnknown = std::numeric_limits<std::uint64_t>::max();
};

std::unique_ptr<ByteStream> OpenStream(std::shared_ptr<const InputFile> file, std::uint64_t offset);
// What a gzip file unpacks to, all its members one after the other. DATA_LOSS with the offset in
// the packed file if it is damaged or cut.
std::unique_ptr<ByteStream> OpenGzipStream(std::shared_ptr<const InputFile> file);

// A window onto a stream that grows with what is found there, never by what is only announced.
// Thread safety: one thread at a time.
class InputBuffer {
 public:
  // `offset`: where the stream begins, for offset().
  InputBuffer(std::unique_ptr<ByteStream> stream, std::uint64_t offset)
      : stream_(std::move(stream)), offset_(offset) {}

  // Makes at least `bytes` bytes visible; fewer only at the end. Ends the life of earlier views.
  Status Fill(std::size_t bytes) {
    return end_ - begin_ >= bytes || at_end_ ? Status() : FillSlowly(bytes);
  }
  std::string_view view() const { return {buffer_.data() + begin_, end_ - begin_}; }
  // Requires: they are visible.
  void Consume(std::size_t bytes) {
    begin_ += bytes;
    offset_ += bytes;
  }
  // Leaves out `bytes` bytes, visible or not. *skipped is less only at the end.
  Status Skip(std::uint64_t bytes, std::uint64_t* skipped);
  // Of the first visible byte.
  std::uint64_t offset() const { return offset_; }
  // At most this many bytes are left, visible ones included.
  std::uint64_t remaining() const;

 private:
  Status FillSlowly(std::size_t bytes);

  const std::unique_ptr<ByteStream> stream_;
  ByteBuffer buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t offset_;
  bool at_end_ = false;
};

}  // namespace headrace::record

#endif  // HEADRACE_RECORD_BYTE_STREAM_H_
