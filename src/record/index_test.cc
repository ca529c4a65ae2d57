#include "record/index.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "record/bytes.h"
#include "record/crc.h"
#include "record/testing.h"

namespace headrace::record::testing {
namespace {

using IndexUse = OpenOptions::IndexUse;

Index SomeIndex() {
  Index index;
  index.layout = {Format::kCsv, true, ';'};
  index.data_bytes = 1000;
  index.data_mtime_ns = -5;
  index.num_records = 30;
  index.entries = {{0, 0}, {100, 10}, {200, 10}, {300, 25}};
  return index;
}

// The bytes with a checksum that fits them.
std::string Sealed(std::string bytes) {
  bytes.resize(bytes.size() - 4);
  AppendU32(MaskedCrc32c(bytes), &bytes);
  return bytes;
}

TEST(IndexTest, DecodesWhatItEncodes) {
  Index index;
  ASSERT_EQ(DecodeIndex("i", EncodeIndex(SomeIndex()), &index).ToString(), "OK");
  EXPECT_EQ(index.layout, SomeIndex().layout);
  EXPECT_EQ(index.data_bytes, 1000u);
  EXPECT_EQ(index.data_mtime_ns, -5);
  EXPECT_EQ(index.num_records, 30u);
  ASSERT_EQ(index.entries.size(), 4u);
  EXPECT_EQ(index.entries[3].offset, 300u);
  EXPECT_EQ(index.entries[3].first_record, 25u);
}

TEST(IndexTest, FindsTheEntryOfEveryRecord) {
  const Index index = SomeIndex();
  for (std::uint64_t record = 0; record < index.num_records; ++record) {
    const std::size_t entry = index.Find(record);
    EXPECT_LE(index.entries[entry].first_record, record);
    EXPECT_GT(index.FirstRecordAfter(entry), record);
  }
  EXPECT_EQ(index.OffsetAfter(1), 200u);
  EXPECT_EQ(index.OffsetAfter(3), 1000u);
}

TEST(IndexTest, EveryFlippedBitAndEveryTruncationIsFound) {
  const std::string bytes = EncodeIndex(SomeIndex());
  Index index;
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    ASSERT_EQ(DecodeIndex("i", flipped, &index).code(), Code::kDataLoss) << bit;
  }
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_EQ(DecodeIndex("i", bytes.substr(0, size), &index).code(), Code::kDataLoss) << size;
  }
}

TEST(IndexTest, WhatIsWrongUnderAGoodChecksumIsFound) {
  Index index;
  for (const std::size_t size : {16, 20, 40, 54, 60}) {
    EXPECT_FALSE(DecodeIndex("i", Sealed(EncodeIndex(SomeIndex()).substr(0, size)), &index).ok());
  }
  std::string bytes = EncodeIndex(SomeIndex());
  bytes[44] = 5;  // entries
  EXPECT_EQ(DecodeIndex("i", Sealed(bytes), &index).code(), Code::kDataLoss);
  bytes = EncodeIndex(SomeIndex());
  bytes[12] = 9;  // format
  EXPECT_EQ(DecodeIndex("i", Sealed(bytes), &index).code(), Code::kDataLoss);
  for (const std::size_t flags : {16, 18, 19}) {  // all but the delimiter's
    bytes = EncodeIndex(SomeIndex());
    bytes[flags] = 2;
    EXPECT_EQ(DecodeIndex("i", Sealed(bytes), &index).code(), Code::kDataLoss) << flags;
  }
  const std::vector<std::vector<IndexEntry>> wrong = {{},
                                                      {{1, 0}},
                                                      {{0, 1}},
                                                      {{0, 0}, {0, 1}},
                                                      {{0, 0}, {5, 9}, {6, 8}},
                                                      {{0, 0}, {1000, 1}},
                                                      {{0, 0}, {5, 31}}};
  for (const std::vector<IndexEntry>& entries : wrong) {
    Index bad = SomeIndex();
    bad.entries = entries;
    EXPECT_EQ(DecodeIndex("i", EncodeIndex(bad), &index).code(), Code::kDataLoss);
  }
}

TEST(IndexTest, ANewerVersionIsRefusedByName) {
  std::string bytes = EncodeIndex(SomeIndex());
  bytes[8] = 2;
  Index index;
  const Status status = DecodeIndex("data.hridx", Sealed(bytes), &index);
  EXPECT_EQ(status.code(), Code::kUnimplemented);
  EXPECT_NE(status.message().find("data.hridx: byte 8: an index of version 2"), std::string::npos);
}

class IndexFileTest : public RecordTest {
 protected:
  void Write(const Records& records) {
    ASSERT_TRUE(WriteRecords(path_, records, Writing(Format::kRecordIo)).ok());
  }
  Status Open(IndexUse use, std::string folder = "") {
    OpenOptions options;
    options.index = use;
    options.index_folder = std::move(folder);
    return RecordFile::Open(path_, options, &file_);
  }

  const std::string path_ = Path("a.recordio");
  const std::string index_path_ = path_ + ".hridx";
  std::unique_ptr<RecordFile> file_;
};

TEST_F(IndexFileTest, IsWrittenOnlyWhereAskedFor) {
  Write({"a", "b"});
  ASSERT_TRUE(Open(IndexUse::kMemory).ok());
  ASSERT_TRUE(Open(IndexUse::kRead).ok());
  EXPECT_EQ(FilesLeft(), std::vector<std::string>{"a.recordio"});
  EXPECT_EQ(file_->made_index(), "");
  ASSERT_TRUE(Open(IndexUse::kReadWrite).ok());
  EXPECT_EQ(FilesLeft(), (std::vector<std::string>{"a.recordio", "a.recordio.hridx"}));
  EXPECT_EQ(file_->made_index(), index_path_);
  ASSERT_TRUE(Open(IndexUse::kReadWrite).ok());
  EXPECT_EQ(file_->made_index(), "") << "it was there";
}

// An index that counts wrongly shows that it was used.
TEST_F(IndexFileTest, IsUsedIfItFits) {
  Write({"a", "b"});
  ASSERT_TRUE(Open(IndexUse::kReadWrite).ok());
  Index index = file_->index();
  index.num_records = 3;
  ASSERT_TRUE(SaveIndex(index_path_, index).ok());
  ASSERT_TRUE(Open(IndexUse::kRead).ok());
  EXPECT_EQ(file_->num_records(), 3u);
  Records found;
  const Status status = ReadRange(*file_, 0, 3, &found);
  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_NE(status.message().find("announces 2 records, the index 3"), std::string::npos);
  EXPECT_TRUE(found.empty());
  ASSERT_TRUE(Open(IndexUse::kMemory).ok());
  EXPECT_EQ(file_->num_records(), 2u);
}

TEST_F(IndexFileTest, AStaleOneIsMadeAnew) {
  Write({"a", "b"});
  ASSERT_TRUE(Open(IndexUse::kReadWrite).ok());
  Write({"a", "b", "c"});  // another size
  ASSERT_TRUE(Open(IndexUse::kRead).ok());
  EXPECT_EQ(file_->num_records(), 3u);
  EXPECT_EQ(file_->index_status().code(), Code::kFailedPrecondition);
  ASSERT_TRUE(Open(IndexUse::kReadWrite).ok());
  EXPECT_TRUE(file_->index_status().ok());
  ASSERT_TRUE(Open(IndexUse::kRead).ok());
  EXPECT_TRUE(file_->index_status().ok());

  Write({"a", "", "bc"});  // the same size, another time
  const timespec times[2] = {{1000, 0}, {1000, 1}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path_.c_str(), times, 0), 0);
  ASSERT_TRUE(Open(IndexUse::kRead).ok());
  EXPECT_EQ(file_->index_status().code(), Code::kFailedPrecondition);
}

TEST_F(IndexFileTest, ADamagedOrCutOneIsMadeAnew) {
  Write({"a", "b"});
  ASSERT_TRUE(Open(IndexUse::kReadWrite).ok());
  const std::string good = Contents(index_path_);
  for (const std::string& bad : {std::string(), std::string("x"), good.substr(0, good.size() - 1),
                                 good + "x", std::string(good.size(), '\0')}) {
    WriteBytes(index_path_, bad);
    ASSERT_TRUE(Open(IndexUse::kRead).ok());
    EXPECT_EQ(file_->index_status().code(), Code::kDataLoss);
    EXPECT_EQ(file_->num_records(), 2u);
    ASSERT_TRUE(Open(IndexUse::kReadWrite).ok());
    EXPECT_EQ(Contents(index_path_), good);
  }
}

TEST_F(IndexFileTest, ANewerOneIsRefusedAndLeftAlone) {
  Write({"a", "b"});
  ASSERT_TRUE(Open(IndexUse::kReadWrite).ok());
  std::string bytes = Contents(index_path_);
  bytes[8] = 7;
  bytes = Sealed(bytes);
  WriteBytes(index_path_, bytes);
  const Status status = Open(IndexUse::kReadWrite);
  EXPECT_EQ(status.code(), Code::kUnimplemented);
  EXPECT_NE(status.message().find("version 7"), std::string::npos);
  EXPECT_EQ(Contents(index_path_), bytes);
}

TEST_F(IndexFileTest, OneForOtherOptionsIsMadeAnew) {
  WriteBytes(Path("a.csv"), "a,\"b\nc\"\n");
  for (const auto& [format, count] : {std::pair{Format::kCsv, 1}, {Format::kText, 2}}) {
    OpenOptions options;
    options.format = format;
    ASSERT_TRUE(RecordFile::Open(Path("a.csv"), options, &file_).ok());
    EXPECT_EQ(file_->num_records(), static_cast<std::uint64_t>(count));
  }
}

TEST_F(IndexFileTest, AFolderThatCannotBeWrittenStopsNothing) {
  Write({"a", "b"});
  ASSERT_TRUE(Open(IndexUse::kReadWrite, Path("none")).ok());
  EXPECT_EQ(file_->index_status().code(), Code::kNotFound);
  EXPECT_EQ(file_->num_records(), 2u);
}

TEST_F(IndexFileTest, AFolderOfItsOwnTellsFilesApart) {
  std::filesystem::create_directories(folder_ / "x");
  std::filesystem::create_directories(folder_ / "y");
  EXPECT_NE(IndexPath(Path("x/a"), "cache"), IndexPath(Path("y/a"), "cache"));
  EXPECT_EQ(IndexPath(Path("x/a"), "cache"), IndexPath(Path("y/../x/./a"), "cache"));
  Write({"a"});
  std::filesystem::create_directories(folder_ / "cache");
  ASSERT_TRUE(Open(IndexUse::kReadWrite, Path("cache")).ok());
  EXPECT_TRUE(std::filesystem::exists(IndexPath(path_, Path("cache"))));
  EXPECT_FALSE(std::filesystem::exists(index_path_));
}

TEST_F(IndexFileTest, PackedFilesAreCountedOnce) {
  WriteBytes(Path("a.txt"), "a\nb\nc\n");
  ASSERT_EQ(std::system(("gzip " + Path("a.txt")).c_str()), 0);
  ASSERT_TRUE(RecordFile::Open(Path("a.txt.gz"), {}, &file_).ok());
  EXPECT_EQ(file_->num_records(), 3u);
  EXPECT_EQ(file_->index().entries.size(), 1u);
  EXPECT_FALSE(file_->splittable());
  ASSERT_TRUE(RecordFile::Open(Path("a.txt.gz"), {}, &file_).ok());
  EXPECT_EQ(file_->num_records(), 3u);
}

TEST(BuildIndexTest, EntriesAreCloseByNumberAndByBytes) {
  std::unique_ptr<RecordFile> file;
  const Records small(5000, "1234567");
  ASSERT_TRUE(
      RecordFile::Open(MakeMemoryFile("m", Encode(small, Writing(Format::kText))), {}, &file).ok());
  ASSERT_EQ(file->index().entries.size(), 5u);
  EXPECT_EQ(file->index().entries[1].first_record, 1024u);
  EXPECT_EQ(file->index().entries[1].offset, 8192u);
  const Records large(10, std::string(200000, 'x'));
  ASSERT_TRUE(
      RecordFile::Open(MakeMemoryFile("m", Encode(large, Writing(Format::kTfRecord))), {}, &file)
          .ok());
  EXPECT_EQ(file->index().entries.size(), 5u);  // every second record
}

}  // namespace
}  // namespace headrace::record::testing
