// Packing and unpacking of whole gzip strings; see byte_stream.h for files.
#ifndef HEADRACE_RECORD_GZIP_H_
#define HEADRACE_RECORD_GZIP_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "record/bytes.h"

namespace headrace::record {

// Appends one gzip member. False if zlib finds no memory.
bool AppendGzip(std::string_view data, std::string* packed);

// Unpacks all members of `packed` into *data, at most `max_bytes`. False, with *what and the
// position in `packed` set, if it is damaged, too long, or goes on after its end.
bool Gunzip(std::string_view packed, std::uint64_t max_bytes, ByteBuffer* data, std::size_t* bytes,
            std::string* what, std::size_t* position);

}  // namespace headrace::record

#endif  // HEADRACE_RECORD_GZIP_H_
