// Fuzzes the decoders of the feed protocol: a message that is understood is encoded and understood
// again as the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "feed/message.h"

namespace {

template <class Message>
void DecodeEncodeDecode(std::string_view line) {
  Message message, again;
  if (!headrace::feed::Decode(line, &message).ok()) return;
  const std::string encoded = headrace::feed::Encode(message);
  if (!headrace::feed::Decode(encoded, &again).ok()) std::abort();
  if (headrace::feed::Encode(again) != encoded) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  DecodeEncodeDecode<headrace::feed::ToAgent>(line);
  DecodeEncodeDecode<headrace::feed::ToClient>(line);
  return 0;
}
