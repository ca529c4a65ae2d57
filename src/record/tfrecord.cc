#include "record/tfrecord.h"

#include <utility>

#include "record/crc.h"

namespace headrace::record {
namespace {

class TfRecordCursor final : public Cursor {
 public:
  TfRecordCursor(std::string name, std::unique_ptr<ByteStream> stream, std::uint64_t offset,
                 std::uint64_t max_record_bytes)
      : name_(std::move(name)), input_(std::move(stream), offset), max_bytes_(max_record_bytes) {}

  bool Next(std::string_view* record) override {
    std::uint64_t length = 0;
    if (!Header(&length)) return false;
    if (length > max_bytes_) {
      return Fail({Code::kResourceExhausted, name_ + ": byte " + std::to_string(offset_) +
                                                 ": a record of " + std::to_string(length) +
                                                 " bytes; max_record_bytes allows " +
                                                 std::to_string(max_bytes_) + ": raise it"});
    }
    const std::size_t all = kTfRecordHeaderBytes + length + kTfRecordFooterBytes;
    if (status_ = input_.Fill(all); !status_.ok()) return false;
    const std::string_view found = input_.view();
    if (found.size() < all) return Cut(found.size(), all);
    *record = found.substr(kTfRecordHeaderBytes, length);
    if (MaskedCrc32c(*record) != LoadU32(found.data() + kTfRecordHeaderBytes + length)) {
      return Fail(DamageAt(name_, offset_, "the record's checksum does not fit its contents"));
    }
    pending_ = all;
    return true;
  }

  bool Skip() override {
    std::uint64_t length = 0;
    if (!Header(&length)) return false;
    const std::uint64_t all = kTfRecordHeaderBytes + length + kTfRecordFooterBytes;
    std::uint64_t skipped = 0;
    if (status_ = input_.Skip(all, &skipped); !status_.ok()) return false;
    return skipped == all || Cut(skipped, all);
  }

  std::uint64_t offset() const override { return offset_; }

 private:
  // Checks the next record's header. False at the end, too.
  bool Header(std::uint64_t* length) {
    if (!status_.ok()) return false;
    input_.Consume(std::exchange(pending_, 0));
    offset_ = input_.offset();
    if (status_ = input_.Fill(kTfRecordHeaderBytes); !status_.ok()) return false;
    const std::string_view found = input_.view();
    if (found.empty()) return false;
    if (found.size() < kTfRecordHeaderBytes) return Cut(found.size(), kTfRecordHeaderBytes);
    if (!IsTfRecordHeader(found)) {
      return Fail(DamageAt(name_, offset_, "the checksum of a record's length does not fit"));
    }
    *length = LoadU64(found.data());
    const std::uint64_t around = kTfRecordHeaderBytes + kTfRecordFooterBytes;
    const std::uint64_t left = input_.remaining();
    if (*length > ByteStream::kUnknown - around ||
        (left != ByteStream::kUnknown && *length + around > left)) {
      return Fail(DamageAt(
          name_, offset_,
          "a record of " + std::to_string(*length) + " bytes, more than are left in the file"));
    }
    return true;
  }
  bool Cut(std::uint64_t there, std::uint64_t wanted) {
    return Fail(DamageAt(name_, offset_,
                         "a record is cut after " + std::to_string(there) + " of at least " +
                             std::to_string(wanted) + " bytes"));
  }

  const std::string name_;
  InputBuffer input_;
  const std::uint64_t max_bytes_;
  std::uint64_t offset_ = 0;
  std::size_t pending_ = 0;  // of the record handed out last
};

}  // namespace

bool IsTfRecordHeader(std::string_view bytes) {
  return MaskedCrc32c(bytes.substr(0, 8)) == LoadU32(bytes.data() + 8);
}

std::unique_ptr<Cursor> MakeTfRecordCursor(std::string name, std::unique_ptr<ByteStream> stream,
                                           std::uint64_t offset, std::uint64_t max_record_bytes) {
  return std::make_unique<TfRecordCursor>(std::move(name), std::move(stream), offset,
                                          max_record_bytes);
}

void AppendTfRecord(std::string_view record, std::string* file) {
  std::string length;
  AppendU64(record.size(), &length);
  file->append(length);
  AppendU32(MaskedCrc32c(length), file);
  file->append(record);
  AppendU32(MaskedCrc32c(record), file);
}

}  // namespace headrace::record
