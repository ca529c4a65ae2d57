// Tells a crash's unfinished write at the end of SQLite's write-ahead log from damage.
#ifndef HEADRACE_JOURNAL_WAL_CHECK_H_
#define HEADRACE_JOURNAL_WAL_CHECK_H_

#include <string>

#include "base/status.h"

namespace headrace::journal {

// SQLite drops, without a word, everything behind the first frame whose checksum is wrong. That is
// right for the last transaction, which was not synced yet; it would lose what was acknowledged if
// anything was written behind it, since every transaction is synced before the next one is written.
//
// OK: no such file, nothing wrong, or what is wrong belongs to the last transaction.
// Errors: DATA_LOSS with file and offset; UNAVAILABLE if the file cannot be read.
// Format: https://www.sqlite.org/fileformat2.html#walformat
Status CheckWal(const std::string& path);

}  // namespace headrace::journal

#endif  // HEADRACE_JOURNAL_WAL_CHECK_H_
