// The framed snappy format: blocks of at most 64 KiB, each with its length and CRC32C.
#ifndef HEADRACE_RECORD_SNAPPY_FRAMES_H_
#define HEADRACE_RECORD_SNAPPY_FRAMES_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "record/bytes.h"

namespace headrace::record {

// Appends a whole framed stream that holds `data`.
void AppendSnappyFrames(std::string_view data, std::string* packed);

// Unpacks a framed stream into *data, at most `max_bytes`. False, with *what and the position in
// `packed` set, if it is damaged or too long.
bool UnpackSnappyFrames(std::string_view packed, std::uint64_t max_bytes, ByteBuffer* data,
                        std::size_t* bytes, std::string* what, std::size_t* position);

}  // namespace headrace::record

#endif  // HEADRACE_RECORD_SNAPPY_FRAMES_H_
