// The two checksums of record files.
#ifndef HEADRACE_RECORD_CRC_H_
#define HEADRACE_RECORD_CRC_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace headrace::record {

// CRC32C (Castagnoli) of the bytes that gave `crc` so far, followed by `data`; 0 to begin with.
// Uses SSE4.2 where the processor has it.
std::uint32_t Crc32c(std::uint32_t crc, const char* data, std::size_t bytes);
// The same by tables, on any processor.
std::uint32_t Crc32cPortable(std::uint32_t crc, const char* data, std::size_t bytes);

// As TFRecord and framed snappy store it, so that the checksum of data that holds its own checksum
// is nothing special.
constexpr std::uint32_t MaskCrc(std::uint32_t crc) {
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}
inline std::uint32_t MaskedCrc32c(std::string_view data) {
  return MaskCrc(Crc32c(0, data.data(), data.size()));
}

// CRC32 of IEEE 802.3, as RecordIO and gzip use it; 0 to begin with. Uses PCLMULQDQ where the
// processor has it.
std::uint32_t Crc32Ieee(std::uint32_t crc, const char* data, std::size_t bytes);
// The same by zlib, on any processor.
std::uint32_t Crc32IeeePortable(std::uint32_t crc, const char* data, std::size_t bytes);

}  // namespace headrace::record

#endif  // HEADRACE_RECORD_CRC_H_
