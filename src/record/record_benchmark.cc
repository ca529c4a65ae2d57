// How fast records are read from files in the page cache, all checksums checked, by one thread;
// what it costs to begin a range; and the checksums alone. Files are made in the folder for
// temporary files, and removed.
//
//   record_benchmark --benchmark_repetitions=5 --benchmark_report_aggregates_only
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "record/crc.h"
#include "record/record_file.h"
#include "record/record_writer.h"

namespace headrace::record {
namespace {

constexpr std::uint64_t kFileBytes = std::uint64_t{256} << 20;

std::uint64_t Next(std::uint64_t* state) {  // xorshift64
  *state ^= *state << 13;
  *state ^= *state >> 7;
  return *state ^= *state << 17;
}

void Stop(benchmark::State& state, const Status& status) {
  state.SkipWithError(status.message().c_str());
}

// A file of records of one length, and its index.
class BenchmarkFile {
 public:
  BenchmarkFile(benchmark::State& state, const WriteOptions& options, std::size_t record_bytes) {
    const std::filesystem::path path = std::filesystem::temp_directory_path() /
                                       ("headrace-benchmark-" + std::to_string(::getpid()));
    path_ = path.string();
    std::string record(record_bytes, '\0');
    std::uint64_t random = 1;
    for (char& c : record) c = static_cast<char>('a' + Next(&random) % 26);
    std::unique_ptr<RecordWriter> writer;
    Status status = CreateRecordWriter(path_, options, &writer);
    for (std::uint64_t i = 0; status.ok() && i < kFileBytes / record_bytes; ++i) {
      record[i % record_bytes] ^= 1;
      status = writer->Write(record);
    }
    if (status.ok()) status = writer->Close();
    OpenOptions opening;
    opening.format = options.format;
    opening.index = OpenOptions::IndexUse::kMemory;
    if (status.ok()) status = RecordFile::Open(path_, opening, &file_);
    if (!status.ok()) Stop(state, status);
  }
  ~BenchmarkFile() { std::filesystem::remove(path_); }

  const RecordFile* get() const { return file_.get(); }

 private:
  std::string path_;
  std::unique_ptr<RecordFile> file_;
};

void ReadAll(benchmark::State& state, Format format, Compressor compressor) {
  WriteOptions options;
  options.format = format;
  options.compressor = compressor;
  options.sync = false;
  const std::size_t record_bytes = static_cast<std::size_t>(state.range(0));
  BenchmarkFile opened(state, options, record_bytes);
  const RecordFile* const file = opened.get();
  if (file == nullptr) return;
  for (auto _ : state) {
    std::unique_ptr<RangeReader> reader;
    Status status = file->Read(0, file->num_records(), &reader);
    if (!status.ok()) return Stop(state, status);
    std::uint64_t bytes = 0;
    std::string_view record;
    while (reader->Next(&record)) bytes += record.size();
    if (!reader->status().ok()) return Stop(state, reader->status());
    benchmark::DoNotOptimize(bytes);
  }
  const auto records = static_cast<std::int64_t>(state.iterations() * file->num_records());
  state.SetItemsProcessed(records);
  state.SetBytesProcessed(records * static_cast<std::int64_t>(record_bytes));
}

// One record in the middle of nowhere: the index entry found, and what lies before the record in
// it.
void Seek(benchmark::State& state, Format format) {
  WriteOptions options;
  options.format = format;
  options.compressor = Compressor::kNone;
  options.chunk_bytes = static_cast<std::uint64_t>(state.range(0));
  options.sync = false;
  BenchmarkFile opened(state, options, 128);
  const RecordFile* const file = opened.get();
  if (file == nullptr) return;
  std::uint64_t random = 7;
  for (auto _ : state) {
    const std::uint64_t at = Next(&random) % file->num_records();
    std::unique_ptr<RangeReader> reader;
    std::string_view record;
    Status status = file->Read(at, at + 1, &reader);
    if (!status.ok() || !reader->Next(&record)) return Stop(state, status);
    benchmark::DoNotOptimize(record);
  }
}

// The index entry alone: what does not depend on the chunk's length.
void FindEntry(benchmark::State& state) {
  Index index;
  index.num_records = 100000000;
  for (std::uint64_t i = 0; i < 100000; ++i) index.entries.push_back({i * 100000, i * 1000});
  std::uint64_t random = 7;
  for (auto _ : state) {
    benchmark::DoNotOptimize(index.Find(Next(&random) % index.num_records));
  }
}

void Checksum(benchmark::State& state,
              std::uint32_t (*crc)(std::uint32_t, const char*, std::size_t)) {
  const std::string data(static_cast<std::size_t>(state.range(0)), 'x');
  for (auto _ : state) benchmark::DoNotOptimize(crc(0, data.data(), data.size()));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * data.size()));
}

BENCHMARK_CAPTURE(ReadAll, recordio, Format::kRecordIo, Compressor::kNone)
    ->Arg(128)
    ->Arg(1024)
    ->Arg(12400)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ReadAll, recordio_snappy, Format::kRecordIo, Compressor::kSnappy)
    ->Arg(1024)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ReadAll, tfrecord, Format::kTfRecord, Compressor::kNone)
    ->Arg(128)
    ->Arg(1024)
    ->Arg(12400)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ReadAll, text, Format::kText, Compressor::kNone)
    ->Arg(128)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Seek, recordio, Format::kRecordIo)
    ->Arg(131072)  // as headrace-records writes them
    ->Arg(1 << 20)
    ->Arg(32 << 20)  // as pyrecordio does
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(Seek, tfrecord, Format::kTfRecord)->Arg(1 << 20)->Unit(benchmark::kMicrosecond);
BENCHMARK(FindEntry);
BENCHMARK_CAPTURE(Checksum, ieee, Crc32Ieee)->Arg(64)->Arg(1024)->Arg(131072);
BENCHMARK_CAPTURE(Checksum, castagnoli, Crc32c)->Arg(64)->Arg(1024)->Arg(131072);

}  // namespace
}  // namespace headrace::record
