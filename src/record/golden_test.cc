// Files that others wrote: see testdata/README.md.
#include <gmock/gmock.h>

#include "record/testing.h"

namespace headrace::record::testing {
namespace {

constexpr char kFolder[] = HEADRACE_RECORD_TESTDATA "/";

Records GoldenRecords() {
  Records records;
  for (std::uint32_t i = 0; i < 60; ++i) records.push_back(GoldenRecord(i));
  return records;
}

OpenOptions InMemory() {
  OpenOptions options;
  options.index = OpenOptions::IndexUse::kMemory;
  return options;
}

class GoldenTest : public ::testing::TestWithParam<const char*> {};

TEST_P(GoldenTest, ReadsAllRecords) {
  Records records;
  const Status status = ReadAll(std::string(kFolder) + GetParam(), InMemory(), &records);
  ASSERT_EQ(status.ToString(), "OK");
  EXPECT_EQ(records, GoldenRecords());
}

INSTANTIATE_TEST_SUITE_P(Files, GoldenTest,
                         ::testing::Values("none.recordio", "snappy.recordio", "gzip.recordio",
                                           "pyrecordio.recordio", "tensorflow.tfrecord",
                                           "tensorflow.tfrecord.gz"));

TEST(GoldenLargeTest, ReadsRecordsOfSeveralSnappyBlocks) {
  for (const char* name : {"large-snappy.recordio", "large-gzip.recordio"}) {
    Records records;
    ASSERT_EQ(ReadAll(std::string(kFolder) + name, InMemory(), &records).ToString(), "OK");
    EXPECT_EQ(records, (Records{LargeGoldenRecord(), GoldenRecord(3)}));
  }
}

TEST(GoldenWriteTest, UncompressedFilesAreTheSameByteForByte) {
  EXPECT_EQ(Encode(GoldenRecords(), Writing(Format::kRecordIo, Compressor::kNone, 1000)),
            Contents(std::string(kFolder) + "none.recordio"));
  EXPECT_EQ(Encode(GoldenRecords(), Writing(Format::kTfRecord)),
            Contents(std::string(kFolder) + "tensorflow.tfrecord"));
}

}  // namespace
}  // namespace headrace::record::testing
