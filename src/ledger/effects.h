// What the caller must do after an event: answers, and what to tell whom.
#ifndef HEADRACE_LEDGER_EFFECTS_H_
#define HEADRACE_LEDGER_EFFECTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "ledger/interval_set.h"
#include "ledger/job.h"

namespace headrace::ledger {

// A lease as its worker sees it.
struct Grant {
  std::uint64_t token = 0;  // fencing token: larger than every one before, never used again
  TaskType type = TaskType::kTrain;
  std::int64_t epoch = 0;
  std::int64_t round = 0;  // of evaluation; 0: the job's main work
  std::int64_t model_version = 0;
  std::int64_t file = 0;         // place in JobSpec::files, or evaluation_files if round != 0
  Ranges ranges;                 // records of the file
  std::int64_t lease_ms = 0;     // from now on, unless renewed
  std::int64_t deadline_ms = 0;  // the same in the master's time
  bool isolate = false;          // run it alone, through an iterator of its own
  bool backup = false;           // another worker holds the same records
};

enum class Answer : std::uint8_t {
  kNone,
  kLeases,  // `grants`
  kFlush,   // nothing left to lease: end your iterator so that it gives up what it holds, ask again
  kWait,    // the same, but you hold nothing: ask again after retry_ms
  kDone,    // everything is accounted for
  kFailed,  // the job failed
};

enum class EndReason : std::uint8_t {
  kFinished,
  kReleased,
  kFailed,
  kExpired,
  kDisconnected,
  kSuperseded,  // another worker accounted for all of its records
  kRewound,
  kJobFailed,
};
const char* Name(EndReason reason);

struct Ended {
  std::uint64_t token = 0;
  std::uint64_t worker = 0;
  EndReason reason = EndReason::kFinished;
};

// The worker should hand back what it has not read yet of this lease: others have nothing to do.
struct Recall {
  std::uint64_t token = 0;
  std::uint64_t worker = 0;
};

struct Effects {
  // False: the event left no trace in the state and need not be journaled.
  bool changed = false;

  Answer answer = Answer::kNone;  // of Request
  std::vector<Grant> grants;
  std::int64_t retry_ms = 0;

  std::vector<std::uint64_t> unknown;  // of Renew: leases that the worker no longer holds
  std::vector<Recall> recalls;         // of Request, and again of Renew
  std::vector<Ended> ended;
  bool repeated = false;                       // records are named as possibly repeated, also again
  std::vector<std::int64_t> evaluations_due;   // rounds that wait for PinEvaluation
  std::vector<std::int64_t> evaluations_done;  // rounds whose metrics are complete
};

}  // namespace headrace::ledger

#endif  // HEADRACE_LEDGER_EFFECTS_H_
