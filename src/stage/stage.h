// Runs the front part of a training step ahead of the step, and hands results over in order.
#ifndef HEADRACE_STAGE_STAGE_H_
#define HEADRACE_STAGE_STAGE_H_

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"
#include "stage/domain.h"
#include "stage/element.h"
#include "stage/source.h"
#include "stage/tuner.h"

namespace headrace::stage {

// Schedules work on the threads of a step.
using Runner = std::function<void(std::function<void()>)>;

// Computes what crosses to the training step from one element of each source.
class StageBody {
 public:
  virtual ~StageBody() = default;
  // Called by up to num_threads threads at a time. `inputs` has one payload per source of the
  // stage, in order. `step` (may be null) is the runner of a step that waits for the result and has
  // nothing else to do: its threads may be used until this returns. Must end by itself: it is not
  // cancelled.
  virtual ReadResult Run(const std::vector<Payload>& inputs, const Runner* step) = 0;
  // Results that it has copied to accelerators so far, for figures. Any thread may ask at any time.
  virtual std::int64_t copied_tensors() const { return 0; }
};

struct StageConfig {
  std::string name;
  std::string tag;  // groups stages for figures and closing
  // Finished results that may wait, or kAutotune. 0: nothing runs ahead of takes. With kAutotune
  // the threads that run the body let the training's run first: that is paid for in the few cases
  // where others leave no processor idle, which the tuner notices.
  int capacity = 1;
  int num_threads = 1;                        // threads that run the body, or kAutotune
  int max_threads = 1;                        // that kAutotune may choose
  int num_clients = 1;                        // concurrent takers that the capacity must serve
  std::chrono::milliseconds timeout{300000};  // of a take without progress; 0 = never
  std::set<Code> closed_codes = {Code::kOutOfRange};  // delivered as end of data
  std::set<Code> ignored_codes;                       // skipped and counted
  int ignored_limit = 1000;      // skips in a row; then the error is delivered; 0 = no bound
  std::size_t budget_bytes = 0;  // held ahead, raw and staged; 0 = no bound
};

// What a step gets. With an error: empty if a read failed; if the body failed, the elements, which
// are consumed, so that a step that needs only part of the body's results can try that part.
struct Taken {
  std::vector<Payload> inputs;  // one per source
  Payload body;                 // null if the stage has no body
};

struct StageFigures {
  std::string name;
  std::string tag;
  std::int64_t produced = 0;   // tickets whose result was finished, delivered or not
  std::int64_t taken = 0;      // delivered to a step, errors not counted
  std::int64_t failed = 0;     // errors delivered, end of data included
  std::int64_t skipped = 0;    // ignored errors
  std::int64_t discarded = 0;  // results that nobody took: another consumer took their element
  int depth = 0;               // results that wait now
  int depth_limit = 0;
  int capacity = 0;                   // now; 0: nothing runs ahead
  int num_threads = 0;                // now
  bool measuring = false;             // settings compete (kAutotune)
  std::int64_t waiting = 0;           // takes that wait now
  std::int64_t held_bytes = 0;        // raw and staged, now
  std::int64_t producer_wait_us = 0;  // time the body threads waited for an element or for room
  std::int64_t consumer_wait_us = 0;  // time takes waited
  std::int64_t read_us = 0;           // time reads of its sources took
  std::int64_t body_us = 0;           // time spent in bodies, all threads
  std::int64_t copied_tensors = 0;    // to accelerators
  std::string last_error;
};

// Forms tickets (the k-th untaken element of each source), runs the body on each, and delivers in
// ticket order to whoever takes.
//
// Ownership: owned by one caller (the op's kernel); shares its sources. Owns its threads and body.
// Thread safety: every public method may run concurrently, except that Close() must not run on a
// thread of the stage.
// Ordering: takes are served first come, first served, also between stages that share a source, as
// far as results are there; results come in the order of the elements.
// Guarantees: each element reaches exactly one taker of its source. A ticket that fails is
// delivered as that error, in its place; neither errors nor the end of data are terminal. A take
// that is cancelled or times out while waiting consumes nothing.
// Bounds: at most max(capacity, num_clients) + num_threads elements are read and not taken.
// kAutotune: capacity and threads change while the stage runs (tuner.h), and with them the bound;
// capacity 0 may be chosen too: then elements are read only for takes that wait.
class Stage {
 public:
  struct Input {
    std::shared_ptr<Source> source;
    // Turns what was read into what tickets hold, such as the end of data into an optional without
    // element. Must be quick and always give the same: it is called with the domain's lock held,
    // again whenever tickets are formed anew.
    std::function<ReadResult(const ReadResult&)> adapt;  // may be null
  };

  // Starts its threads. `body` may be null: what crosses are the elements themselves, and
  // num_threads has no effect unless there are draws. Requires: no source comes twice, and one is
  // not a draw.
  Stage(std::shared_ptr<Domain> domain, StageConfig config, std::vector<Input> inputs,
        std::unique_ptr<StageBody> body);
  // Closes.
  ~Stage();
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  using TakeId = std::uint64_t;
  using Done = std::function<void(const Status&, Taken)>;

  // Delivers at once if a result (or an error) is there and nobody waits for it: true with *status
  // and *taken set. Never waits.
  bool TryTake(Status* status, Taken* taken);
  // Delivers at once if it can: returns true with *status and *taken set, and `done` is dropped.
  // Else returns false, sets *id, and calls `done` exactly once, later, on a thread of the stage,
  // of a source, of the domain, or of whoever takes elsewhere or ends the wait; never under a lock.
  // `done` must not block, since that thread has other work, and may run when the stage is gone
  // already. `step` (may be null): threads that have nothing to do until then; the body may use
  // them where nothing runs ahead.
  bool TakeOrWait(Status* status, Taken* taken, TakeId* id, Done done, Runner step = nullptr);
  // Blocks the caller's thread. `on_wait` (may be null) is called with the id before blocking, so
  // that the wait can be ended by EndWait().
  Status Take(Taken* taken, const std::function<void(TakeId)>& on_wait = nullptr);
  // Ends a wait with `status`; does nothing if it was served already.
  void EndWait(TakeId id, const Status& status);

  // Takes after this, and those that wait, fail with CANCELLED. Elements stay with their sources.
  void Close();

  // True once a source was closed: the resource is gone, and this stage will never deliver again.
  bool source_closed() const { return source_closed_.load(std::memory_order_acquire); }

  const StageConfig& config() const { return config_; }
  StageFigures figures() const;

 private:
  friend class Domain;
  friend class Source;

  enum class SlotState { kPending, kRunning, kDone };
  struct Slot {
    SlotState state = SlotState::kPending;
    std::vector<ElementPtr> elements;  // null for sources after a failed one
    std::vector<Payload> inputs;
    std::uint64_t ticket = 0;
    Status status;
    Payload body;
    std::size_t bytes = 0;
    bool read_failed = false;  // the last one: after it, reads wait for a take
    bool orphan = false;  // no longer in slots_: its elements went elsewhere, or all was closed
  };
  using SlotPtr = std::shared_ptr<Slot>;
  struct Waiter {
    TakeId id;
    Done done;
    TimePoint since;
    TimePoint next_report;
    TimePoint traced_since;  // of the trace's clock; unset while nothing is traced
    Runner step;
    bool rewound = false;  // tickets were made anew for it
  };

  // All "Locked" methods: the domain's lock is held; callbacks go into *deferred.
  bool CanFormTicketLocked() const;
  void FormTicketsLocked();
  void DropSlotsLocked(Deferred* deferred);
  // Whether the front ticket is done, and was made from state that somebody else has written since.
  bool FrontIsStaleLocked() const;
  // Drops all tickets, and what was made from that state.
  void RewindLocked(Deferred* deferred);
  void DropFrontLocked(Deferred* deferred);
  void OrphanLocked(Slot* slot);
  // Whether the tickets, the first `skip` left out, hold the sources' oldest elements, one after
  // the other: those that they would hold if they were formed now.
  bool AlignedLocked(std::size_t skip) const;
  // A take waits, and the front ticket is done. Serves the oldest, unless the error is an ignored
  // one.
  bool CanDeliverLocked() const {
    return !waiters_.empty() && !slots_.empty() && slots_.front()->state == SlotState::kDone;
  }
  void DeliverLocked(Deferred* deferred);
  // Takes the front slot if it is done: true with *status, *taken set. Skips ignored errors.
  bool TakeFrontLocked(bool waited, Status* status, Taken* taken, Deferred* deferred);
  SlotPtr ConsumeFrontLocked(Deferred* deferred);
  // Leaves what a consumed ticket held to the next worker that comes along, so that the taker goes
  // on with its step. A worker comes for every ticket that is formed, so no more is held than
  // before; at the end of data, or after as many tickets as the stage may hold, the taker frees
  // them itself.
  void DisposeLocked(SlotPtr slot, Deferred* deferred);
  void SweepLocked(Deferred* deferred);
  void OnAppendLocked();
  void OnForeignPopLocked(Deferred* deferred);
  void OnResetLocked(Deferred* deferred);
  void OnSourceClosedLocked(const std::string& source, Deferred* deferred);
  void BeginTakeLocked();
  bool TakeNowLocked(Status* status, Taken* taken, Deferred* deferred);
  void CheckWaitersLocked(TimePoint now, Deferred* deferred);
  void FailWaitersLocked(const Status& status, Deferred* deferred);
  Status ClosedStatusLocked() const;
  StageFigures FiguresLocked() const;
  // Microseconds that reads of the sources took, of all stages.
  std::int64_t ReadTimeLocked() const;
  // How many tickets may be held.
  std::size_t LimitLocked() const;
  // A step got its result, after a wait or at once; `full`: it left a full queue.
  void TuneLocked(bool waited, bool full, Deferred* deferred);
  // Whether this stage may measure now: stages that measure at the same time would mislead each
  // other.
  bool MayMeasureLocked(TimePoint now);
  bool OpenLocked() const { return !closing_ && closed_because_.empty(); }
  bool HasWaitersLocked() const { return !waiters_.empty(); }
  TakeId OldestWaitLocked() const { return waiters_.front().id; }
  void WakeSourcesLocked();
  std::string DescribeLocked(TimePoint now) const;
  // How many elements this stage wants a source to hold; 0 while dormant or closed.
  std::size_t WantedLocked() const;
  std::size_t HeldBytesLocked() const;
  bool NeedsElementLocked(const Source* source) const;  // a take waits for it

  bool has_workers() const { return body_ != nullptr || has_draws_; }
  void WorkLoop(int index);
  SlotPtr PendingLocked() const;
  // Completes the ticket's random draws, unless it becomes an orphan meanwhile.
  void DrawLocked(std::unique_lock<std::mutex>* lock, Slot* slot, Deferred* deferred);
  // Runs the body with the lock released, and keeps the result unless the ticket became an orphan.
  void RunBodyLocked(std::unique_lock<std::mutex>* lock, Slot* slot, Deferred* deferred);

  const std::shared_ptr<Domain> domain_;
  const StageConfig config_;
  const std::vector<Input> inputs_;
  const std::unique_ptr<StageBody> body_;
  bool has_draws_ = false;              // constant after construction
  bool has_state_ = false;              // likewise
  const std::unique_ptr<Tuner> tuner_;  // null if nothing is to be chosen; guarded by domain_->mu_

  // Guarded by domain_->mu_.
  Setting setting_;
  std::deque<SlotPtr> slots_;          // front = the next ticket
  std::vector<SlotPtr> consumed_;      // for a worker to free
  std::vector<std::size_t> assigned_;  // per source: elements that belong to slots_
  std::deque<Waiter> waiters_;
  std::uint64_t next_ticket_ = 0;
  int foreign_pops_ = 0;  // since the last take of this stage
  bool dormant_ = false;  // others consume the source: stop computing for nobody
  bool drawing_ = false;
  int ignored_in_a_row_ = 0;
  bool closing_ = false;
  std::string closed_because_;
  std::atomic<bool> source_closed_{false};  // set under the lock, read without
  TimePoint last_progress_;
  TimePoint last_taken_;           // for the trace's step spans; unset while a take waits
  std::uint64_t last_ticket_ = 0;  // that step's
  std::size_t staged_bytes_ = 0;
  StageFigures figures_;
  std::condition_variable work_cv_;   // workers: pending slot, draw ended, closing
  std::condition_variable spare_cv_;  // workers beyond setting_.num_threads: the setting, closing

  std::vector<std::thread> workers_;  // joined by Close()
  std::mutex join_mu_;
};

}  // namespace headrace::stage

#endif  // HEADRACE_STAGE_STAGE_H_
