#include "record/crc.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

#include "record/bytes.h"

namespace headrace::record {
namespace {

constexpr std::uint32_t kPolynomial = 0x82f63b78;  // Castagnoli, bits reversed

// Tables to take eight bytes at a time: [k][b] is the remainder of b followed by k zero bytes.
using ByteTables = std::array<std::array<std::uint32_t, 256>, 8>;

ByteTables MakeByteTables() {
  ByteTables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t remainder = byte;
    for (int bit = 0; bit < 8; ++bit) {
      remainder = (remainder >> 1) ^ ((remainder & 1) != 0 ? kPolynomial : 0);
    }
    tables[0][byte] = remainder;
  }
  for (std::size_t k = 1; k < tables.size(); ++k) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t last = tables[k - 1][byte];
      tables[k][byte] = (last >> 8) ^ tables[0][last & 0xff];
    }
  }
  return tables;
}

// `state` is the inverted checksum, as below.
std::uint32_t UpdatePortable(std::uint32_t state, const char* data, std::size_t bytes) {
  static const ByteTables tables = MakeByteTables();
  for (; bytes >= 8; bytes -= 8, data += 8) {
    const std::uint64_t word = LoadU64(data) ^ state;
    state = 0;
    for (std::size_t i = 0; i < 8; ++i) state ^= tables[7 - i][(word >> (8 * i)) & 0xff];
  }
  for (; bytes > 0; --bytes, ++data) {
    state = (state >> 8) ^ tables[0][(state ^ static_cast<unsigned char>(*data)) & 0xff];
  }
  return state;
}

#if defined(__x86_64__)

// Appends kBytes zero bytes to a state: linear in its bits, so four table look-ups.
template <std::size_t kBytes>
class ZeroShift {
 public:
  ZeroShift() {
    static const std::array<char, kBytes> zeros{};
    std::array<std::uint32_t, 32> images;
    for (std::uint32_t bit = 0; bit < 32; ++bit) {
      images[bit] = UpdatePortable(1u << bit, zeros.data(), kBytes);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      for (std::size_t byte = 0; byte < 256; ++byte) {
        for (std::size_t bit = 0; bit < 8; ++bit) {
          if ((byte >> bit & 1) != 0) tables_[k][byte] ^= images[8 * k + bit];
        }
      }
    }
  }
  std::uint32_t operator()(std::uint32_t state) const {
    return tables_[0][state & 0xff] ^ tables_[1][state >> 8 & 0xff] ^
           tables_[2][state >> 16 & 0xff] ^ tables_[3][state >> 24];
  }

 private:
  std::array<std::array<std::uint32_t, 256>, 4> tables_{};
};

// The instruction takes three cycles and one can start each cycle: three parts of a block side by
// side, put together by shifting.
template <std::size_t kPart>
__attribute__((target("sse4.2"))) std::uint32_t UpdateThreeParts(std::uint32_t state,
                                                                 const char** data,
                                                                 std::size_t* bytes) {
  static const ZeroShift<kPart> shift;
  const char* at = *data;
  std::size_t left = *bytes;
  for (; left >= 3 * kPart; left -= 3 * kPart, at += 3 * kPart) {
    std::uint64_t first = state;
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    for (std::size_t i = 0; i < kPart; i += 8) {
      first = _mm_crc32_u64(first, LoadU64(at + i));
      second = _mm_crc32_u64(second, LoadU64(at + kPart + i));
      third = _mm_crc32_u64(third, LoadU64(at + 2 * kPart + i));
    }
    state = shift(static_cast<std::uint32_t>(first)) ^ static_cast<std::uint32_t>(second);
    state = shift(state) ^ static_cast<std::uint32_t>(third);
  }
  *data = at;
  *bytes = left;
  return state;
}

__attribute__((target("sse4.2"))) std::uint32_t UpdateSse42(std::uint32_t state, const char* data,
                                                            std::size_t bytes) {
  if (bytes >= std::size_t{3} * 2048) state = UpdateThreeParts<2048>(state, &data, &bytes);
  if (bytes >= std::size_t{3} * 128) state = UpdateThreeParts<128>(state, &data, &bytes);
  std::uint64_t wide = state;
  for (; bytes >= 8; bytes -= 8, data += 8) wide = _mm_crc32_u64(wide, LoadU64(data));
  state = static_cast<std::uint32_t>(wide);
  for (; bytes > 0; --bytes, ++data) {
    state = _mm_crc32_u8(state, static_cast<unsigned char>(*data));
  }
  return state;
}

const bool have_sse42 = __builtin_cpu_supports("sse4.2") != 0;

std::uint32_t Update(std::uint32_t state, const char* data, std::size_t bytes) {
  return have_sse42 ? UpdateSse42(state, data, bytes) : UpdatePortable(state, data, bytes);
}

#else

std::uint32_t Update(std::uint32_t state, const char* data, std::size_t bytes) {
  return UpdatePortable(state, data, bytes);
}

#endif

}  // namespace

std::uint32_t Crc32c(std::uint32_t crc, const char* data, std::size_t bytes) {
  return ~Update(~crc, data, bytes);
}

std::uint32_t Crc32cPortable(std::uint32_t crc, const char* data, std::size_t bytes) {
  return ~UpdatePortable(~crc, data, bytes);
}

std::uint32_t Crc32Ieee(std::uint32_t crc, const char* data, std::size_t bytes) {
  if (bytes == 0) return crc;  // a null pointer would mean "begin" to zlib
  return static_cast<std::uint32_t>(crc32_z(crc, reinterpret_cast<const Bytef*>(data), bytes));
}

}  // namespace headrace::record
