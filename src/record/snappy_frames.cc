#include "record/snappy_frames.h"

#include <snappy.h>

#include <algorithm>

#include "record/crc.h"

namespace headrace::record {
namespace {

constexpr std::string_view kStreamBegin("\xff\x06\x00\x00sNaPpY", 10);
constexpr std::size_t kBlockBytes = 65536;
constexpr std::size_t kFrameHeaderBytes = 4;  // type, 24-bit length of what follows
constexpr std::size_t kCrcBytes = 4;          // masked, of the unpacked block

enum FrameType : unsigned char {
  kCompressed = 0x00,
  kPlain = 0x01,
  kFirstSkippable = 0x80,  // 0x02 to 0x7f are reserved, and may not be skipped
  kBegin = 0xff,
};

void AppendFrame(FrameType type, std::uint32_t crc, std::string_view body, std::string* packed) {
  const std::uint32_t bytes = static_cast<std::uint32_t>(kCrcBytes + body.size());
  AppendU32(type | bytes << 8, packed);
  AppendU32(crc, packed);
  packed->append(body);
}

// The block in one frame's body (after the checksum), appended to *data.
bool UnpackBlock(FrameType type, std::string_view body, std::uint64_t max_bytes, ByteBuffer* data,
                 std::size_t* bytes, std::string* what) {
  std::size_t block_bytes = body.size();
  if (type == kCompressed &&
      !snappy::GetUncompressedLength(body.data(), body.size(), &block_bytes)) {
    *what = "a snappy block whose length cannot be read";
    return false;
  }
  if (block_bytes > kBlockBytes) {
    *what = "a snappy block of " + std::to_string(block_bytes) + " bytes; 65536 is the most";
    return false;
  }
  if (block_bytes > max_bytes - *bytes) {
    *what = "unpacks to more than the " + std::to_string(max_bytes) + " bytes allowed";
    return false;
  }
  data->Grow(*bytes + block_bytes, *bytes);
  char* const to = data->data() + *bytes;
  if (type == kPlain) {
    std::copy(body.begin(), body.end(), to);
  } else if (!snappy::RawUncompress(body.data(), body.size(), to)) {
    *what = "a damaged snappy block";
    return false;
  }
  *bytes += block_bytes;
  return true;
}

}  // namespace

void AppendSnappyFrames(std::string_view data, std::string* packed) {
  packed->append(kStreamBegin);
  std::string block;
  for (; !data.empty(); data.remove_prefix(std::min(data.size(), kBlockBytes))) {
    const std::string_view plain = data.substr(0, kBlockBytes);
    const std::uint32_t crc = MaskedCrc32c(plain);
    snappy::Compress(plain.data(), plain.size(), &block);
    if (block.size() < plain.size() - plain.size() / 8) {
      AppendFrame(kCompressed, crc, block, packed);
    } else {
      AppendFrame(kPlain, crc, plain, packed);
    }
  }
}

bool UnpackSnappyFrames(std::string_view packed, std::uint64_t max_bytes, ByteBuffer* data,
                        std::size_t* bytes, std::string* what, std::size_t* position) {
  *bytes = *position = 0;
  if (packed.substr(0, kStreamBegin.size()) != kStreamBegin) {
    *what = "not a framed snappy stream";
    return false;
  }
  for (std::size_t at = kStreamBegin.size(); at < packed.size();) {
    *position = at;
    const std::string_view left = packed.substr(at);
    if (left.size() < kFrameHeaderBytes) {
      *what = "a cut snappy frame";
      return false;
    }
    const std::uint32_t header = LoadU32(left.data());
    const auto type = static_cast<FrameType>(header & 0xff);
    const std::size_t body_bytes = header >> 8;
    if (body_bytes > left.size() - kFrameHeaderBytes) {
      *what = "a snappy frame of " + std::to_string(body_bytes) + " bytes of which " +
              std::to_string(left.size() - kFrameHeaderBytes) + " are there";
      return false;
    }
    const std::string_view body = left.substr(kFrameHeaderBytes, body_bytes);
    at += kFrameHeaderBytes + body_bytes;
    if (type == kBegin && left.substr(0, kStreamBegin.size()) == kStreamBegin) continue;
    if (type != kBegin && type >= kFirstSkippable) continue;
    if ((type != kCompressed && type != kPlain) || body_bytes < kCrcBytes) {
      *what = "an unknown snappy frame, type " + std::to_string(type);
      return false;
    }
    const std::size_t before = *bytes;
    if (!UnpackBlock(type, body.substr(kCrcBytes), max_bytes, data, bytes, what)) return false;
    if (MaskedCrc32c({data->data() + before, *bytes - before}) != LoadU32(body.data())) {
      *what = "a snappy block with a wrong checksum";
      return false;
    }
  }
  return true;
}

}  // namespace headrace::record
