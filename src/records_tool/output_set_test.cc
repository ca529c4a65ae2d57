#include "records_tool/output_set.h"

#include <numeric>

#include "record/testing.h"

namespace headrace::records_tool {
namespace {

using record::Format;
using record::testing::Records;
using record::testing::WriteBytes;

class OutputSetTest : public record::testing::RecordTest {
 protected:
  OutputOptions Options(const std::string& name, std::uint64_t records_per_file = 0) {
    OutputOptions options;
    options.path = Path(name);
    options.write = record::testing::Writing(Format::kText);
    options.records_per_file = records_per_file;
    return options;
  }
  Status WriteNumbers(const OutputOptions& options, int count) {
    std::unique_ptr<OutputSet> output;
    if (Status status = OutputSet::Create(options, &output); !status.ok()) return status;
    for (int i = 0; i < count; ++i) {
      if (Status status = output->Write(std::to_string(i)); !status.ok()) return status;
    }
    Status status = output->Commit();
    written_ = output->files();
    return status;
  }
  // All records, of all files in turn.
  Records Found() {
    Records all;
    for (const WrittenFile& file : written_) {
      Records found;
      EXPECT_EQ(record::testing::ReadAll(file.path, Memory(), &found).ToString(), "OK");
      EXPECT_EQ(found.size(), file.records);
      all.insert(all.end(), found.begin(), found.end());
    }
    return all;
  }
  static record::OpenOptions Memory() {
    record::OpenOptions options;
    options.index = record::OpenOptions::IndexUse::kMemory;
    return options;
  }
  static Records Numbers(int count) {
    Records records;
    for (int i = 0; i < count; ++i) records.push_back(std::to_string(i));
    return records;
  }

  std::vector<WrittenFile> written_;
};

using Names = std::vector<std::string>;

TEST_F(OutputSetTest, OneFileOrSeveral) {
  ASSERT_EQ(WriteNumbers(Options("a.txt"), 10).ToString(), "OK");
  EXPECT_EQ(Found(), Numbers(10));
  ASSERT_EQ(WriteNumbers(Options("b/", 4), 10).ToString(), "OK");
  EXPECT_EQ(written_.size(), 3u);
  EXPECT_EQ(written_[2].path, Path("b/part-00002.txt"));
  EXPECT_EQ(Found(), Numbers(10));
  ASSERT_EQ(WriteNumbers(Options("c", 5), 10).ToString(), "OK");
  EXPECT_EQ(written_.size(), 2u);
  ASSERT_EQ(WriteNumbers(Options("d", 5), 0).ToString(), "OK");
  EXPECT_EQ(written_.size(), 1u);
  EXPECT_EQ(FilesLeft(), (Names{"a.txt", "b", "c", "d"}));
}

TEST_F(OutputSetTest, NothingAppearsUnlessCommitted) {
  for (const std::uint64_t per_file : {0, 2}) {
    OutputOptions options = Options("a", per_file);
    options.shuffle = per_file > 0;
    std::unique_ptr<OutputSet> output;
    ASSERT_TRUE(OutputSet::Create(options, &output).ok());
    for (int i = 0; i < 9; ++i) ASSERT_TRUE(output->Write("x").ok());
    EXPECT_FALSE(std::filesystem::exists(Path("a")));
    output.reset();
    EXPECT_TRUE(FilesLeft().empty());
  }
}

TEST_F(OutputSetTest, AFailedRecordLeavesNothing) {
  OutputOptions options = Options("a", 2);
  options.shuffle = true;  // the failure shows when it is taken from the spool
  std::unique_ptr<OutputSet> output;
  ASSERT_TRUE(OutputSet::Create(options, &output).ok());
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(output->Write(i == 3 ? "a\nb" : "x").ok());
  EXPECT_EQ(output->Commit().code(), Code::kInvalidArgument);
  output.reset();
  EXPECT_TRUE(FilesLeft().empty());
}

TEST_F(OutputSetTest, ShufflesBySeedOnEveryMachine) {
  OutputOptions options = Options("a.txt");
  options.shuffle = true;
  options.overwrite = true;
  options.seed = 1;
  ASSERT_TRUE(WriteNumbers(options, 8).ok());
  const Records one = Found();
  EXPECT_EQ(one, (Records{"4", "6", "3", "5", "1", "7", "2", "0"}));
  options.seed = 2;
  ASSERT_TRUE(WriteNumbers(options, 8).ok());
  EXPECT_NE(Found(), one);
  ASSERT_TRUE(WriteNumbers(options, 100000).ok());
  Records found = Found();
  Records sorted = Numbers(100000);
  std::sort(found.begin(), found.end());
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(found, sorted);
}

// Each of the six orders of three records about equally often.
TEST_F(OutputSetTest, ShufflesFairly) {
  std::map<std::string, int> orders;
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    std::unique_ptr<Spool> spool;
    ASSERT_TRUE(Spool::Create(folder_.string(), &spool).ok());
    for (const char* record : {"a", "", "c"}) ASSERT_TRUE(spool->Add(record).ok());
    std::string order;
    ASSERT_TRUE(spool
                    ->Shuffled(seed,
                               [&](std::string_view record) {
                                 order += std::string(record) + ",";
                                 return Status();
                               })
                    .ok());
    ++orders[order];
  }
  EXPECT_EQ(orders.size(), 6u);
  for (const auto& [order, count] : orders) EXPECT_NEAR(count, 500, 110) << order;
  EXPECT_TRUE(FilesLeft().empty());
}

TEST_F(OutputSetTest, WhatIsThereIsReplacedOnlyIfAskedAndKnown) {
  OutputOptions options = Options("a", 2);
  ASSERT_TRUE(WriteNumbers(options, 5).ok());
  EXPECT_EQ(WriteNumbers(options, 3).code(), Code::kAlreadyExists);
  options.overwrite = true;
  WriteBytes(Path("a/part-00000.txt.hridx"), "an index");
  ASSERT_EQ(WriteNumbers(options, 3).ToString(), "OK");
  EXPECT_EQ(Found(), Numbers(3));
  EXPECT_FALSE(std::filesystem::exists(Path("a/part-00002.txt")));
  WriteBytes(Path("a/mine"), "precious");
  EXPECT_EQ(WriteNumbers(options, 3).code(), Code::kAlreadyExists);
  EXPECT_TRUE(std::filesystem::exists(Path("a/mine")));
  EXPECT_EQ(FilesLeft(), Names{"a"});

  EXPECT_EQ(WriteNumbers(Options("a"), 3).code(), Code::kAlreadyExists);  // a folder
  WriteBytes(Path("b"), "mine");
  EXPECT_EQ(WriteNumbers(Options("b"), 3).code(), Code::kAlreadyExists);
  options.path = Path("b");
  EXPECT_EQ(WriteNumbers(options, 3).code(), Code::kAlreadyExists);  // a file, not a folder
  std::filesystem::create_directory(Path("empty"));
  EXPECT_EQ(WriteNumbers(Options("empty", 3), 3).ToString(), "OK");
}

// Something came into the folder while the new one was written.
TEST_F(OutputSetTest, WhatCameInTheMeantimeIsNotRemoved) {
  OutputOptions options = Options("a", 2);
  ASSERT_TRUE(WriteNumbers(options, 3).ok());
  options.overwrite = true;
  std::unique_ptr<OutputSet> output;
  ASSERT_TRUE(OutputSet::Create(options, &output).ok());
  WriteBytes(Path("a/mine"), "precious");
  EXPECT_EQ(output->Commit().code(), Code::kAlreadyExists);
  output.reset();
  EXPECT_EQ(FilesLeft(), Names{"a"});
  EXPECT_TRUE(std::filesystem::exists(Path("a/mine")));
}

TEST_F(OutputSetTest, NamesThatPromiseSomethingElse) {
  const std::tuple<const char*, Format, bool> cases[] = {
      {"a.recordio", Format::kRecordIo, true}, {"a.recordio", Format::kTfRecord, false},
      {"a.recordio", Format::kText, false},    {"a.tfrecord", Format::kTfRecord, true},
      {"a.tfrecords", Format::kText, false},   {"a.csv", Format::kText, false},
      {"a.csv", Format::kCsv, true},           {"a.txt", Format::kCsv, false},
      {"a", Format::kRecordIo, true},          {"a.tsv", Format::kText, true},
      {"a.txt.gz", Format::kText, false},      {"a.recordio.gz", Format::kRecordIo, false}};
  for (const auto& [name, format, good] : cases) {
    OutputOptions options = Options(name);
    options.write.format = format;
    options.overwrite = true;
    EXPECT_EQ(WriteNumbers(options, 1).ok(), good) << name << " " << record::FormatName(format);
  }
}

}  // namespace
}  // namespace headrace::records_tool
