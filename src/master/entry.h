// What the master's journal holds: events of the ledger, and what else must outlive the master.
#ifndef HEADRACE_MASTER_ENTRY_H_
#define HEADRACE_MASTER_ENTRY_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/status.h"
#include "ledger/events.h"

namespace headrace::master {

// A master began to serve the job.
struct Started {
  std::int64_t now_ms = 0;

  template <class A>
  void Fields(A& a) {
    a(now_ms);
  }
};

struct Joined {
  std::uint64_t worker = 0;
  std::string name;
  std::uint64_t key = 0;
  std::string host;
  std::int64_t pid = 0;
  std::int64_t now_ms = 0;

  template <class A>
  void Fields(A& a) {
    a(worker, name, key, host, pid, now_ms);
  }
};

struct Left {
  std::uint64_t worker = 0;
  std::string reason;  // empty: it was done
  std::string model;   // path of the final model, if this worker wrote it
  std::int64_t now_ms = 0;

  template <class A>
  void Fields(A& a) {
    a(worker, reason, model, now_ms);
  }
};

// The job's account goes to where the model stands that this worker loaded.
struct Restored {
  std::uint64_t worker = 0;
  std::string position;  // empty: the beginning
  std::int64_t step = 0;
  std::string checkpoint;
  std::int64_t now_ms = 0;

  template <class A>
  void Fields(A& a) {
    a(worker, position, step, checkpoint, now_ms);
  }
};

// A checkpoint is complete.
struct Saved {
  std::uint64_t worker = 0;
  std::uint64_t hold = 0;
  std::string directory;
  std::int64_t step = 0;
  std::int64_t pause_ms = 0;
  std::int64_t bytes = 0;
  std::int64_t now_ms = 0;

  template <class A>
  void Fields(A& a) {
    a(worker, hold, directory, step, pause_ms, bytes, now_ms);
  }
};

struct NamedMetric {
  std::string name;
  double value = 0;

  template <class A>
  void Fields(A& a) {
    a(name, value);
  }
};

// The named results of an evaluation round; 0: of an evaluation job.
struct Measured {
  std::int64_t round = 0;
  std::int64_t step = 0;
  std::vector<NamedMetric> values;

  template <class A>
  void Fields(A& a) {
    a(round, step, values);
  }
};

// A person wants the job to end early.
struct StopAsked {
  std::string reason;
  bool discard = false;

  template <class A>
  void Fields(A& a) {
    a(reason, discard);
  }
};

// The master ended in order; the next one goes on with the job.
struct Closed {
  std::int64_t now_ms = 0;

  template <class A>
  void Fields(A& a) {
    a(now_ms);
  }
};

// A worker was told to save, while all stand still.
struct SaveOrdered {
  std::uint64_t hold = 0;
  std::uint64_t worker = 0;
  std::string directory;
  std::string position;
  std::int64_t step = 0;

  template <class A>
  void Fields(A& a) {
    a(hold, worker, directory, position, step);
  }
};

// Workers may go on: no hold of this number or before will be asked for again.
struct HoldEnded {
  std::uint64_t hold = 0;

  template <class A>
  void Fields(A& a) {
    a(hold);
  }
};

// A worker was told to write a shared model to its servers, under this generation. Whoever was told
// before is too late.
struct RestoreOrdered {
  std::uint64_t worker = 0;
  std::int64_t generation = 0;
  std::int64_t now_ms = 0;

  template <class A>
  void Fields(A& a) {
    a(worker, generation, now_ms);
  }
};

// A worker found the shared model at its servers, and uses it.
struct Attached {
  std::uint64_t worker = 0;

  template <class A>
  void Fields(A& a) {
    a(worker);
  }
};

// The shared model is gone, or is not to be used any more.
struct ModelLost {
  std::int64_t now_ms = 0;

  template <class A>
  void Fields(A& a) {
    a(now_ms);
  }
};

// A worker that may be alive is replaced: nothing of it may reach the shared model any more.
struct Fenced {
  std::uint64_t worker = 0;

  template <class A>
  void Fields(A& a) {
    a(worker);
  }
};

// All is trained: a worker was told to write the final model.
struct DeliverOrdered {
  std::uint64_t worker = 0;
  std::int64_t now_ms = 0;

  template <class A>
  void Fields(A& a) {
    a(worker, now_ms);
  }
};

// The order of all but the first is part of the format: append only.
using Entry = std::variant<ledger::Event, Started, Joined, Left, Restored, Saved, Measured,
                           StopAsked, Closed, SaveOrdered, HoldEnded, RestoreOrdered, Attached,
                           ModelLost, Fenced, DeliverOrdered>;

// Version 1. A ledger event is stored as it is (its first byte is its version, far below 0x80); the
// others are a byte 0x80 + version, a byte with the kind (its place in Entry), the fields.
inline constexpr int kEntryVersion = 1;
std::string Encode(const Entry& entry);
// DATA_LOSS for bytes that are no entry; UNIMPLEMENTED for a newer version.
Status Decode(std::string_view bytes, Entry* entry);

}  // namespace headrace::master

#endif  // HEADRACE_MASTER_ENTRY_H_
