// Fuzzes the decoder of the ledger's position in a checkpoint: what is decoded is encoded, and
// decoded again as the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "ledger/position.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace headrace::ledger;
  Position position, again;
  if (!Decode(std::string_view(reinterpret_cast<const char*>(data), size), &position).ok()) {
    return 0;
  }
  const std::string encoded = Encode(position);
  if (!Decode(encoded, &again).ok() || Encode(again) != encoded) std::abort();
  return 0;
}
