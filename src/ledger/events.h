// Everything that can happen to a job. The journal stores these; applying them again in order gives
// the same state.
#ifndef HEADRACE_LEDGER_EVENTS_H_
#define HEADRACE_LEDGER_EVENTS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/status.h"
#include "ledger/interval_set.h"
#include "ledger/job.h"
#include "ledger/mutation.h"
#include "ledger/position.h"

namespace headrace::ledger {

// Times are the master's, in milliseconds from any origin; a time before the ledger's own counts as
// the ledger's own. Workers have numbers that the caller gives them.

// The first event of every journal.
struct CreateJob {
  JobSpec spec;
  std::int64_t now_ms = 0;

  template <class A>
  void Fields(A& a) {
    a(spec, now_ms);
  }
};

// A worker begins. Its number is never used for another, nor for the same when it starts again: so
// joining twice is one join, and a new process holds no leases of the old one.
struct Join {
  std::uint64_t worker = 0;
  std::string name;
  std::int64_t now_ms = 0;

  template <class A>
  void Fields(A& a) {
    a(worker, name, now_ms);
  }
};

// A worker is gone: its leases go back at once.
struct Disconnect {
  std::uint64_t worker = 0;
  std::int64_t now_ms = 0;

  template <class A>
  void Fields(A& a) {
    a(worker, now_ms);
  }
};

// A worker asks for up to `max_tasks` leases. `request` is the worker's own number for it, larger
// each time: a repeated number gets the leases of the first time again, an older one is refused.
struct Request {
  std::uint64_t worker = 0;
  std::uint64_t request = 0;
  std::int64_t incarnation = 0;  // that the worker knows of
  std::int64_t max_tasks = 1;
  bool main = true;         // wants the job's main work
  bool evaluation = false;  // wants tasks of evaluation rounds; they come first
  std::int64_t now_ms = 0;

  template <class A>
  void Fields(A& a) {
    a(worker, request, incarnation, max_tasks, main, evaluation, now_ms);
  }
};

struct Renew {
  std::uint64_t worker = 0;
  std::vector<std::uint64_t> tokens;
  std::int64_t now_ms = 0;

  template <class A>
  void Fields(A& a) {
    a(worker, tokens, now_ms);
  }
};

enum class Outcome : std::uint8_t { kTrained, kFiltered, kDropped };
constexpr Outcome EnumLimit(Outcome) {
  return Outcome::kDropped;
}

// Ranges of a report count records of the lease's file.
struct Acknowledged {
  Range range;
  Outcome outcome = Outcome::kTrained;  // kTrained also stands for evaluated and predicted
  std::string op;                       // kDropped: the op that dropped them

  template <class A>
  void Fields(A& a) {
    a(range, outcome, op);
  }
};

enum class End : std::uint8_t {
  kOpen,      // the lease goes on
  kFinished,  // every record of it is accounted for
  kReleased,  // what is left goes back, without blame (a worker that drains)
  kFailed,    // what is left goes back, with blame
};
constexpr End EnumLimit(End) {
  return End::kFailed;
}

// What happened to records of one lease; also a part of them, in any order, and again if the answer
// was lost.
struct Report {
  std::uint64_t worker = 0;
  std::uint64_t token = 0;
  std::vector<Acknowledged> acknowledged;
  std::vector<Range> returned;  // not trained, and not going to be by this lease
  std::vector<Range> repeated;  // may have been applied, and will be again
  End end = End::kOpen;
  std::string error;            // kFailed
  std::int64_t culprit = -1;    // kFailed: the record of the file that is known to have failed
  std::vector<double> metrics;  // evaluation: sums over what this report acknowledges
  std::int64_t now_ms = 0;

  template <class A>
  void Fields(A& a) {
    a(worker, token, acknowledged);
    if (!Mutant(Mutation::kReturnedNotSerialized)) a(returned);
    a(repeated, end, error, culprit, metrics, now_ms);
  }
};

// Time passes: expires leases, starts evaluation rounds.
struct Tick {
  std::int64_t now_ms = 0;

  template <class A>
  void Fields(A& a) {
    a(now_ms);
  }
};

// The master started again: no lease may expire for the time in which nobody could renew it.
struct Restart {
  std::int64_t now_ms = 0;

  template <class A>
  void Fields(A& a) {
    a(now_ms);
  }
};

// The model's step counter, as far as the sender knows.
struct Progress {
  std::int64_t step = 0;
  std::int64_t incarnation = 0;
  std::int64_t now_ms = 0;

  template <class A>
  void Fields(A& a) {
    a(step, incarnation, now_ms);
  }
};

// The model version that a due evaluation round evaluates is there: its tasks may be leased.
struct PinEvaluation {
  std::int64_t round = 0;
  std::int64_t model_version = 0;
  std::int64_t now_ms = 0;

  template <class A>
  void Fields(A& a) {
    a(round, model_version, now_ms);
  }
};

// The model was restored from a checkpoint that holds this position.
struct RewindTo {
  Position position;
  std::int64_t now_ms = 0;

  template <class A>
  void Fields(A& a) {
    a(position, now_ms);
  }
};

// The model is gone, and no other is there so far: what is leased or asked for is of the past. The
// account stays until RewindTo.
struct LoseModel {
  std::int64_t now_ms = 0;

  template <class A>
  void Fields(A& a) {
    a(now_ms);
  }
};

// The order is part of the format: append only.
using Event = std::variant<CreateJob, Join, Disconnect, Request, Renew, Report, Tick, Restart,
                           Progress, PinEvaluation, RewindTo, LoseModel>;

// Version 1: a byte with the version, a byte with the kind (its place in Event), the fields.
inline constexpr int kEventVersion = 2;
std::string Encode(const Event& event);
// DATA_LOSS for bytes that are no event, with the offset in them; UNIMPLEMENTED for a newer
// version.
Status Decode(std::string_view bytes, Event* event);

// The name of the event's kind, and its time.
const char* KindName(const Event& event);
std::int64_t TimeOf(const Event& event);

}  // namespace headrace::ledger

#endif  // HEADRACE_LEDGER_EVENTS_H_
