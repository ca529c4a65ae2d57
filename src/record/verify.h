// Finds all damage of a record file, not only the first.
#ifndef HEADRACE_RECORD_VERIFY_H_
#define HEADRACE_RECORD_VERIFY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "record/format.h"
#include "record/input_file.h"

namespace headrace::record {

struct Damage {
  std::uint64_t offset = 0;  // where the damaged chunk or record begins
  std::uint64_t bytes = 0;   // to where reading could go on
  Status status;             // "FILE: byte OFFSET: REASON"
};

struct VerifyReport {
  Layout layout;
  std::uint64_t num_records = 0;  // good ones
  std::uint64_t num_chunks = 0;   // good ones, of RecordIO
  std::uint64_t num_damaged = 0;
  std::vector<Damage> damages;  // the first ones, as many as were to be kept
};

// Reads all of the file and checks all that its format lets one check: checksums of RecordIO,
// TFRecord and gzip; that quotes of CSV are closed. After damage it goes on behind the chunk or
// record, if its length can be trusted, else where the next good one begins. Damage within gzip
// ends the walk: what follows cannot be unpacked.
//
// OK if the file could be read, damaged or not: see the report.
Status VerifyFile(const std::shared_ptr<const InputFile>& file, Layout layout,
                  std::uint64_t max_record_bytes, std::size_t max_damages, VerifyReport* report);

}  // namespace headrace::record

#endif  // HEADRACE_RECORD_VERIFY_H_
