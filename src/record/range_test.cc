// Round trips and ranges of all formats, against the records themselves.
#include <zlib.h>

#include <map>
#include <thread>

#include "record/crc.h"
#include "record/gzip.h"
#include "record/open_cursor.h"
#include "record/testing.h"

namespace headrace::record::testing {
namespace {

struct Case {
  const char* name;
  WriteOptions writing;
  bool gzip = false;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const bool gzip : {false, true}) {
    for (const std::uint64_t chunk : {std::uint64_t{2000}, kDefaultChunkBytes}) {
      const bool small = chunk == 2000;
      cases.push_back({small ? "NoneSmall" : "None",
                       Writing(Format::kRecordIo, Compressor::kNone, chunk), gzip});
      cases.push_back({small ? "SnappySmall" : "Snappy",
                       Writing(Format::kRecordIo, Compressor::kSnappy, chunk), gzip});
      cases.push_back({small ? "GzipSmall" : "Gzip",
                       Writing(Format::kRecordIo, Compressor::kGzip, chunk), gzip});
    }
    cases.push_back({"TfRecord", Writing(Format::kTfRecord), gzip});
    cases.push_back({"Text", Writing(Format::kText), gzip});
  }
  return cases;
}

class RangeTest : public RecordTest, public ::testing::WithParamInterface<Case> {
 protected:
  // A file with these records, text made of them if the format is text.
  std::string Write(Records* records) {
    const Case& c = GetParam();
    if (c.writing.format == Format::kText) {
      for (std::string& record : *records) {
        for (char& byte : record) {
          if (byte == '\n' || byte == '\r' || byte == '\0') byte = 'x';
        }
      }
    }
    std::string bytes = Encode(*records, c.writing);
    std::string path = Path(c.writing.format == Format::kRecordIo   ? "a.recordio"
                            : c.writing.format == Format::kTfRecord ? "a.tfrecord"
                                                                    : "a.txt");
    if (c.gzip) {
      // Two members, as `cat a.gz b.gz` makes.
      std::string packed;
      EXPECT_TRUE(AppendGzip(std::string_view(bytes).substr(0, bytes.size() / 3), &packed));
      EXPECT_TRUE(AppendGzip(std::string_view(bytes).substr(bytes.size() / 3), &packed));
      bytes = packed;
      path += ".gz";
    }
    WriteBytes(path, bytes);
    return path;
  }
};

TEST_P(RangeTest, EveryRangeIsThatPartOfTheRecords) {
  Records records = RandomRecords(3000, 150, 11);
  const std::string path = Write(&records);
  std::unique_ptr<RecordFile> file;
  ASSERT_EQ(RecordFile::Open(path, {}, &file).ToString(), "OK");
  EXPECT_EQ(file->layout().format, GetParam().writing.format);
  EXPECT_EQ(file->splittable(), !GetParam().gzip);
  ASSERT_EQ(file->num_records(), records.size());
  Random random(3);
  for (int i = 0; i < 40; ++i) {
    const std::size_t begin = i == 0 ? 0 : random.Below(records.size() + 1);
    const std::size_t most = records.size() - begin;
    const std::size_t end =
        begin + (i == 0 ? most : random.Below(std::min<std::size_t>(most, 200) + 1));
    Records found;
    ASSERT_EQ(ReadRange(*file, begin, end, &found).ToString(), "OK");
    ASSERT_EQ(found, Records(records.begin() + begin, records.begin() + end))
        << begin << " " << end;
  }
}

TEST_P(RangeTest, SmallFiles) {
  for (Records records : {Records{}, Records{""}, Records{"", ""}, Records{"a"},
                          Records{"", "b", "", std::string(70000, 'c'), ""}}) {
    if (GetParam().writing.chunk_bytes == 2000 && records.size() > 2) records[3] = "c";
    const std::string path = Write(&records);
    Records found;
    ASSERT_EQ(ReadAll(path, {}, &found).ToString(), "OK");
    EXPECT_EQ(found, records);
    Records again;  // by the index file
    ASSERT_EQ(ReadAll(path, {}, &again).ToString(), "OK");
    EXPECT_EQ(again, records);
  }
}

TEST_P(RangeTest, RecordsOutsideOfTheFileAreRefused) {
  Records records = {"a", "b"};
  std::unique_ptr<RecordFile> file;
  ASSERT_TRUE(RecordFile::Open(Write(&records), {}, &file).ok());
  std::unique_ptr<RangeReader> reader;
  EXPECT_EQ(file->Read(0, 3, &reader).code(), Code::kOutOfRange);
  EXPECT_EQ(file->Read(2, 1, &reader).code(), Code::kOutOfRange);
  EXPECT_EQ(file->Read(~std::uint64_t{0}, ~std::uint64_t{0}, &reader).code(), Code::kOutOfRange);
  EXPECT_TRUE(file->Read(2, 2, &reader).ok());
}

// What verify and damage tell of where a record begins.
TEST_P(RangeTest, TheOffsetOfARecord) {
  Records records = RandomRecords(3000, 150, 13);
  const std::string path = Write(&records);
  // As it is unpacked.
  const std::string bytes = Encode(records, GetParam().writing);
  std::vector<std::uint64_t> begins;
  const std::unique_ptr<Cursor> cursor =
      OpenCursor(MakeMemoryFile("", bytes), {GetParam().writing.format, false}, 1 << 20, 0);
  for (std::string_view record; cursor->Next(&record);) begins.push_back(cursor->offset());
  ASSERT_EQ(begins.size(), records.size());
  std::unique_ptr<RecordFile> file;
  ASSERT_EQ(RecordFile::Open(path, {}, &file).ToString(), "OK");
  for (const std::size_t record : {0, 1, 1023, 1024, 1500, 2999}) {
    std::uint64_t offset = 0;
    ASSERT_EQ(file->FindOffset(record, &offset).ToString(), "OK");
    EXPECT_EQ(offset, begins[record]) << record;
    if (GetParam().writing.format == Format::kText) {
      EXPECT_EQ(bytes.substr(offset, records[record].size()), records[record]);
    }
  }
  std::uint64_t offset = 0;
  EXPECT_EQ(file->FindOffset(3000, &offset).code(), Code::kOutOfRange);
}

TEST_P(RangeTest, ReadersOfOneFileAreIndependent) {
  Records records = RandomRecords(2000, 100, 5);
  const std::string path = Write(&records);
  std::unique_ptr<RecordFile> file;
  ASSERT_TRUE(RecordFile::Open(path, {}, &file).ok());
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t begin = t * 37; begin + 300 < records.size(); begin += 251) {
        Records found;
        EXPECT_TRUE(ReadRange(*file, begin, begin + 300, &found).ok());
        EXPECT_EQ(found, Records(records.begin() + begin, records.begin() + begin + 300));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_P(RangeTest, AReaderOutlivesItsFile) {
  Records records = {"first", "second"};
  std::unique_ptr<RecordFile> file;
  ASSERT_TRUE(RecordFile::Open(Write(&records), {}, &file).ok());
  std::unique_ptr<RangeReader> reader;
  ASSERT_TRUE(file->Read(0, 2, &reader).ok());
  file.reset();
  std::string_view record;
  ASSERT_TRUE(reader->Next(&record));
  EXPECT_EQ(record, "first");
  EXPECT_EQ(reader->next_record(), 1u);
  ASSERT_TRUE(reader->Next(&record));
  EXPECT_FALSE(reader->Next(&record));
  EXPECT_TRUE(reader->status().ok());
}

INSTANTIATE_TEST_SUITE_P(Formats, RangeTest, ::testing::ValuesIn(AllCases()),
                         [](const ::testing::TestParamInfo<Case>& info) {
                           return std::string(info.param.name) + (info.param.gzip ? "Packed" : "");
                         });

class CountingFile final : public InputFile {
 public:
  explicit CountingFile(std::string bytes)
      : InputFile("counted", bytes.size(), 0), bytes_(MakeMemoryFile("", std::move(bytes))) {}
  Status ReadAt(std::uint64_t offset, std::size_t bytes, char* to,
                std::size_t* got) const override {
    read += bytes;
    return bytes_->ReadAt(offset, bytes, to, got);
  }
  mutable std::uint64_t read = 0;

 private:
  const std::shared_ptr<const InputFile> bytes_;
};

// A range costs at most a chunk or an entry's records more than itself, wherever it begins.
TEST(RangeCostTest, ARangeStartsWithoutScanning) {
  const Records records = RandomRecords(100000, 100, 9);
  for (const WriteOptions& writing :
       {Writing(Format::kRecordIo, Compressor::kNone, 100000), Writing(Format::kTfRecord)}) {
    const auto input = std::make_shared<CountingFile>(Encode(records, writing));
    std::unique_ptr<RecordFile> file;
    ASSERT_TRUE(RecordFile::Open(input, {}, &file).ok());
    for (const std::size_t begin : {0, 500, 50000, 99990}) {
      input->read = 0;
      Records found;
      ASSERT_TRUE(ReadRange(*file, begin, begin + 10, &found).ok());
      EXPECT_EQ(found, Records(records.begin() + begin, records.begin() + begin + 10));
      EXPECT_LE(input->read, 600000u) << begin;  // of 5.5 MB
    }
  }
}

// Ranges that follow each other within one chunk, as tasks do, read it once.
TEST(RangeCostTest, RangesOfOneChunkShareIt) {
  const Records records = RandomRecords(1000, 100, 9);
  const auto input = std::make_shared<CountingFile>(Encode(records, Writing(Format::kRecordIo)));
  std::unique_ptr<RecordFile> file;
  ASSERT_TRUE(RecordFile::Open(input, {}, &file).ok());
  input->read = 0;
  for (std::size_t begin = 0; begin < 1000; begin += 10) {
    Records found;
    ASSERT_TRUE(ReadRange(*file, begin, begin + 10, &found).ok());
    EXPECT_EQ(found, Records(records.begin() + begin, records.begin() + begin + 10));
  }
  EXPECT_LE(input->read, input->size());
}

// A chunk that another reader still shows is not written over.
TEST(RangeCostTest, ARecordStaysValidWhileOthersReadOn) {
  const Records records = RandomRecords(1000, 100, 9);
  const std::string bytes = Encode(records, Writing(Format::kRecordIo, Compressor::kNone, 1000));
  std::unique_ptr<RecordFile> file;
  ASSERT_TRUE(RecordFile::Open(MakeMemoryFile("m", bytes), {}, &file).ok());
  std::unique_ptr<RangeReader> first;
  ASSERT_TRUE(file->Read(0, 1, &first).ok());
  std::string_view shown;
  ASSERT_TRUE(first->Next(&shown));
  Records found;
  ASSERT_TRUE(ReadRange(*file, 0, 1000, &found).ok());
  EXPECT_EQ(found, records);
  EXPECT_EQ(shown, records[0]);
}

TEST_F(RecordTest, AFileThatChangedAfterOpeningIsRefused) {
  const std::string path = Path("a.recordio");
  ASSERT_TRUE(WriteRecords(path, {"a", "b"}, Writing(Format::kRecordIo)).ok());
  std::unique_ptr<RecordFile> file;
  ASSERT_TRUE(RecordFile::Open(path, {}, &file).ok());
  std::ofstream(path, std::ios::app) << "more";
  std::unique_ptr<RangeReader> reader;
  const Status status = file->Read(0, 2, &reader);
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_NE(status.message().find(path), std::string::npos);
}

TEST_F(RecordTest, WhatIsNoRecordFileIsRefused) {
  std::unique_ptr<RecordFile> file;
  EXPECT_EQ(RecordFile::Open(Path("none"), {}, &file).code(), Code::kNotFound);
  EXPECT_EQ(RecordFile::Open(folder_.string(), {}, &file).code(), Code::kInvalidArgument);
  WriteBytes(Path("binary"), std::string("\x7f"
                                         "ELF\0\0\0\0",
                                         8));
  const Status binary = RecordFile::Open(Path("binary"), {}, &file);
  EXPECT_EQ(binary.code(), Code::kInvalidArgument);
  EXPECT_NE(binary.message().find("byte 4 is zero"), std::string::npos) << binary.message();
  WriteBytes(Path("a.recordio"), "plain text");
  EXPECT_EQ(RecordFile::Open(Path("a.recordio"), {}, &file).code(), Code::kDataLoss);
  WriteBytes(Path("a.tfrecords"), "plain text");
  EXPECT_EQ(RecordFile::Open(Path("a.tfrecords"), {}, &file).code(), Code::kDataLoss);
}

TEST_F(RecordTest, ContentDecidesTheFormatBeforeTheName) {
  ASSERT_TRUE(WriteRecords(Path("a.txt"), {"a"}, Writing(Format::kRecordIo)).ok());
  ASSERT_TRUE(WriteRecords(Path("b.csv"), {"a"}, Writing(Format::kTfRecord)).ok());
  WriteBytes(Path("c.csv"), "a,b\n");
  WriteBytes(Path("d.tsv"), "a\tb\n");
  const std::map<std::string, Format> expected = {{"a.txt", Format::kRecordIo},
                                                  {"b.csv", Format::kTfRecord},
                                                  {"c.csv", Format::kCsv},
                                                  {"d.tsv", Format::kText}};
  for (const auto& [name, format] : expected) {
    std::unique_ptr<RecordFile> file;
    ASSERT_TRUE(RecordFile::Open(Path(name), {}, &file).ok());
    EXPECT_EQ(file->layout().format, format) << name;
  }
}

// Its length's first bytes are gzip's, up to the flags.
TEST_F(RecordTest, ATfRecordThatBeginsAsGzipIsNone) {
  const Records records = {std::string(0x00088b1f, 'x'), "b"};
  ASSERT_TRUE(WriteRecords(Path("a"), records, Writing(Format::kTfRecord)).ok());
  ASSERT_EQ(Contents(Path("a")).substr(0, 4), std::string("\x1f\x8b\x08\0", 4));
  for (const Format format : {Format::kDetect, Format::kTfRecord}) {
    OpenOptions options;
    options.format = format;
    Records found;
    EXPECT_EQ(ReadAll(Path("a"), options, &found).ToString(), "OK");
    EXPECT_EQ(found, records);
  }
}

TEST_F(RecordTest, ARecordLongerThanAChunkHasOneOfItsOwn) {
  const Records records = {"a", "b", std::string(100, 'c'), "d", std::string(10, 'e'), "f"};
  for (const Compressor compressor : {Compressor::kNone, Compressor::kSnappy, Compressor::kGzip}) {
    const WriteOptions options = Writing(Format::kRecordIo, compressor, 10);
    ASSERT_TRUE(WriteRecords(Path("a.recordio"), records, options).ok());
    std::unique_ptr<RecordFile> file;
    ASSERT_TRUE(RecordFile::Open(Path("a.recordio"), {}, &file).ok());
    EXPECT_EQ(file->index().entries.size(), 5u);
    Records found;
    ASSERT_TRUE(ReadRange(*file, 0, records.size(), &found).ok());
    EXPECT_EQ(found, records);
  }
}

TEST_F(RecordTest, RecordsThatTheFormatCannotHoldAreRefused) {
  std::unique_ptr<RecordWriter> writer;
  WriteOptions options = Writing(Format::kRecordIo);
  ASSERT_TRUE(CreateRecordWriter(Path("b"), Writing(Format::kText), &writer).ok());
  EXPECT_EQ(writer->Write("a\nb").code(), Code::kInvalidArgument);
  EXPECT_EQ(writer->Write("a\r").code(), Code::kInvalidArgument);
  ASSERT_TRUE(CreateRecordWriter(Path("b.csv"), Writing(Format::kCsv), &writer).ok());
  for (const char* bad : {"a\nb", "a,\"b", "\"a\"\nb", "\"a\"b\n", "a\r"}) {
    EXPECT_EQ(writer->Write(bad).code(), Code::kInvalidArgument) << bad;
  }
  const Records good = {"", "a,b", "\"a\nb\",c", "5\" pipe", "\"a\"\"\nb\""};
  for (const std::string& record : good) EXPECT_TRUE(writer->Write(record).ok()) << record;
  ASSERT_TRUE(writer->Close().ok());
  Records found;
  ASSERT_TRUE(ReadAll(Path("b.csv"), {}, &found).ok());
  EXPECT_EQ(found, good);
  options.chunk_bytes = 0;
  EXPECT_EQ(CreateRecordWriter(Path("c"), options, &writer).code(), Code::kInvalidArgument);
  options.chunk_bytes = kMaxChunkBytes;
  EXPECT_EQ(CreateRecordWriter(Path("c"), options, &writer).code(), Code::kInvalidArgument);
  EXPECT_EQ(CreateRecordWriter(Path("c"), Writing(Format::kDetect), &writer).code(),
            Code::kInvalidArgument);
  EXPECT_EQ(CreateRecordWriter(Path("none/c"), Writing(Format::kText), &writer).code(),
            Code::kNotFound);
}

}  // namespace
}  // namespace headrace::record::testing
