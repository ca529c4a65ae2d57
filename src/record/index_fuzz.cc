// Fuzzes the decoder of index files behind its checksum, which is made right: what is decoded can
// be looked up in, and is encoded as it was.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "record/crc.h"
#include "record/index.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace headrace::record;
  std::string bytes(data, data + size);
  const std::uint32_t crc = MaskedCrc32c(bytes);
  for (int i = 0; i < 4; ++i) bytes += static_cast<char>(crc >> 8 * i);
  Index index;
  if (!DecodeIndex("fuzz", bytes, &index).ok()) return 0;
  if (EncodeIndex(index) != bytes) std::abort();
  for (const std::uint64_t record : {std::uint64_t{0}, index.num_records / 2}) {
    if (record >= index.num_records) continue;
    const std::size_t entry = index.Find(record);
    if (index.entries[entry].first_record > record || index.FirstRecordAfter(entry) <= record) {
      std::abort();
    }
  }
  return 0;
}
