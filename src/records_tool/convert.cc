#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "record/bytes.h"
#include "record/input_file.h"
#include "records_tool/commands.h"
#include "records_tool/console.h"
#include "records_tool/inputs.h"

namespace headrace::records_tool {
namespace {

constexpr std::uint32_t kEndOfRecords = 0xffffffff;
constexpr std::size_t kReadBytes = std::size_t{1} << 20;

Status AtRecord(const std::string& where, std::uint64_t record, const Status& status) {
  return {status.code(), where + ": record " + std::to_string(record) + ": " + status.message()};
}

// Standard input, as commands.h lays it out.
class FramedInput {
 public:
  // False at the end, or with an error. The record is valid until the next call.
  bool Next(std::string_view* record, Status* status) {
    if (!Need(4, status)) return false;
    const std::uint32_t length = record::LoadU32(buffer_.data() + begin_);
    begin_ += 4;
    if (length == kEndOfRecords) return false;
    if (!Need(length, status)) return false;
    *record = {buffer_.data() + begin_, length};
    begin_ += length;
    return true;
  }

 private:
  bool Need(std::size_t bytes, Status* status) {
    if (end_ - begin_ >= bytes) return true;
    if (begin_ > 0) std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    while (end_ < bytes) {
      // Room for what is announced only as it comes.
      buffer_.Grow(end_ + kReadBytes, end_);
      if (!WaitForInput(STDIN_FILENO)) {
        *status = InterruptedError();
        return false;
      }
      const ssize_t n = ::read(STDIN_FILENO, buffer_.data() + end_, buffer_.capacity() - end_);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        *status = record::SystemError("standard input", "reading", errno);
        return false;
      }
      if (n == 0) {
        *status = {Code::kAborted, "standard input ended before its end mark: nothing is written"};
        return false;
      }
      end_ += static_cast<std::size_t>(n);
    }
    return true;
  }

  record::ByteBuffer buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

Status CopyFile(const record::RecordFile& file, bool skip_header, OutputSet* output,
                Progress* progress) {
  const std::uint64_t begin = skip_header && file.num_records() > 0 ? 1 : 0;
  std::unique_ptr<record::RangeReader> reader;
  if (Status status = file.Read(begin, file.num_records(), &reader); !status.ok()) return status;
  std::string_view record;
  while (reader->Next(&record)) {
    if (Status status = output->Write(record); !status.ok()) {
      return AtRecord(file.name(), reader->next_record() - 1, status);
    }
    progress->Add();
  }
  return reader->status();
}

int Report(const OutputSet& output, bool json) {
  std::uint64_t records = 0;
  nlohmann::json files = nlohmann::json::array();
  for (const WrittenFile& file : output.files()) {
    records += file.records;
    files.push_back({{"path", file.path}, {"records", file.records}});
  }
  if (json) {
    return PrintJson({{"records", records}, {"files", std::move(files)}}) ? 0 : 1;
  }
  const bool several = output.files().size() > 1;
  return Print("wrote " + std::to_string(records) + " records to " +
               (several ? std::to_string(output.files().size()) + " files, " : "") +
               output.files().front().path + (several ? " and so on" : "") + "\n")
             ? 0
             : 1;
}

int Failed(const Status& status) {
  Complain(status);
  return 1;
}

}  // namespace

int Convert(const InputOptions& options, bool skip_header, const OutputOptions& output, bool json) {
  std::vector<std::string> paths;
  if (!FindInputs(options, &paths)) return 1;
  CatchInterrupts();
  std::vector<std::unique_ptr<record::RecordFile>> files;
  std::uint64_t records = 0;
  bool good = true;
  IndexNews news;
  for (const std::string& path : paths) {
    files.emplace_back();
    if (Status status = OpenInput(path, options, &files.back()); !status.ok()) {
      Complain(status);
      good = false;
      continue;
    }
    news.Add(*files.back());
    records += files.back()->num_records();
  }
  news.Tell();
  if (!good) return 1;
  std::unique_ptr<OutputSet> writer;
  if (Status status = OutputSet::Create(output, &writer); !status.ok()) return Failed(status);
  {
    Progress progress("converting", records);
    for (const auto& file : files) {
      if (Status status = CopyFile(*file, skip_header, writer.get(), &progress); !status.ok()) {
        return Failed(status);
      }
    }
  }
  if (Status status = writer->Commit(); !status.ok()) return Failed(status);
  return Report(*writer, json);
}

int Write(const OutputOptions& output, bool json) {
  CatchInterrupts();
  std::unique_ptr<OutputSet> writer;
  if (Status status = OutputSet::Create(output, &writer); !status.ok()) return Failed(status);
  FramedInput input;
  std::string_view record;
  Status status;
  for (std::uint64_t number = 0; input.Next(&record, &status); ++number) {
    if (Status written = writer->Write(record); !written.ok()) {
      return Failed(AtRecord("standard input", number, written));
    }
  }
  if (!status.ok()) return Failed(status);
  if (Status committed = writer->Commit(); !committed.ok()) return Failed(committed);
  return Report(*writer, json);
}

}  // namespace headrace::records_tool
