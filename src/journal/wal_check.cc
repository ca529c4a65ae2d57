#include "journal/wal_check.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <system_error>
#include <vector>

namespace headrace::journal {
namespace {

constexpr std::size_t kHeader = 32;
constexpr std::size_t kFrameHeader = 24;
constexpr std::uint32_t kMagic = 0x377f0682;  // the last bit: checksums of big-endian words

using Bytes = std::vector<unsigned char>;

std::uint32_t Big(const unsigned char* p) {
  return std::uint32_t{p[0]} << 24 | std::uint32_t{p[1]} << 16 | std::uint32_t{p[2]} << 8 | p[3];
}

std::uint32_t Little(const unsigned char* p) {
  return std::uint32_t{p[3]} << 24 | std::uint32_t{p[2]} << 16 | std::uint32_t{p[1]} << 8 | p[0];
}

struct Checksum {
  bool big = false;
  std::uint32_t s0 = 0, s1 = 0;

  void Add(const unsigned char* data, std::size_t size) {
    for (std::size_t i = 0; i + 8 <= size; i += 8) {
      s0 += (big ? Big(data + i) : Little(data + i)) + s1;
      s1 += (big ? Big(data + i + 4) : Little(data + i + 4)) + s0;
    }
  }
  bool Is(const unsigned char* stored) const { return Big(stored) == s0 && Big(stored + 4) == s1; }
};

class WalReader {
 public:
  WalReader(std::string path, std::FILE* file) : path_(std::move(path)), file_(file) {}

  Status Check() {
    std::array<unsigned char, kHeader> header;
    if (Read(header.data(), kHeader) < kHeader) return Status();  // a log that was just begun
    const std::uint32_t magic = Big(&header[0]);
    const std::uint32_t page_size = Big(&header[8]);
    checksum_.big = (magic & 1) != 0;
    checksum_.Add(header.data(), 24);
    const bool sane = (magic & ~1u) == kMagic && page_size >= 512 && page_size <= 65536 &&
                      (page_size & (page_size - 1)) == 0;
    if (!sane || !checksum_.Is(&header[24])) {
      // The header is synced before the first transaction is acknowledged.
      std::array<unsigned char, kFrameHeader> next;
      if (Read(next.data(), kFrameHeader) < kFrameHeader) return Status();
      return Damaged(0, "its header");
    }
    std::memcpy(salts_.data(), &header[16], salts_.size());
    return CheckFrames(page_size);
  }

 private:
  std::size_t Read(unsigned char* into, std::size_t size) {
    return std::fread(into, 1, size, file_);
  }

  Status CheckFrames(std::size_t page_size) {
    Bytes frame(kFrameHeader + page_size);
    std::size_t offset = kHeader;
    bool bad = false, ended = false;
    std::size_t bad_offset = 0;
    while (Read(frame.data(), frame.size()) == frame.size()) {
      const bool written = Written(frame, bad);
      const bool commits = Big(&frame[4]) != 0;
      if (bad) {
        // Behind the end of the transaction that holds the bad frame: another one, so that was
        // synced.
        if (ended && written) return Damaged(bad_offset, "a frame");
        ended = ended || (written && commits);
      } else if (!Good(frame)) {
        // Or the log ends here, and this is a frame of an earlier round.
        bad = true;
        bad_offset = offset;
        ended = written && commits;
      }
      offset += frame.size();
    }
    return Status();
  }

  // Part of this round of the log; one salt may be what is damaged, in the first bad frame.
  bool Written(const Bytes& frame, bool after_bad) const {
    const bool first = std::memcmp(&frame[8], salts_.data(), 4) == 0;
    const bool second = std::memcmp(&frame[12], salts_.data() + 4, 4) == 0;
    return after_bad ? first && second : first || second;
  }

  bool Good(const Bytes& frame) {
    if (std::memcmp(&frame[8], salts_.data(), salts_.size()) != 0) return false;
    Checksum next = checksum_;
    next.Add(frame.data(), 8);
    next.Add(&frame[kFrameHeader], frame.size() - kFrameHeader);
    if (!next.Is(&frame[16])) return false;
    checksum_ = next;
    return true;
  }

  Status Damaged(std::size_t offset, const std::string& what) const {
    return Status(Code::kDataLoss,
                  path_ + " is damaged at offset " + std::to_string(offset) + ": " + what +
                      " does not have its checksum, and what was acknowledged later stands behind "
                      "it. Restore it, or start the job anew with another journal");
  }

  const std::string path_;
  std::FILE* const file_;
  Checksum checksum_;
  std::array<unsigned char, 8> salts_{};
};

}  // namespace

Status CheckWal(const std::string& path) {
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rb"));
  if (file == nullptr) {
    if (errno == ENOENT) return Status();
    return Status(Code::kUnavailable,
                  path + ": cannot read: " + std::generic_category().message(errno));
  }
  Status status = WalReader(path, file.get()).Check();
  if (status.ok() && std::ferror(file.get()) != 0) {
    return Status(Code::kUnavailable,
                  path + ": cannot read: " + std::generic_category().message(errno));
  }
  return status;
}

}  // namespace headrace::journal
