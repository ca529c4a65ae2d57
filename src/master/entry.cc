#include "master/entry.h"

#include <cstddef>
#include <utility>

#include "ledger/codec.h"

namespace headrace::master {
namespace {

constexpr unsigned char kOwn = 0x80;  // added to the version; also keeps it apart from the ledger's

template <std::size_t kKind = 1>
bool DecodeKind(std::size_t kind, ledger::Decoder* decoder, Entry* entry) {
  if constexpr (kKind == std::variant_size_v<Entry>) {
    return false;
  } else {
    if (kind != kKind) return DecodeKind<kKind + 1>(kind, decoder, entry);
    (*decoder)(entry->emplace<kKind>());
    return true;
  }
}

}  // namespace

std::string Encode(const Entry& entry) {
  if (const auto* event = std::get_if<ledger::Event>(&entry)) return ledger::Encode(*event);
  std::string bytes(1, static_cast<char>(kOwn + kEntryVersion));
  ledger::Encoder encoder;
  encoder(static_cast<std::uint64_t>(entry.index()));
  std::visit(
      [&](const auto& e) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(e)>, ledger::Event>) encoder(e);
      },
      entry);
  return bytes + encoder.bytes();
}

Status Decode(std::string_view bytes, Entry* entry) {
  const unsigned char first = bytes.empty() ? 0 : static_cast<unsigned char>(bytes[0]);
  if (first < kOwn) {
    ledger::Event event;
    Status status = ledger::Decode(bytes, &event);
    if (status.ok()) *entry = std::move(event);
    return status;
  }
  if (first != kOwn + kEntryVersion) {
    return {Code::kUnimplemented, "journal entry of version " + std::to_string(first - kOwn) +
                                      ", this program reads version " +
                                      std::to_string(kEntryVersion) +
                                      "; use the headrace that wrote it, or a newer one"};
  }
  ledger::Decoder decoder("journal entry", bytes.substr(1));
  std::uint64_t kind = 0;
  decoder(kind);
  Entry decoded;
  if (decoder.ok() && !DecodeKind(kind, &decoder, &decoded)) {
    decoder.Fail("unknown kind " + std::to_string(kind));
  }
  Status status = decoder.Finish();
  if (status.ok()) *entry = std::move(decoded);
  return status;
}

}  // namespace headrace::master
