// Writes the records that testdata/golden.go and testdata/tensorflow_golden.py know, for them to
// read: record_write_golden FOLDER.
#include <cstdio>
#include <string>

#include "record/testing.h"

namespace {

using headrace::Status;
using headrace::record::Compressor;
using headrace::record::Format;
using headrace::record::testing::GoldenRecord;
using headrace::record::testing::LargeGoldenRecord;
using headrace::record::testing::Records;
using headrace::record::testing::WriteRecords;
using headrace::record::testing::Writing;

Status WriteAll(const std::string& folder) {
  Records records;
  for (std::uint32_t i = 0; i < 60; ++i) records.push_back(GoldenRecord(i));
  const Records large = {LargeGoldenRecord(), GoldenRecord(3)};
  const std::pair<const char*, Compressor> compressors[] = {
      {"none", Compressor::kNone}, {"snappy", Compressor::kSnappy}, {"gzip", Compressor::kGzip}};
  for (const auto& [name, compressor] : compressors) {
    Status status = WriteRecords(folder + "/" + name + ".recordio", records,
                                 Writing(Format::kRecordIo, compressor, 1000));
    if (!status.ok()) return status;
    status = WriteRecords(folder + "/large-" + name + ".recordio", large,
                          Writing(Format::kRecordIo, compressor));
    if (!status.ok()) return status;
  }
  return WriteRecords(folder + "/golden.tfrecord", records, Writing(Format::kTfRecord));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: record_write_golden FOLDER\n");
    return 2;
  }
  const Status status = WriteAll(argv[1]);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
