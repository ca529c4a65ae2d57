#include "record/verify.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "record/byte_stream.h"
#include "record/bytes.h"
#include "record/open_cursor.h"
#include "record/recordio.h"
#include "record/tfrecord.h"

namespace headrace::record {
namespace {

constexpr std::size_t kFirstWindowBytes = std::size_t{4} * 1024;
constexpr std::size_t kWindowBytes = std::size_t{256} * 1024;

bool IsDamage(const Status& status) {
  return status.code() == Code::kDataLoss;
}

// The advice to verify the file is out of place here.
Status WithoutAdvice(const std::string& file, const Status& status) {
  const std::string advice = DamageAdvice(file);
  const std::string& message = status.message();
  const std::size_t at = message.rfind(advice);
  if (at == std::string::npos || at + advice.size() != message.size()) return status;
  return {status.code(), message.substr(0, at)};
}

// Counts what is damaged, and keeps the first ones.
class Damages {
 public:
  Damages(const InputFile& file, std::size_t most, VerifyReport* report)
      : file_(file), most_(most), report_(report) {}
  void Add(std::uint64_t offset, std::uint64_t end, const Status& status) {
    ++report_->num_damaged;
    if (report_->damages.size() < most_) {
      report_->damages.push_back({offset, end - offset, WithoutAdvice(file_.name(), status)});
    }
  }

 private:
  const InputFile& file_;
  const std::size_t most_;
  VerifyReport* const report_;
};

// One format's units: chunks or records.
class Units {
 public:
  virtual ~Units() = default;
  // Checks the unit at `offset`, counts it if it is good, and sets *end behind it. If it is damaged
  // but its length can be trusted, *end is set as well; else it is `offset`.
  virtual Status Check(std::uint64_t offset, std::uint64_t* end, VerifyReport* report) = 0;
  // Whether a unit may begin with these bytes, `header_bytes()` of them.
  virtual bool MayBegin(std::string_view bytes) const = 0;
  virtual std::size_t header_bytes() const = 0;
};

class ChunkUnits final : public Units {
 public:
  explicit ChunkUnits(std::shared_ptr<const InputFile> file) : file_(std::move(file)) {}

  Status Check(std::uint64_t offset, std::uint64_t* end, VerifyReport* report) override {
    const auto stream = OpenStream(file_, offset);
    Status status;
    *end = offset;
    if (ReadChunk(file_->name(), offset, ByteStream::kUnknown, stream.get(), &chunk_, end,
                  &status)) {
      ++report->num_chunks;
      report->num_records += chunk_.lengths.size();
      return status;
    }
    // The announced end can be trusted if a chunk or the file's end is there.
    char next[kChunkHeaderBytes];
    std::size_t got = 0;
    const bool fits = *end > offset && *end <= file_->size() &&
                      file_->ReadAt(*end, sizeof(next), next, &got).ok() &&
                      (got == 0 || (got == sizeof(next) && MayBegin({next, got})));
    if (!fits) *end = offset;
    return status;
  }
  bool MayBegin(std::string_view bytes) const override {
    return LoadU32(bytes.data()) == kRecordIoMagic && LoadU32(bytes.data() + 8) <= 2;
  }
  std::size_t header_bytes() const override { return kChunkHeaderBytes; }

 private:
  const std::shared_ptr<const InputFile> file_;
  Chunk chunk_;
};

class TfRecordUnits final : public Units {
 public:
  TfRecordUnits(std::shared_ptr<const InputFile> file, std::uint64_t max_record_bytes)
      : file_(std::move(file)), max_bytes_(max_record_bytes) {}

  Status Check(std::uint64_t offset, std::uint64_t* end, VerifyReport* report) override {
    *end = offset;
    if (cursor_ == nullptr || next_ != offset) {
      cursor_ = MakeTfRecordCursor(file_->name(), OpenStream(file_, offset), offset, max_bytes_);
    }
    std::string_view record;
    const bool good = cursor_->Next(&record);
    Status status = cursor_->status();
    if (good) {
      *end = offset + kTfRecordHeaderBytes + record.size() + kTfRecordFooterBytes;
      ++report->num_records;
    } else {
      cursor_.reset();
      const auto again =
          MakeTfRecordCursor(file_->name(), OpenStream(file_, offset), offset, max_bytes_);
      if (again->Skip()) {  // its length has a checksum of its own
        char length[8];
        std::size_t got = 0;
        if (Status read = file_->ReadAt(offset, sizeof(length), length, &got); !read.ok()) {
          return read;
        }
        *end = offset + kTfRecordHeaderBytes + LoadU64(length) + kTfRecordFooterBytes;
      }
    }
    next_ = *end;
    return status;
  }
  bool MayBegin(std::string_view bytes) const override { return IsTfRecordHeader(bytes); }
  std::size_t header_bytes() const override { return kTfRecordHeaderBytes; }

 private:
  const std::shared_ptr<const InputFile> file_;
  const std::uint64_t max_bytes_;
  std::unique_ptr<Cursor> cursor_;  // stands at next_
  std::uint64_t next_ = 0;
};

// Where, behind `begin`, the next good unit begins; the file's end if there is none. What looks
// like one is tried; more bytes than four times the file are not, so that a hostile file cannot
// keep this busy for long.
Status FindGoodUnit(const InputFile& file, std::uint64_t begin, Units* units, std::uint64_t* budget,
                    std::uint64_t* found) {
  const std::size_t header = units->header_bytes();
  std::string window;
  for (std::uint64_t at = begin; at + header <= file.size();) {
    // The next one is often near: each search begins small, or a file full of damage would be read
    // many times over.
    window.resize(std::min<std::uint64_t>(
        std::clamp(2 * window.size(), kFirstWindowBytes, kWindowBytes), file.size() - at));
    std::size_t got = 0;
    if (Status status = file.ReadAt(at, window.size(), window.data(), &got); !status.ok()) {
      return status;
    }
    if (got < header) break;
    const std::string_view there(window.data(), got);
    for (std::size_t i = 0; i + header <= there.size(); ++i) {
      if (!units->MayBegin(there.substr(i, header))) continue;
      VerifyReport ignored;
      std::uint64_t end = 0;
      Status status = units->Check(at + i, &end, &ignored);
      if (status.ok()) {
        *found = at + i;
        return {};
      }
      if (!IsDamage(status) && status.code() != Code::kResourceExhausted) return status;
      const std::uint64_t tried = std::max<std::uint64_t>(end - (at + i), 4096);
      if (tried > *budget) {
        *found = file.size();
        return {};
      }
      *budget -= tried;
    }
    at += there.size() - header + 1;
  }
  *found = file.size();
  return {};
}

Status VerifyUnits(const InputFile& file, Units* units, Damages* damages, VerifyReport* report) {
  std::uint64_t budget = 4 * file.size();
  for (std::uint64_t offset = 0; offset < file.size();) {
    std::uint64_t end = offset;
    Status status = units->Check(offset, &end, report);
    if (!status.ok()) {
      if (!IsDamage(status) && status.code() != Code::kResourceExhausted) return status;
      if (end <= offset) {
        if (Status search = FindGoodUnit(file, offset + 1, units, &budget, &end); !search.ok()) {
          return search;
        }
      }
      damages->Add(offset, end, status);
    }
    offset = end;
  }
  return {};
}

// Text, and all that is packed: to the end or to the first damage.
Status VerifyStream(const std::shared_ptr<const InputFile>& file, std::uint64_t max_record_bytes,
                    Damages* damages, VerifyReport* report) {
  const auto cursor = OpenCursor(file, report->layout, max_record_bytes, 0);
  std::string_view record;
  while (cursor->Next(&record)) ++report->num_records;
  const Status& status = cursor->status();
  if (!status.ok() && !IsDamage(status) && status.code() != Code::kResourceExhausted) {
    return status;
  }
  if (!status.ok()) {
    const std::uint64_t offset = report->layout.gzip ? 0 : cursor->offset();
    damages->Add(offset, file->size(), status);
  }
  return {};
}

}  // namespace

Status VerifyFile(const std::shared_ptr<const InputFile>& file, Layout layout,
                  std::uint64_t max_record_bytes, std::size_t max_damages, VerifyReport* report) {
  *report = VerifyReport();
  Damages damages(*file, max_damages, report);
  if (Status status = DetectLayout(file, &layout); !status.ok()) {
    report->layout = layout;
    if (!IsDamage(status)) return status;
    damages.Add(0, file->size(), status);
    return {};
  }
  report->layout = layout;
  if (!layout.gzip && layout.format == Format::kRecordIo) {
    ChunkUnits units(file);
    return VerifyUnits(*file, &units, &damages, report);
  }
  if (!layout.gzip && layout.format == Format::kTfRecord) {
    TfRecordUnits units(file, max_record_bytes);
    return VerifyUnits(*file, &units, &damages, report);
  }
  return VerifyStream(file, max_record_bytes, &damages, report);
}

}  // namespace headrace::record
