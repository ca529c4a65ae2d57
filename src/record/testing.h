// What the tests of record files share.
#ifndef HEADRACE_RECORD_TESTING_H_
#define HEADRACE_RECORD_TESTING_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "record/record_file.h"
#include "record/record_writer.h"

// Sanitizers make everything some ten times slower.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HEADRACE_TESTS_ARE_SLOW 1
#else
#define HEADRACE_TESTS_ARE_SLOW 0
#endif

namespace headrace::record::testing {

using Records = std::vector<std::string>;

// Record `i` of the files that testdata/golden.go writes.
inline std::string GoldenRecord(std::uint32_t i) {
  std::string record(i * i * 3 % 200, '\0');
  for (std::uint32_t j = 0; j < record.size(); ++j) {
    record[j] = static_cast<char>(i * 7 + j / (i % 5 + 1) * 31);
  }
  return record;
}
inline std::string LargeGoldenRecord() {
  std::string record(150000, '\0');
  for (std::uint32_t j = 0; j < record.size(); ++j) record[j] = static_cast<char>(j % 250);
  return record;
}

// Repeatable and quick: SplitMix64.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t operator()() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  std::uint64_t Below(std::uint64_t bound) { return (*this)() % bound; }

 private:
  std::uint64_t state_;
};

// Some that repeat themselves and some that do not, of 0 to `max_bytes` bytes.
inline Records RandomRecords(std::size_t count, std::size_t max_bytes, std::uint64_t seed) {
  Random random(seed);
  Records records(count);
  for (std::string& record : records) {
    record.resize(random.Below(max_bytes + 1));
    const std::uint64_t alphabet = random.Below(2) == 0 ? 2 : 256;
    for (char& c : record) c = static_cast<char>(random.Below(alphabet));
  }
  return records;
}

class RecordTest : public ::testing::Test {
 protected:
  RecordTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "headrace-XXXXXX").string();
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  ~RecordTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  std::vector<std::string> FilesLeft() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  std::filesystem::path folder_;
};

inline std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream contents;
  contents << file.rdbuf();
  return std::move(contents).str();
}

inline void WriteBytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

inline Status WriteRecords(const std::string& path, const Records& records,
                           const WriteOptions& options) {
  std::unique_ptr<RecordWriter> writer;
  if (Status status = CreateRecordWriter(path, options, &writer); !status.ok()) return status;
  for (const std::string& record : records) {
    if (Status status = writer->Write(record); !status.ok()) return status;
  }
  return writer->Close();
}

// The bytes of a file with these records.
inline std::string Encode(const Records& records, const WriteOptions& options) {
  std::string pattern =
      (std::filesystem::temp_directory_path() / "headrace-encode-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) return "";
  const std::string path = pattern + "/file";
  EXPECT_EQ(WriteRecords(path, records, options).ToString(), "OK");
  std::string bytes = Contents(path);
  std::filesystem::remove_all(pattern);
  return bytes;
}

inline WriteOptions Writing(Format format, Compressor compressor = Compressor::kNone,
                            std::uint64_t chunk_bytes = kDefaultChunkBytes) {
  WriteOptions options;
  options.format = format;
  options.compressor = compressor;
  options.chunk_bytes = chunk_bytes;
  options.sync = false;
  return options;
}

inline Status ReadRange(const RecordFile& file, std::uint64_t begin, std::uint64_t end,
                        Records* records) {
  records->clear();
  std::unique_ptr<RangeReader> reader;
  if (Status status = file.Read(begin, end, &reader); !status.ok()) return status;
  std::string_view record;
  while (reader->Next(&record)) records->emplace_back(record);
  EXPECT_FALSE(reader->Next(&record));
  return reader->status();
}

inline Status ReadAll(const std::string& path, const OpenOptions& options, Records* records) {
  std::unique_ptr<RecordFile> file;
  if (Status status = RecordFile::Open(path, options, &file); !status.ok()) return status;
  return ReadRange(*file, 0, file->num_records(), records);
}

inline Status ReadAllBytes(const std::string& name, std::string bytes, const OpenOptions& options,
                           Records* records) {
  std::unique_ptr<RecordFile> file;
  records->clear();
  Status status = RecordFile::Open(MakeMemoryFile(name, std::move(bytes)), options, &file);
  if (!status.ok()) return status;
  return ReadRange(*file, 0, file->num_records(), records);
}

}  // namespace headrace::record::testing

#endif  // HEADRACE_RECORD_TESTING_H_
