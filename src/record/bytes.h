// Little-endian integers in byte strings, and a buffer that grows without being cleared.
#ifndef HEADRACE_RECORD_BYTES_H_
#define HEADRACE_RECORD_BYTES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

namespace headrace::record {

template <typename T>
T LoadLittleEndian(const char* from) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  T value;  // one instruction; the compiler does not always make one of the loop
  std::memcpy(&value, from, sizeof(value));
  return value;
#else
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value |= static_cast<T>(static_cast<T>(static_cast<unsigned char>(from[i])) << (8 * i));
  }
  return value;
#endif
}
inline std::uint32_t LoadU32(const char* from) {
  return LoadLittleEndian<std::uint32_t>(from);
}
inline std::uint64_t LoadU64(const char* from) {
  return LoadLittleEndian<std::uint64_t>(from);
}

template <typename T>
void AppendLittleEndian(T value, std::string* to) {
  for (std::size_t i = 0; i < sizeof(T); ++i) to->push_back(static_cast<char>(value >> (8 * i)));
}
inline void AppendU32(std::uint32_t value, std::string* to) {
  AppendLittleEndian(value, to);
}
inline void AppendU64(std::uint64_t value, std::string* to) {
  AppendLittleEndian(value, to);
}

// Bytes whose room is not zeroed and is kept for the next use.
// Thread safety: like a std::string.
class ByteBuffer {
 public:
  char* data() { return data_.get(); }
  const char* data() const { return data_.get(); }
  std::size_t capacity() const { return capacity_; }

  // Makes room for `bytes`, keeping the first `keep` ones.
  void Reserve(std::size_t bytes, std::size_t keep) {
    if (bytes <= capacity_) return;
    std::unique_ptr<char[]> grown(new char[bytes]);
    if (keep > 0) std::memcpy(grown.get(), data_.get(), keep);
    data_ = std::move(grown);
    capacity_ = bytes;
  }
  // The same, at least doubling: for contents that come piece by piece.
  void Grow(std::size_t bytes, std::size_t keep) {
    if (bytes > capacity_) Reserve(std::max(bytes, 2 * capacity_), keep);
  }

 private:
  std::unique_ptr<char[]> data_;
  std::size_t capacity_ = 0;
};

}  // namespace headrace::record

#endif  // HEADRACE_RECORD_BYTES_H_
