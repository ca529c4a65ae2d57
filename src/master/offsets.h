// Where in their files the records stand that are in quarantine.
#ifndef HEADRACE_MASTER_OFFSETS_H_
#define HEADRACE_MASTER_OFFSETS_H_

#include "headrace/control.pb.h"

namespace headrace::master {

// Fills Quarantined.offset from the files, as they are now, and their indexes; -1 where there is no
// such file on this machine, or its path is relative or has a scheme (file://, gs://). Reads all of
// a file that has no index.
void FindOffsets(v1::Ledger* ledger);

}  // namespace headrace::master

#endif  // HEADRACE_MASTER_OFFSETS_H_
