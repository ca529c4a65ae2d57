#include "ledger/events.h"

#include <utility>

#include "ledger/codec.h"

namespace headrace::ledger {
namespace {

template <std::size_t kKind = 0>
bool DecodeKind(std::size_t kind, Decoder* decoder, Event* event) {
  if constexpr (kKind == std::variant_size_v<Event>) {
    return false;
  } else {
    if (kind != kKind) return DecodeKind<kKind + 1>(kind, decoder, event);
    (*decoder)(event->emplace<kKind>());
    return true;
  }
}

}  // namespace

std::string Encode(const Event& event) {
  Encoder encoder;
  std::visit(
      [&](const auto& e) {
        encoder(std::uint64_t{kEventVersion}, static_cast<std::uint64_t>(event.index()), e);
      },
      event);
  return encoder.Take();
}

Status Decode(std::string_view bytes, Event* event) {
  Decoder decoder("ledger event", bytes);
  std::uint64_t version = 0, kind = 0;
  decoder(version);
  if (decoder.ok() && version != kEventVersion) {
    return {Code::kUnimplemented,
            "ledger event of version " + std::to_string(version) + ", this program reads version " +
                std::to_string(kEventVersion) + "; use the headrace that wrote it, or a newer one"};
  }
  decoder(kind);
  Event decoded;
  if (decoder.ok() && !DecodeKind(kind, &decoder, &decoded)) {
    decoder.Fail("unknown kind " + std::to_string(kind));
  }
  Status status = decoder.Finish();
  if (status.ok()) *event = std::move(decoded);
  return status;
}

const char* KindName(const Event& event) {
  static constexpr const char* kNames[] = {
      "create job", "join",    "disconnect", "request",        "renew",  "report",
      "tick",       "restart", "progress",   "pin evaluation", "rewind", "lose model"};
  static_assert(sizeof(kNames) / sizeof(kNames[0]) == std::variant_size_v<Event>);
  return kNames[event.index()];
}

std::int64_t TimeOf(const Event& event) {
  return std::visit([](const auto& e) { return e.now_ms; }, event);
}

}  // namespace headrace::ledger
