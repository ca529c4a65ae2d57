#include "record/crc.h"

#include "record/testing.h"

namespace headrace::record::testing {
namespace {

TEST(CrcTest, KnownValues) {
  const std::string digits = "123456789";  // the catalogues' check value
  EXPECT_EQ(Crc32c(0, digits.data(), digits.size()), 0xe3069283u);
  EXPECT_EQ(Crc32cPortable(0, digits.data(), digits.size()), 0xe3069283u);
  EXPECT_EQ(Crc32Ieee(0, digits.data(), digits.size()), 0xcbf43926u);
  const std::string zeros(32, '\0');  // RFC 3720, B.4
  EXPECT_EQ(Crc32c(0, zeros.data(), zeros.size()), 0x8a9136aau);
  EXPECT_EQ(Crc32c(0, nullptr, 0), 0u);
  EXPECT_EQ(Crc32Ieee(7, nullptr, 0), 7u);
}

// The definition of a CRC, bit by bit.
std::uint32_t CrcByBits(std::uint32_t polynomial, std::string_view data) {
  std::uint32_t state = 0xffffffffu;
  for (const char c : data) {
    state ^= static_cast<unsigned char>(c);
    for (int i = 0; i < 8; ++i) state = (state >> 1) ^ ((state & 1) != 0 ? polynomial : 0);
  }
  return ~state;
}

// Lengths on both sides of what is taken in three parts; all alignments.
TEST(CrcTest, AllWaysAgree) {
  const std::string data = [] {
    std::string bytes(40000, '\0');
    Random random(1);
    for (char& c : bytes) c = static_cast<char>(random());
    return bytes;
  }();
  Random random(2);
  for (int i = 0; i < 600; ++i) {
    const std::size_t begin = random.Below(16);
    const std::size_t most[] = {40, 500, 1500, 7000, 39000};
    const std::string_view part(data.data() + begin, random.Below(most[i % 5]));
    SCOPED_TRACE(part.size());
    const std::uint32_t crc = Crc32c(0, part.data(), part.size());
    ASSERT_EQ(crc, Crc32cPortable(0, part.data(), part.size()));
    ASSERT_EQ(crc, CrcByBits(0x82f63b78, part));
    const std::uint32_t ieee = Crc32Ieee(0, part.data(), part.size());
    ASSERT_EQ(ieee, CrcByBits(0xedb88320, part));
    ASSERT_EQ(ieee, Crc32IeeePortable(0, part.data(), part.size()));
    const std::size_t cut = random.Below(part.size() + 1);
    const std::string_view rest = part.substr(cut);
    ASSERT_EQ(crc, Crc32c(Crc32c(0, part.data(), cut), rest.data(), rest.size()));
    ASSERT_EQ(ieee, Crc32Ieee(Crc32Ieee(0, part.data(), cut), rest.data(), rest.size()));
  }
}

}  // namespace
}  // namespace headrace::record::testing
