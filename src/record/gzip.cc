#include "record/gzip.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "record/byte_stream.h"

namespace headrace::record {
namespace {

constexpr int kGzipOnly = 15 + 16;  // zlib's window bits: largest window, gzip header
constexpr std::size_t kMost = std::numeric_limits<uInt>::max();

Bytef* AsBytes(const char* data) {
  return const_cast<Bytef*>(reinterpret_cast<const Bytef*>(data));  // zlib does not write there
}

// zlib's state for unpacking, member after member.
class Unpacker {
 public:
  Unpacker() { usable_ = inflateInit2(&stream_, kGzipOnly) == Z_OK; }
  ~Unpacker() {
    if (usable_) inflateEnd(&stream_);
  }
  Unpacker(const Unpacker&) = delete;
  Unpacker& operator=(const Unpacker&) = delete;

  // Unpacks from `in` to `out` as far as both reach. False if damaged: see what().
  bool Run(std::string_view in, std::size_t* taken, char* out, std::size_t room,
           std::size_t* given) {
    *taken = *given = 0;
    if (!usable_) return false;
    while (*given < room) {
      if (member_ended_) {
        if (*taken == in.size()) return true;
        inflateReset(&stream_);
        member_ended_ = false;
      }
      const std::size_t in_part = std::min(in.size() - *taken, kMost);
      const std::size_t out_part = std::min(room - *given, kMost);
      stream_.next_in = AsBytes(in.data() + *taken);
      stream_.avail_in = static_cast<uInt>(in_part);
      stream_.next_out = AsBytes(out + *given);
      stream_.avail_out = static_cast<uInt>(out_part);
      const int result = inflate(&stream_, Z_NO_FLUSH);
      *taken += in_part - stream_.avail_in;
      *given += out_part - stream_.avail_out;
      if (result == Z_STREAM_END) {
        member_ended_ = true;
      } else if (result == Z_BUF_ERROR || (result == Z_OK && stream_.avail_in == 0 &&
                                           stream_.avail_out > 0 && *taken == in.size())) {
        return true;  // wants more input
      } else if (result != Z_OK) {
        return false;
      }
    }
    return true;
  }
  // Whether the input may end here.
  bool complete() const { return member_ended_; }
  std::string what() const {
    if (!usable_) return "no memory to unpack gzip";
    return std::string("damaged gzip data (") +
           (stream_.msg != nullptr ? stream_.msg : "unexpected contents") + ")";
  }

 private:
  z_stream stream_{};
  bool usable_ = false;
  bool member_ended_ = false;
};

class GzipStream final : public ByteStream {
 public:
  explicit GzipStream(std::shared_ptr<const InputFile> file)
      : file_(std::move(file)), packed_(OpenStream(file_, 0), 0) {}

  Status Read(char* to, std::size_t bytes, std::size_t* got) override {
    *got = 0;
    while (*got < bytes) {
      if (Status status = packed_.Fill(1); !status.ok()) return status;
      const std::string_view in = packed_.view();
      std::size_t taken = 0;
      std::size_t given = 0;
      const bool good = unpacker_.Run(in, &taken, to + *got, bytes - *got, &given);
      packed_.Consume(taken);
      *got += given;
      if (!good) return DamageAt(file_->name(), packed_.offset(), unpacker_.what());
      if (in.empty() && given == 0) {
        if (unpacker_.complete()) return {};
        return DamageAt(file_->name(), packed_.offset(), "the gzip data is cut off here");
      }
    }
    return {};
  }

 private:
  const std::shared_ptr<const InputFile> file_;
  InputBuffer packed_;
  Unpacker unpacker_;
};

}  // namespace

std::unique_ptr<ByteStream> OpenGzipStream(std::shared_ptr<const InputFile> file) {
  return std::make_unique<GzipStream>(std::move(file));
}

bool AppendGzip(std::string_view data, std::string* packed) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipOnly, 8, Z_DEFAULT_STRATEGY) !=
      Z_OK) {
    return false;
  }
  // Requires: less than 4 GiB, as a chunk is.
  const std::size_t before = packed->size();
  packed->resize(before + deflateBound(&stream, data.size()));
  stream.next_in = AsBytes(data.data());
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = AsBytes(packed->data() + before);
  stream.avail_out = static_cast<uInt>(packed->size() - before);
  const bool good = deflate(&stream, Z_FINISH) == Z_STREAM_END;
  packed->resize(packed->size() - stream.avail_out);
  deflateEnd(&stream);
  return good;
}

bool Gunzip(std::string_view packed, std::uint64_t max_bytes, ByteBuffer* data, std::size_t* bytes,
            std::string* what, std::size_t* position) {
  Unpacker unpacker;
  *bytes = *position = 0;
  while (true) {
    if (*bytes == data->capacity()) {
      const std::size_t guess = std::max<std::size_t>(4 * (packed.size() - *position), 4096);
      const std::uint64_t most = max_bytes + 1 - *bytes;  // one more shows that it is too long
      data->Grow(*bytes + std::min<std::uint64_t>(guess, most), *bytes);
    }
    std::size_t taken = 0;
    std::size_t given = 0;
    const bool good = unpacker.Run(packed.substr(*position), &taken, data->data() + *bytes,
                                   data->capacity() - *bytes, &given);
    *position += taken;
    *bytes += given;
    if (!good) {
      *what = unpacker.what();
      return false;
    }
    if (*bytes > max_bytes) {
      *what = "unpacks to more than the " + std::to_string(max_bytes) + " bytes allowed";
      return false;
    }
    if (*bytes == data->capacity() && !(unpacker.complete() && *position == packed.size())) {
      continue;
    }
    if (unpacker.complete()) return true;
    *what = "the gzip data is cut off";
    return false;
  }
}

}  // namespace headrace::record
