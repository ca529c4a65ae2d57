#include "ledger/codec.h"

namespace headrace::ledger {

void Decoder::Fail(const std::string& why) {
  if (!ok()) return;
  status_ = Status(Code::kDataLoss, std::string(what_) + ": " + why + " at byte " +
                                        std::to_string(position_) + " of " +
                                        std::to_string(bytes_.size()));
}

Status Decoder::Finish() {
  if (ok() && position_ != bytes_.size()) Fail("bytes are left over");
  return status_;
}

std::uint64_t Decoder::Varint() {
  if (!ok()) return 0;
  // Without Raw() for each byte: a snapshot of a long job is millions of these.
  std::uint64_t value = 0;
  for (int shift = 0; position_ < bytes_.size(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes_[position_++]);
    if (shift == 63 && byte > 1) {
      Fail("a number of more than 64 bits");
      return 0;
    }
    value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  Fail("the bytes end too early");
  return 0;
}

std::size_t Decoder::Length() {
  const std::uint64_t length = Varint();
  if (length > bytes_.size() - position_) {
    Fail("a length of " + std::to_string(length) + " with fewer bytes left");
    return 0;
  }
  return static_cast<std::size_t>(length);
}

std::string_view Decoder::Raw(std::size_t size) {
  if (!ok()) return {};
  if (size > bytes_.size() - position_) {
    Fail("the bytes end too early");
    return {};
  }
  const std::string_view raw = bytes_.substr(position_, size);
  position_ += size;
  return raw;
}

std::uint64_t Fingerprint(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace headrace::ledger
