// The master's state as its journal has it.
#ifndef HEADRACE_MASTER_REPLAY_H_
#define HEADRACE_MASTER_REPLAY_H_

#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"
#include "journal/journal.h"
#include "master/state.h"

namespace headrace::master {

struct Replayed {
  std::unique_ptr<journal::Journal> journal;
  State state;
  std::uint64_t events = 0;  // after the snapshot
  std::uint64_t event_bytes = 0;
  std::uint64_t snapshot_bytes = 0;
};

// Opens the journal of `job` (see journal::Journal::Open()) and replays it. Errors: those of
// opening, and DATA_LOSS for an event that does not follow from those before it, by its number.
Status OpenJournal(const std::string& path, const std::string& job, Replayed* replayed);

}  // namespace headrace::master

#endif  // HEADRACE_MASTER_REPLAY_H_
