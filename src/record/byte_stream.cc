#include "record/byte_stream.h"

#include <algorithm>
#include <array>
#include <utility>

namespace headrace::record {
namespace {

constexpr std::size_t kWindowBytes = std::size_t{256} * 1024;

class FileStream final : public ByteStream {
 public:
  FileStream(std::shared_ptr<const InputFile> file, std::uint64_t offset)
      : file_(std::move(file)), offset_(std::min(offset, file_->size())) {}

  Status Read(char* to, std::size_t bytes, std::size_t* got) override {
    const std::size_t wanted = std::min<std::uint64_t>(bytes, remaining());
    *got = 0;
    if (wanted == 0) return {};
    Status status = file_->ReadAt(offset_, wanted, to, got);
    offset_ += *got;
    if (status.ok() && *got < wanted) {
      return DamageAt(file_->name(), offset_, "the file was shortened while it was read");
    }
    return status;
  }
  Status Skip(std::uint64_t bytes, std::uint64_t* skipped) override {
    *skipped = std::min(bytes, remaining());
    offset_ += *skipped;
    return {};
  }
  std::uint64_t remaining() const override { return file_->size() - offset_; }

 private:
  const std::shared_ptr<const InputFile> file_;
  std::uint64_t offset_;
};

}  // namespace

Status ByteStream::Skip(std::uint64_t bytes, std::uint64_t* skipped) {
  std::array<char, 16384> scratch;
  *skipped = 0;
  while (*skipped < bytes) {
    const std::size_t wanted = std::min<std::uint64_t>(scratch.size(), bytes - *skipped);
    std::size_t got = 0;
    if (Status status = Read(scratch.data(), wanted, &got); !status.ok()) return status;
    *skipped += got;
    if (got < wanted) break;
  }
  return {};
}

std::unique_ptr<ByteStream> OpenStream(std::shared_ptr<const InputFile> file,
                                       std::uint64_t offset) {
  return std::make_unique<FileStream>(std::move(file), offset);
}

Status InputBuffer::FillSlowly(std::size_t bytes) {
  if (begin_ > 0) {
    std::copy(buffer_.data() + begin_, buffer_.data() + end_, buffer_.data());
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.capacity() == 0) {
    buffer_.Reserve(std::min<std::uint64_t>(kWindowBytes, stream_->remaining()), 0);
  }
  while (end_ < bytes && !at_end_) {
    if (end_ == buffer_.capacity()) {
      const std::size_t most =
          std::min<std::uint64_t>(2 * buffer_.capacity(), ByteStream::kUnknown - 1);
      // Nothing announced is trusted: at most twice what is there.
      buffer_.Grow(std::max<std::size_t>(std::min(bytes, most), 64), end_);
    }
    const std::size_t room = buffer_.capacity() - end_;
    std::size_t got = 0;
    Status status = stream_->Read(buffer_.data() + end_, room, &got);
    end_ += got;
    if (!status.ok()) return status;
    at_end_ = got < room || stream_->remaining() == 0;
  }
  return {};
}

Status InputBuffer::Skip(std::uint64_t bytes, std::uint64_t* skipped) {
  const std::size_t visible = std::min<std::uint64_t>(bytes, end_ - begin_);
  Consume(visible);
  *skipped = visible;
  if (visible == bytes || at_end_) return {};
  std::uint64_t beyond = 0;
  Status status = stream_->Skip(bytes - visible, &beyond);
  offset_ += beyond;
  *skipped += beyond;
  at_end_ = stream_->remaining() == 0;
  return status;
}

std::uint64_t InputBuffer::remaining() const {
  if (at_end_) return end_ - begin_;
  const std::uint64_t hidden = stream_->remaining();
  return hidden == ByteStream::kUnknown ? hidden : hidden + (end_ - begin_);
}

}  // namespace headrace::record
