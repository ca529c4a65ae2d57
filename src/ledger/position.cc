#include "ledger/position.h"

#include <utility>

#include "ledger/codec.h"

namespace headrace::ledger {

std::uint64_t FilesFingerprint(const JobSpec& spec) {
  Encoder encoder;
  encoder(spec.files);
  return Fingerprint(encoder.bytes());
}

std::string Encode(const Position& position) {
  Encoder encoder;
  encoder(std::uint64_t{kPositionVersion}, position);
  return encoder.Take();
}

Status Decode(std::string_view bytes, Position* position) {
  Decoder decoder("ledger position", bytes);
  std::uint64_t version = 0;
  decoder(version);
  if (decoder.ok() && version != kPositionVersion) {
    return {Code::kUnimplemented, "ledger position of version " + std::to_string(version) +
                                      ", this program reads version " +
                                      std::to_string(kPositionVersion) +
                                      "; use the headrace that wrote it, or a newer one"};
  }
  Position decoded;
  decoder(decoded);
  Status status = decoder.Finish();
  if (status.ok()) *position = std::move(decoded);
  return status;
}

}  // namespace headrace::ledger
