// The decisions that are not the ledger's: when all workers stand still, who saves, who reports,
// and when the job is over.
#ifndef HEADRACE_MASTER_COORDINATOR_H_
#define HEADRACE_MASTER_COORDINATOR_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "base/status.h"
#include "ledger/effects.h"
#include "master/entry.h"
#include "master/job.h"
#include "master/state.h"

namespace headrace::master {

enum class JobState : std::uint8_t { kRunning, kStopping, kDone, kFailed };

struct SaveOrder {
  std::uint64_t hold = 0;
  std::string directory;
  std::string position;
  std::int64_t step = 0;
};

struct EvaluatedOrder {
  std::int64_t round = 0;
  std::int64_t step = 0;
  std::vector<double> sums;
};

// The state that a worker is to be in; complete each time.
struct Orders {
  std::uint64_t version = 0;
  std::int64_t incarnation = 0;
  JobState state = JobState::kRunning;
  std::string reason;
  std::uint64_t hold = 0;
  std::string hold_reason;
  std::optional<SaveOrder> save;
  std::vector<std::uint64_t> recalled;
  std::optional<EvaluatedOrder> evaluated;
  std::vector<std::uint64_t> fenced;
  std::int64_t live = 0;
  bool deliver = false;  // with kDone
};

struct CheckpointResult {
  Status status;
  std::string directory;
  std::int64_t step = 0;
};

// What is due (a checkpoint, an evaluation round, named results of one) follows from the state, so
// a master that starts again finds it again. All due work shares one hold: while it lasts, no
// worker has the job's main work leased anew, and once all stand still, first one saves, then the
// round is pinned to the model's step and its tasks are leased, then one is asked for the named
// results.
//
// A worker stands still when it says so, or as long as its number never had a lease. A worker that
// is gone, that was silent for as long as a lease, or whose lease expired under a model that is
// local or shared does not count. An order to somebody who is gone goes to another; if nobody is
// left, the hold waits for one.
//
// A shared model is written by one worker at the end: for that one the job is done first, for the
// others when it has left. An exact job's model is lost as soon as it may have seen a record twice.
//
// Ownership: borrows the job and the state, which outlive it.
// Thread safety: none; the caller holds one lock around it and the state.
// Units: milliseconds of the master's clock, given to every call that needs them.
class Coordinator {
 public:
  // Requires: the state has a job and a Started entry. Workers of an earlier master count as heard
  // of at `now_ms`.
  Coordinator(const Job* job, const State* state, std::int64_t now_ms);

  // --- what workers and people say ---------------------------------------------------------------

  void Join(std::uint64_t worker, std::int64_t now_ms);
  void Leave(std::uint64_t worker);
  struct Word {
    std::uint64_t held = 0;
    bool at_boundary = false;
    std::int64_t incarnation = 0;
  };
  void Hear(std::uint64_t worker, const Word& word, std::int64_t now_ms);
  // Whether the worker has said anything of this incarnation.
  bool HeardOf(std::uint64_t worker, std::int64_t incarnation) const;
  // The model was restored, or is lost: what was ordered is void.
  void VoidOrders();
  // The worker got leases of the job's main work.
  void Leased(std::uint64_t worker);
  void AskCheckpoint() { asked_ = true; }
  // Whether `worker` was told to save in `hold`; and that it could not, or did (the state knows).
  const SaveOrder* SaveOf(std::uint64_t worker, std::uint64_t hold) const;
  void SaveFailed(const Status& why);
  void SaveDone();

  // --- decisions ---------------------------------------------------------------------------------

  // To be called after each of the above and after each entry, until it gives no further entry to
  // apply.
  std::optional<Entry> Decide(std::int64_t now_ms);
  // Whether orders changed for all, since the last call.
  bool TakeChanged();
  // The outcome of AskCheckpoint(), once.
  std::optional<CheckpointResult> TakeResult();

  struct Permission {
    bool main = false;
    bool evaluation = false;
  };
  // What a request of this worker may be granted now.
  Permission MayLease(std::uint64_t worker) const;
  // The answer for a request that got nothing, given the ledger's.
  ledger::Answer AnswerFor(ledger::Answer answer) const;

  // The version grows whenever anything else in it changes for this worker.
  Orders OrdersFor(std::uint64_t worker);
  JobState job_state() const { return job_state_; }
  // Nobody is left but who was silent for as long as a lease, and nothing is to be done.
  bool over(std::int64_t now_ms) const;

  // --- for people --------------------------------------------------------------------------------

  // What the hold waits for; empty: there is none. `*since_ms`: when it began.
  std::string WaitsFor(std::int64_t now_ms, std::int64_t* since_ms) const;
  bool Holding() const { return hold_ != 0; }
  bool Stands(std::uint64_t worker) const;
  bool AtBoundary(std::uint64_t worker) const;
  // How long nothing was heard of it.
  std::int64_t SilentFor(std::uint64_t worker, std::int64_t now_ms) const;
  // Whether, all being trained, another worker is still to write the final model.
  bool AwaitsDelivery(std::uint64_t worker) const;
  // Of those that the job may count on.
  std::int64_t PresentWorkers(std::int64_t now_ms) const;

 private:
  struct Presence {
    std::int64_t heard_ms = 0;
    Word word;
    bool leased = false;
    Orders orders;  // as last given
  };
  struct Due {
    bool checkpoint = false;
    std::int64_t pin = 0;   // a round that waits for its model version
    std::int64_t open = 0;  // a round that is evaluated
    std::optional<EvaluatedOrder> report;

    bool any() const { return checkpoint || pin != 0 || open != 0 || report.has_value(); }
  };

  Due FindDue(std::int64_t now_ms) const;
  bool CheckpointDue(std::int64_t now_ms) const;
  bool StopNeedsCheckpoint(std::int64_t now_ms) const;
  void FindRounds(Due* due) const;
  std::string Reason(const Due& due) const;

  bool Counts(std::uint64_t worker, std::int64_t now_ms) const;
  // Has the model, as far as the master knows.
  bool HasModel(const Worker& worker) const;
  bool AllStand(std::int64_t now_ms) const;
  // The lowest number that counts, stands still and has the model; 0: none.
  std::uint64_t Choose(std::int64_t now_ms) const;

  SaveOrdered OrderSave(std::uint64_t worker, std::int64_t now_ms) const;
  // Takes up the order that stands, if the worker is there.
  bool AdoptSave(std::int64_t now_ms);
  void FinishCheckpoint(CheckpointResult result);
  // The entry that lets workers go on, unless nobody was held.
  std::optional<Entry> EndHold();
  void UpdateJobState(std::int64_t now_ms);
  bool ModelThere() const;
  // An exact job's model that is to be given up.
  bool Inexact() const;
  // Who is to write a shared model, if all is trained and nobody is told to.
  std::optional<Entry> OrderDelivery(std::int64_t now_ms) const;
  bool Delivers(std::uint64_t worker) const;
  bool MainComplete() const;
  bool SavedAlready() const;

  const Job& job_;
  const State& state_;

  std::map<std::uint64_t, Presence> presences_;
  std::uint64_t next_version_;  // larger than any of an earlier master
  bool begun_ = false;          // Decide() has run

  std::uint64_t hold_ = 0;
  std::int64_t hold_since_ms_ = 0;
  std::string hold_reason_;
  std::uint64_t saver_ = 0, reporter_ = 0;
  SaveOrder save_;
  EvaluatedOrder report_;

  bool asked_ = false;  // for a checkpoint
  std::optional<CheckpointResult> result_;
  // A checkpoint of this step and incarnation failed: the next one is due later.
  std::int64_t failed_step_ = -1, failed_incarnation_ = -1;
  bool stop_settled_ = false;                // the stop's checkpoint is saved, or cannot be
  mutable std::int64_t settled_rounds_ = 0;  // the first so many need nothing any more

  JobState job_state_ = JobState::kRunning;
  bool complete_ = false;  // all is trained, and the model is there; it may not be written so far
  std::int64_t live_ = 0;
  // Of what orders to all follow from: incarnation, workers fenced off, who delivers.
  using Seen = std::tuple<JobState, bool, std::int64_t, std::int64_t, std::size_t, std::uint64_t>;
  Seen seen_;
  bool changed_ = false;
};

}  // namespace headrace::master

#endif  // HEADRACE_MASTER_COORDINATOR_H_
