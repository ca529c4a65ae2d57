#include "record/crc.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>
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

#if defined(__x86_64__)

// x^n modulo the polynomial of IEEE 802.3, in the form in which PCLMULQDQ multiplies operands of
// reversed bits.
constexpr std::uint64_t PowerOfX(int n) {
  std::uint32_t remainder = 1;
  for (int i = 0; i < n; ++i) {
    remainder = (remainder << 1) ^ ((remainder >> 31) != 0 ? 0x04c11db7u : 0u);
  }
  std::uint64_t reversed = 0;
  for (int bit = 0; bit < 32; ++bit) {
    reversed |= static_cast<std::uint64_t>(remainder >> bit & 1) << (31 - bit);
  }
  return reversed << 1;
}

constexpr std::size_t kFoldBytes = 64;
constexpr std::size_t kWorthFolding = 256;  // below, zlib is about as fast

inline __m128i Load16(const char* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

// 16 bytes that leave the same remainder as `block` followed by as many bytes as `powers` stand
// for.
__attribute__((target("pclmul"))) inline __m128i Fold(__m128i block, __m128i powers) {
  return _mm_xor_si128(_mm_clmulepi64_si128(block, powers, 0x00),
                       _mm_clmulepi64_si128(block, powers, 0x11));
}

// V. Gopal and others, "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction":
// four blocks side by side, each moved 64 bytes on at a time; what is left goes to zlib. Requires:
// bytes >= kFoldBytes.
__attribute__((target("pclmul"))) std::uint32_t Crc32Folding(std::uint32_t crc, const char* data,
                                                             std::size_t bytes) {
  constexpr std::uint64_t k512Low = PowerOfX(512 + 32);
  constexpr std::uint64_t k512High = PowerOfX(512 - 32);
  constexpr std::uint64_t k128Low = PowerOfX(128 + 32);
  constexpr std::uint64_t k128High = PowerOfX(128 - 32);
  const __m128i far = _mm_set_epi64x(k512High, k512Low);
  const __m128i near = _mm_set_epi64x(k128High, k128Low);
  const __m128i state = _mm_cvtsi32_si128(static_cast<int>(~crc));
  __m128i a = _mm_xor_si128(Load16(data), state);
  __m128i b = Load16(data + 16);
  __m128i c = Load16(data + 32);
  __m128i d = Load16(data + 48);
  for (data += kFoldBytes, bytes -= kFoldBytes; bytes >= kFoldBytes;
       data += kFoldBytes, bytes -= kFoldBytes) {
    a = _mm_xor_si128(Fold(a, far), Load16(data));
    b = _mm_xor_si128(Fold(b, far), Load16(data + 16));
    c = _mm_xor_si128(Fold(c, far), Load16(data + 32));
    d = _mm_xor_si128(Fold(d, far), Load16(data + 48));
  }
  b = _mm_xor_si128(Fold(a, near), b);
  c = _mm_xor_si128(Fold(b, near), c);
  d = _mm_xor_si128(Fold(c, near), d);
  for (; bytes >= 16; data += 16, bytes -= 16) d = _mm_xor_si128(Fold(d, near), Load16(data));
  char left[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(left), d);
  crc = Crc32IeeePortable(~0u, left, sizeof(left));  // from the state 0
  return Crc32IeeePortable(crc, data, bytes);
}

const bool have_pclmul = __builtin_cpu_supports("pclmul") != 0;

#endif

}  // namespace

std::uint32_t Crc32c(std::uint32_t crc, const char* data, std::size_t bytes) {
  return ~Update(~crc, data, bytes);
}

std::uint32_t Crc32cPortable(std::uint32_t crc, const char* data, std::size_t bytes) {
  return ~UpdatePortable(~crc, data, bytes);
}

std::uint32_t Crc32Ieee(std::uint32_t crc, const char* data, std::size_t bytes) {
#if defined(__x86_64__)
  if (have_pclmul && bytes >= kWorthFolding) return Crc32Folding(crc, data, bytes);
#endif
  return Crc32IeeePortable(crc, data, bytes);
}

std::uint32_t Crc32IeeePortable(std::uint32_t crc, const char* data, std::size_t bytes) {
  if (bytes == 0) return crc;  // a null pointer would mean "begin" to zlib
  return static_cast<std::uint32_t>(crc32_z(crc, reinterpret_cast<const Bytef*>(data), bytes));
}

}  // namespace headrace::record
