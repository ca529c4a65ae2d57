#include "master/replay.h"

#include <string_view>

#include "master/entry.h"

namespace headrace::master {

Status OpenJournal(const std::string& path, const std::string& job, Replayed* replayed) {
  journal::Visitors visitors;
  visitors.snapshot = [&](std::string_view snapshot) {
    replayed->snapshot_bytes = snapshot.size();
    return State::Restore(snapshot, &replayed->state);
  };
  visitors.event = [&](std::uint64_t sequence, std::string_view encoded) {
    Entry entry;
    ledger::Effects effects;
    bool changed = false;
    Status status = Decode(encoded, &entry);
    if (status.ok()) status = replayed->state.Apply(entry, &effects, &changed);
    ++replayed->events;
    replayed->event_bytes += encoded.size();
    if (status.ok()) return status;
    return Status(Code::kDataLoss,
                  path + ": event " + std::to_string(sequence) +
                      " does not follow from those before it: " + status.message());
  };
  return journal::Journal::Open(path, job, visitors, &replayed->journal);
}

}  // namespace headrace::master
