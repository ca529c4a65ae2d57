#include "record/verify.h"

#include "record/gzip.h"
#include "record/testing.h"

namespace headrace::record::testing {
namespace {

constexpr std::uint64_t kMax = 1 << 20;

VerifyReport Verify(std::string bytes, Format format = Format::kDetect,
                    const std::string& name = "f") {
  VerifyReport report;
  Layout layout;
  layout.format = format;
  const Status status =
      VerifyFile(MakeMemoryFile(name, std::move(bytes)), layout, kMax, 1000, &report);
  EXPECT_EQ(status.ToString(), "OK");
  return report;
}

TEST(VerifyTest, GoodFiles) {
  const Records records = RandomRecords(100, 100, 1);
  const VerifyReport chunks =
      Verify(Encode(records, Writing(Format::kRecordIo, Compressor::kSnappy, 1000)));
  EXPECT_EQ(chunks.num_damaged, 0u);
  EXPECT_EQ(chunks.num_records, 100u);
  EXPECT_GT(chunks.num_chunks, 3u);
  const VerifyReport tf = Verify(Encode(records, Writing(Format::kTfRecord)));
  EXPECT_EQ(tf.num_damaged, 0u);
  EXPECT_EQ(tf.num_records, 100u);
  EXPECT_EQ(Verify("a\nb").num_records, 2u);
  EXPECT_EQ(Verify("").num_records, 0u);
}

// Ten chunks of one record of 100 bytes: 124 bytes each.
class VerifyDamageTest : public ::testing::Test {
 protected:
  static constexpr std::size_t kChunk = 124;
  std::string bytes_ = Encode(Records(10, std::string(100, 'r')),
                              Writing(Format::kRecordIo, Compressor::kNone, 101));
};

TEST_F(VerifyDamageTest, EveryDamagedChunkIsReportedAndNoOther) {
  ASSERT_EQ(bytes_.size(), 10 * kChunk);
  bytes_[2 * kChunk + 50] ^= 1;  // contents
  bytes_[4 * kChunk + 1] ^= 1;   // magic
  bytes_[6 * kChunk + 14] ^= 1;  // length: now 65,640
  bytes_[8 * kChunk + 16] ^= 2;  // number of records
  const VerifyReport report = Verify(bytes_);
  EXPECT_EQ(report.num_damaged, 4u);
  EXPECT_EQ(report.num_chunks, 6u);
  EXPECT_EQ(report.num_records, 6u);
  ASSERT_EQ(report.damages.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(report.damages[i].offset, (2 * i + 2) * kChunk);
    EXPECT_EQ(report.damages[i].bytes, kChunk);
    const std::string where = "f: byte " + std::to_string((2 * i + 2) * kChunk) + ": ";
    EXPECT_EQ(report.damages[i].status.message().substr(0, where.size()), where);
  }
}

// The length that it announces ends within the next chunk, which is not lost.
TEST_F(VerifyDamageTest, AWrongLengthWithinTheFileIsNotBelieved) {
  bytes_[3 * kChunk + 12] ^= 16;  // 104 bytes: now 120
  const VerifyReport report = Verify(bytes_);
  EXPECT_EQ(report.num_records, 9u);
  ASSERT_EQ(report.damages.size(), 1u);
  EXPECT_EQ(report.damages[0].offset, 3 * kChunk);
  EXPECT_EQ(report.damages[0].bytes, kChunk);
}

TEST_F(VerifyDamageTest, ACutTail) {
  const VerifyReport report = Verify(bytes_.substr(0, 9 * kChunk + 30));
  EXPECT_EQ(report.num_records, 9u);
  ASSERT_EQ(report.damages.size(), 1u);
  EXPECT_EQ(report.damages[0].offset, 9 * kChunk);
  EXPECT_EQ(report.damages[0].bytes, 30u);
}

TEST_F(VerifyDamageTest, AFirstChunkWithoutItsMagic) {
  bytes_[0] ^= 1;
  const VerifyReport report = Verify(bytes_, Format::kRecordIo);
  EXPECT_EQ(report.num_records, 9u);
  ASSERT_EQ(report.damages.size(), 1u);
  EXPECT_EQ(report.damages[0].bytes, kChunk);
}

TEST(VerifyTfRecordTest, EveryDamagedRecordIsReportedAndNoOther) {
  constexpr std::size_t kRecord = 116;
  std::string bytes = Encode(Records(10, std::string(100, 'r')), Writing(Format::kTfRecord));
  ASSERT_EQ(bytes.size(), 10 * kRecord);
  bytes[2 * kRecord + 50] ^= 1;   // contents
  bytes[4 * kRecord + 1] ^= 1;    // length
  bytes[6 * kRecord + 9] ^= 1;    // the length's checksum
  bytes[8 * kRecord + 115] ^= 1;  // the contents' checksum
  const VerifyReport report = Verify(bytes);
  EXPECT_EQ(report.num_records, 6u);
  ASSERT_EQ(report.damages.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(report.damages[i].offset, (2 * i + 2) * kRecord);
    EXPECT_EQ(report.damages[i].bytes, kRecord);
  }
}

TEST(VerifyPackedTest, DamageEndsTheWalk) {
  std::string packed;
  ASSERT_TRUE(AppendGzip(Encode(RandomRecords(1000, 100, 4), Writing(Format::kTfRecord)), &packed));
  EXPECT_EQ(Verify(packed).num_records, 1000u);
  packed[packed.size() / 2] ^= 1;
  EXPECT_EQ(Verify(packed).num_damaged, 1u);
  packed[packed.size() / 2] ^= 1;
  EXPECT_EQ(Verify(packed.substr(0, packed.size() - 1)).num_damaged, 1u);
  EXPECT_EQ(Verify(packed + "x").num_damaged, 1u);
}

TEST(VerifyTextTest, AQuoteThatIsNeverClosed) {
  const VerifyReport report = Verify("a\n\"b\nc\n", Format::kCsv);
  EXPECT_EQ(report.num_records, 1u);
  ASSERT_EQ(report.damages.size(), 1u);
  EXPECT_EQ(report.damages[0].offset, 2u);
}

// Magic numbers without end, each with a large payload: the search gives up, soon.
TEST(VerifyHostileTest, ManyFalseBeginningsEndSoon) {
  std::string bytes;
  for (int i = 0; i < 20000; ++i) {
    bytes += std::string(
        "\x04\x03\x02\x01"
        "\0\0\0\0"
        "\0\0\0\0"
        "\0\0\4\0"
        "\1\0\0\0",
        20);
  }
  const VerifyReport report = Verify(bytes);
  EXPECT_EQ(report.num_records, 0u);
  EXPECT_GE(report.num_damaged, 1u);
  EXPECT_LE(report.damages.size(), 1000u);
}

}  // namespace
}  // namespace headrace::record::testing
