#include "record/record_writer.h"

#include <utility>

#include "record/output_file.h"
#include "record/text.h"
#include "record/tfrecord.h"

namespace headrace::record {
namespace {

class RecordIoWriter final : public RecordWriter {
 public:
  RecordIoWriter(std::unique_ptr<OutputFile> file, const WriteOptions& options)
      : file_(std::move(file)),
        options_(options),
        builder_(options.compressor, options.chunk_bytes) {}

  Status Write(std::string_view record) override {
    if (record.size() > kMaxRecordBytes) {
      return {Code::kInvalidArgument,
              file_->path() + ": a record of " + std::to_string(record.size()) +
                  " bytes; RecordIO holds " + std::to_string(kMaxRecordBytes) + " at most"};
    }
    if (builder_.MustFinishBefore(record)) {
      if (Status status = FinishChunk(); !status.ok()) return status;
    }
    builder_.Add(record);
    return {};
  }
  Status Close() override {
    if (Status status = FinishChunk(); !status.ok()) return status;
    return file_->Commit(options_.sync);
  }

 private:
  Status FinishChunk() {
    chunk_.clear();
    if (status_.ok()) status_ = builder_.Finish(&chunk_);
    if (status_.ok()) status_ = file_->Append(chunk_);
    return status_;
  }

  const std::unique_ptr<OutputFile> file_;
  const WriteOptions options_;
  ChunkBuilder builder_;
  std::string chunk_;
  Status status_;
};

class TfRecordWriter final : public RecordWriter {
 public:
  TfRecordWriter(std::unique_ptr<OutputFile> file, const WriteOptions& options)
      : file_(std::move(file)), sync_(options.sync) {}

  Status Write(std::string_view record) override {
    framed_.clear();
    AppendTfRecord(record, &framed_);
    return file_->Append(framed_);
  }
  Status Close() override { return file_->Commit(sync_); }

 private:
  const std::unique_ptr<OutputFile> file_;
  const bool sync_;
  std::string framed_;
};

class LineWriter final : public RecordWriter {
 public:
  LineWriter(std::unique_ptr<OutputFile> file, const WriteOptions& options)
      : file_(std::move(file)), options_(options) {}

  Status Write(std::string_view record) override {
    const bool csv = options_.format == Format::kCsv;
    const bool splits =
        csv ? !IsCsvRecord(record, ',') : record.find('\n') != std::string_view::npos;
    if (splits || (!record.empty() && record.back() == '\r')) {
      return {Code::kInvalidArgument,
              file_->path() + ": a record with a line's end " +
                  (csv ? "outside of quotes, or an open quote, " : "in it ") +
                  "would not be read back as it is; write RecordIO or TFRecord"};
    }
    if (Status status = file_->Append(record); !status.ok()) return status;
    return file_->Append("\n");
  }
  Status Close() override { return file_->Commit(options_.sync); }

 private:
  const std::unique_ptr<OutputFile> file_;
  const WriteOptions options_;
};

}  // namespace

Status CreateRecordWriter(const std::string& path, const WriteOptions& options,
                          std::unique_ptr<RecordWriter>* writer) {
  if (options.chunk_bytes < 1 || options.chunk_bytes > kMaxRecordBytes) {
    return {Code::kInvalidArgument, path + ": chunk_bytes is " +
                                        std::to_string(options.chunk_bytes) + "; 1 to " +
                                        std::to_string(kMaxRecordBytes) + " are possible"};
  }
  if (options.format == Format::kDetect) {
    return {Code::kInvalidArgument, path + ": no format was named to write it in"};
  }
  std::unique_ptr<OutputFile> file;
  if (Status status = OutputFile::Create(path, &file); !status.ok()) return status;
  if (options.format == Format::kRecordIo) {
    *writer = std::make_unique<RecordIoWriter>(std::move(file), options);
  } else if (options.format == Format::kTfRecord) {
    *writer = std::make_unique<TfRecordWriter>(std::move(file), options);
  } else {
    *writer = std::make_unique<LineWriter>(std::move(file), options);
  }
  return {};
}

}  // namespace headrace::record
