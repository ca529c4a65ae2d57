// Files that were cut or in which bits flipped: all of it is found, and nothing wrong is handed
// out.
#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>

#include "base/testing.h"
#include "record/gzip.h"
#include "record/open_cursor.h"
#include "record/testing.h"
#include "record/verify.h"

namespace headrace::record::testing {
namespace {

constexpr std::uint64_t kMax = 1 << 24;

// Bytes that the test changes in place.
class ChangingFile final : public InputFile {
 public:
  ChangingFile(const char* name, std::string* bytes)
      : InputFile(name, bytes->size(), 0), bytes_(*bytes) {}
  Status ReadAt(std::uint64_t offset, std::size_t bytes, char* to,
                std::size_t* got) const override {
    const std::size_t begin = std::min<std::uint64_t>(offset, bytes_.size());
    *got = std::min(bytes, bytes_.size() - begin);
    std::memcpy(to, bytes_.data() + begin, *got);
    return {};
  }

 private:
  const std::string& bytes_;
};

struct Case {
  const char* name;
  WriteOptions writing;
  std::size_t flips;  // at random
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

class DamageTest : public ::testing::TestWithParam<Case> {
 protected:
  static WriteOptions Chunks(std::uint64_t bytes) {
    WriteOptions options = GetParam().writing;
    options.chunk_bytes = bytes;
    return options;
  }
  static OpenOptions Reading() {
    OpenOptions options;
    options.format = GetParam().writing.format;
    return options;
  }
  // Reads as far as it goes without an index, and expects only records that belong there.
  static Status ReadPrefix(std::string bytes, const Records& records, std::size_t* count) {
    Layout layout;
    layout.format = GetParam().writing.format;
    const auto cursor = OpenCursor(MakeMemoryFile("f", std::move(bytes)), layout, kMax, 0);
    std::string_view record;
    for (*count = 0; cursor->Next(&record); ++*count) {
      EXPECT_LT(*count, records.size());
      EXPECT_EQ(record, records[std::min(*count, records.size() - 1)]);
    }
    EXPECT_FALSE(cursor->Next(&record));
    return cursor->status();
  }
};

TEST_P(DamageTest, EveryTruncationIsFound) {
  Records records = RandomRecords(1200, 150, 21);
  std::string whole;
  while ((whole = Encode(records, Chunks(2000))).size() > 64 * 1024) records.pop_back();
  ASSERT_GT(whole.size(), 30000u);
  std::unique_ptr<RecordFile> file;
  ASSERT_TRUE(RecordFile::Open(MakeMemoryFile("f", whole), Reading(), &file).ok());
  std::map<std::size_t, std::size_t> borders = {{0, 0}};  // where a shorter file may end: records
  if (GetParam().writing.format == Format::kRecordIo) {
    for (std::size_t i = 0; i < file->index().entries.size(); ++i) {
      borders[file->index().OffsetAfter(i)] = file->index().FirstRecordAfter(i);
    }
  } else {
    for (std::size_t i = 0, at = 0; i < records.size(); ++i) {
      borders[at += records[i].size() + 16] = i + 1;
    }
  }
  ASSERT_EQ(borders.rbegin()->first, whole.size());
  const std::size_t step = HEADRACE_TESTS_ARE_SLOW ? 13 : 1;
  for (std::size_t size = 0; size < whole.size(); size += step) {
    const auto border = borders.find(size);
    Records found;
    std::string cut = whole.substr(0, size);
    const Status status = ReadAllBytes("f", cut, Reading(), &found);
    if (border != borders.end()) {
      ASSERT_TRUE(status.ok()) << size;
      ASSERT_EQ(found.size(), border->second);
      ASSERT_TRUE(std::equal(found.begin(), found.end(), records.begin()));
      continue;
    }
    ASSERT_EQ(status.code(), Code::kDataLoss) << size;
    const std::string unit =
        "f: byte " + std::to_string(std::prev(borders.lower_bound(size))->first);
    ASSERT_EQ(status.message().substr(0, unit.size()), unit);
    if (size % 97 != 0) continue;
    std::size_t count = 0;
    ASSERT_EQ(ReadPrefix(std::move(cut), records, &count).code(), Code::kDataLoss);
    ASSERT_EQ(count, std::prev(borders.lower_bound(size))->second);
  }
}

TEST_P(DamageTest, EveryFlippedBitIsFound) {
  const Records records = RandomRecords(30, 60, 22);
  std::string bytes = Encode(records, Chunks(300));
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    char* const byte = &bytes[bit / 8];
    *byte = static_cast<char>(*byte ^ 1 << bit % 8);
    std::size_t count = 0;
    ASSERT_EQ(ReadPrefix(bytes, records, &count).code(), Code::kDataLoss) << "bit " << bit;
    Records found;
    ASSERT_EQ(ReadAllBytes("f", bytes, Reading(), &found).code(), Code::kDataLoss) << "bit " << bit;
    *byte = static_cast<char>(*byte ^ 1 << bit % 8);
  }
}

// Only what is around the flip is read again, so that there can be many.
TEST_P(DamageTest, RandomFlipsAreFound) {
  const bool chunks = GetParam().writing.format == Format::kRecordIo;
  const Records records = RandomRecords(chunks ? 4000 : 200, 100, 23);
  std::string bytes = Encode(records, Chunks(4096));
  const auto input = std::make_shared<ChangingFile>("f", &bytes);
  std::unique_ptr<RecordFile> whole;
  ASSERT_TRUE(RecordFile::Open(input, Reading(), &whole).ok());
  const Index& index = whole->index();
  Random random(24);
  const std::size_t flips = GetParam().flips / (HEADRACE_TESTS_ARE_SLOW ? 50 : 1);
  for (std::size_t i = 0; i < flips; ++i) {
    const std::size_t bit = random.Below(8 * bytes.size());
    char* const byte = &bytes[bit / 8];
    *byte = static_cast<char>(*byte ^ 1 << bit % 8);
    std::size_t entry = 0;
    if (chunks) {
      entry = std::upper_bound(index.entries.begin(), index.entries.end(), bit / 8,
                               [](std::size_t at, const IndexEntry& e) { return at < e.offset; }) -
              index.entries.begin() - 1;
    }
    std::unique_ptr<RecordFile> file;
    std::unique_ptr<RangeReader> reader;
    Status status = RecordFile::Open(input, Reading(), &file);
    std::size_t record = index.entries[entry].first_record;
    if (status.ok()) status = file->Read(record, index.FirstRecordAfter(entry), &reader);
    std::string_view found;
    for (; status.ok() && reader->Next(&found); ++record) {
      ASSERT_EQ(found, records[record]) << "bit " << bit;
    }
    if (status.ok()) status = reader->status();
    ASSERT_FALSE(status.ok()) << "bit " << bit;
    ASSERT_EQ(status.message().substr(0, 3), "f: ");
    *byte = static_cast<char>(*byte ^ 1 << bit % 8);
  }
  headrace::testing::Report("flips", static_cast<double>(flips));
}

// What is not damaged can still be read: TFRecords behind a damaged one, chunks behind a damaged
// one.
TEST_P(DamageTest, ARangeCanBeginBehindTheDamage) {
  const bool chunks = GetParam().writing.format == Format::kRecordIo;
  const Records records = RandomRecords(40, 60, 25);
  std::string bytes = Encode(records, Chunks(300));
  std::unique_ptr<RecordFile> file;
  ASSERT_TRUE(RecordFile::Open(MakeMemoryFile("f", bytes), Reading(), &file).ok());
  std::size_t first = 20;
  std::size_t after = 21;
  std::size_t damaged = 12;  // into the contents of record 20
  for (std::size_t i = 0; i < 20; ++i) damaged += records[i].size() + 16;
  if (chunks) {
    first = file->index().entries[2].first_record;
    after = file->index().entries[3].first_record;
    damaged = file->index().entries[2].offset + 30;
  }
  bytes[damaged] ^= 4;
  ASSERT_TRUE(RecordFile::Open(MakeMemoryFile("f", bytes), Reading(), &file).ok());
  Records found;
  EXPECT_EQ(ReadRange(*file, 0, records.size(), &found).code(), Code::kDataLoss);
  EXPECT_EQ(found, Records(records.begin(), records.begin() + first));
  ASSERT_TRUE(ReadRange(*file, after, records.size(), &found).ok());
  EXPECT_EQ(found, Records(records.begin() + after, records.end()));
}

INSTANTIATE_TEST_SUITE_P(
    Formats, DamageTest,
    ::testing::Values(Case{"None", Writing(Format::kRecordIo, Compressor::kNone), 400000},
                      Case{"Snappy", Writing(Format::kRecordIo, Compressor::kSnappy), 250000},
                      Case{"Gzip", Writing(Format::kRecordIo, Compressor::kGzip), 150000},
                      Case{"TfRecord", Writing(Format::kTfRecord), 200000}),
    [](const ::testing::TestParamInfo<Case>& info) { return std::string(info.param.name); });

// Bytes cut out, doubled, moved, overwritten or flipped, a few times over: a file of which nobody
// could say what it should hold. Reading ends well, and finds damage just where verifying does.
TEST_P(DamageTest, VerifyingAndReadingAgreeAboutAnyMess) {
  const Records records = RandomRecords(60, 60, 26);
  const std::string whole = Encode(records, Chunks(300));
  Random random(27);
  int damaged = 0;
  const int rounds = HEADRACE_TESTS_ARE_SLOW ? 300 : 6000;
  for (int i = 0; i < rounds; ++i) {
    std::string bytes = whole;
    for (std::uint64_t n = random.Below(3) + 1; n > 0 && !bytes.empty(); --n) {
      const std::size_t at = random.Below(bytes.size());
      const std::string piece = bytes.substr(at, random.Below(100) + 1);
      const std::size_t to = random.Below(bytes.size() + 1);
      switch (random.Below(5)) {
        case 0: bytes.erase(at, piece.size()); break;
        case 1: bytes.insert(to, piece); break;
        case 2: bytes.erase(at, piece.size()).insert(std::min(to, bytes.size()), piece); break;
        case 3: bytes[at] = static_cast<char>("\0\xff\x7f\x80"[random.Below(4)]); break;
        default: bytes[at] = static_cast<char>(bytes[at] ^ 1 << random.Below(8)); break;
      }
    }
    Records found;
    const Status status = ReadAllBytes("f", bytes, Reading(), &found);
    VerifyReport report;
    Layout layout;
    layout.format = GetParam().writing.format;
    ASSERT_TRUE(VerifyFile(MakeMemoryFile("f", bytes), layout, kMax, 1000, &report).ok()) << i;
    ASSERT_EQ(report.num_damaged == 0, status.ok()) << i << ": " << status.ToString();
    if (status.ok()) {
      ASSERT_EQ(report.num_records, found.size());
    }
    damaged += status.ok() ? 0 : 1;
  }
  EXPECT_GT(damaged, rounds / 2);
}

// With the index of the file as it was: nothing that an index says is believed over the contents.
TEST_P(DamageTest, AnIndexOfAnotherFileDoesNoHarm) {
  const Records records = RandomRecords(100, 60, 28);
  const std::string whole = Encode(records, Chunks(300));
  std::string bytes = whole;
  const auto input = std::make_shared<ChangingFile>("f", &bytes);
  std::unique_ptr<RecordFile> file;
  ASSERT_TRUE(RecordFile::Open(input, Reading(), &file).ok());
  Random random(29);
  const int rounds = HEADRACE_TESTS_ARE_SLOW ? 300 : 6000;
  for (int i = 0; i < rounds; ++i) {
    bytes = whole;
    const std::size_t at = random.Below(bytes.size());
    const std::size_t from = random.Below(bytes.size());
    const std::size_t size =
        std::min<std::size_t>(random.Below(2000) + 1, bytes.size() - std::max(at, from));
    bytes.replace(at, size, whole, from, size);
    const std::uint64_t begin = random.Below(records.size());
    const std::uint64_t end = begin + 1 + random.Below(records.size() - begin);
    std::unique_ptr<RangeReader> reader;
    if (!file->Read(begin, end, &reader).ok()) continue;
    std::string_view record;
    std::uint64_t count = begin;
    while (reader->Next(&record)) ++count;
    ASSERT_EQ(reader->status().ok(), count == end) << i;
    ASSERT_EQ(reader->next_record(), count) << i;
  }
}

// Packed as a whole, formats have gzip's checksum as well: what is read is right. Some bits of gzip
// mean nothing: the header's time, codes that are not used.
TEST_P(DamageTest, FlipsAndCutsWithinGzip) {
  const Records records = RandomRecords(30, 60, 30);
  std::string packed;
  ASSERT_TRUE(AppendGzip(Encode(records, Chunks(300)), &packed));
  int unnoticed = 0;
  for (std::size_t bit = 0; bit < 8 * packed.size(); ++bit) {
    std::string flipped = packed;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    Records found;
    const Status status = ReadAllBytes("f", flipped, Reading(), &found);
    if (status.ok()) {
      ++unnoticed;
      ASSERT_EQ(found, records) << "bit " << bit;
      ASSERT_LT(bit / 8, packed.size() - 8);  // checksum and length
    }
  }
  EXPECT_LT(unnoticed, 150);
  for (std::size_t size = 3; size < packed.size(); ++size) {
    Records found;
    ASSERT_EQ(ReadAllBytes("f", packed.substr(0, size), Reading(), &found).code(), Code::kDataLoss)
        << size;
  }
}

// Text has no checksums: whatever flips, it must only end well.
TEST(DamagedTextTest, FlipsDoNoHarm) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "a,\"b\nc\"\"\",d\r\n";
  for (std::size_t bit = 0; bit < 8 * text.size(); ++bit) {
    std::string flipped = text;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
    OpenOptions options;
    options.format = Format::kCsv;
    Records found;
    const Status status = ReadAllBytes("f", flipped, options, &found);
    ASSERT_TRUE(status.ok() || status.code() == Code::kDataLoss) << status.ToString();
  }
}

}  // namespace
}  // namespace headrace::record::testing
