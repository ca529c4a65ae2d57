// All that a master must find again when it starts: the ledger and, beside it, who the workers are
// and what they have written.
#ifndef HEADRACE_MASTER_STATE_H_
#define HEADRACE_MASTER_STATE_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "ledger/ledger.h"
#include "master/entry.h"

namespace headrace::master {

// A training process that has joined and not left.
struct Worker {
  std::uint64_t number = 0;
  std::string name;
  std::uint64_t key = 0;
  std::string host;
  std::int64_t pid = 0;
  std::int64_t joined_ms = 0;
  // What it last restored (0: nothing), so that it may say so again.
  std::uint64_t restored = 0;
  // Of the model that it has, restored or found; 0: none.
  std::int64_t model_incarnation = 0;
  // Leases that ended without it: it may have trained what others train again.
  std::vector<std::uint64_t> expired;

  template <class A>
  void Fields(A& a) {
    a(number, name, key, host, pid, joined_ms, restored, model_incarnation, expired);
  }
};

// A name, and the processes that it had one after the other.
struct Slot {
  std::uint64_t last_worker = 0;
  std::int64_t restarts = 0;  // processes that came after one that had not ended in order
  std::string last_exit;      // why the last process that is gone ended; empty: in order
  std::string host;           // of the last process
  std::int64_t pid = 0;
  std::int64_t left_ms = 0;     // when the last process that is gone ended
  std::int64_t restart_ms = 0;  // of the last restart, from that end to the next start

  template <class A>
  void Fields(A& a) {
    a(last_worker, restarts, last_exit, host, pid, left_ms, restart_ms);
  }
};

struct Checkpoint {
  std::string directory;  // empty: none yet
  std::int64_t step = 0;
  std::uint64_t hold = 0;
  std::int64_t incarnation = 0;  // of which it holds the model
  std::int64_t pause_ms = 0, bytes = 0, at_ms = 0;

  template <class A>
  void Fields(A& a) {
    a(directory, step, hold, incarnation, pause_ms, bytes, at_ms);
  }
};

// A state machine as the ledger is one: Apply() is the only way to change it, the same entries give
// the same state, and the caller stores each entry that changed anything before it acts on it.
// Ownership: owns all of its state.
// Thread safety: none.
// Errors: the ledger's. NOT_FOUND also for a worker that has left.
class State {
 public:
  // `effects` are the ledger's.
  Status Apply(const Entry& entry, ledger::Effects* effects, bool* changed);

  std::string Snapshot() const;
  static Status Restore(std::string_view bytes, State* state);

  const ledger::Ledger& ledger() const { return ledger_; }
  const std::map<std::uint64_t, Worker>& workers() const { return workers_; }
  const Worker* Find(std::uint64_t worker) const;
  const std::map<std::string, Slot>& slots() const { return slots_; }
  std::uint64_t next_worker() const { return next_worker_; }

  const Checkpoint& checkpoint() const { return checkpoint_; }
  // The order that stands; of hold 0 if there is none.
  const SaveOrdered& saving() const { return saving_; }
  // Number of the last hold that has ended.
  std::uint64_t holds() const { return holds_; }
  // Where the model was restored from, and at which step; steps count from there.
  const std::string& restored_from() const { return restored_from_; }
  std::int64_t restored_step() const { return restored_step_; }
  const std::map<std::int64_t, Measured>& measured() const { return measured_; }
  const std::string& model() const { return model_; }
  // A worker left in order after the ledger was done, of a shared model the one that was told to
  // deliver: the model is where it belongs.
  bool delivered() const { return delivered_; }

  // A shared model, which has a generation: larger than that of any before.
  std::int64_t generation() const { return generation_; }  // 0: there is none now
  std::int64_t last_generation() const { return last_generation_; }
  // The order that stands; of worker 0 if there is none. The same for delivering().
  const RestoreOrdered& restoring() const { return restoring_; }
  const DeliverOrdered& delivering() const { return delivering_; }
  // Workers, gone or not, that may still train records of leases they have lost.
  const std::vector<std::uint64_t>& fenced() const { return fenced_; }
  bool IsFenced(std::uint64_t worker) const;
  // Records may have been trained twice since the model was restored.
  bool repeated() const { return repeated_; }

  const StopAsked* stop() const { return stop_.empty() ? nullptr : &stop_[0]; }
  std::int64_t starts() const { return starts_; }
  std::int64_t created_ms() const { return created_ms_; }

  // Fingerprint of what was restored, as in Worker::restored.
  static std::uint64_t FingerprintOf(const Restored& entry);

  template <class A>
  void Fields(A& a) {
    a(workers_, slots_, next_worker_, checkpoint_, saving_, holds_, restored_from_, restored_step_,
      measured_, model_, delivered_, stop_, starts_, created_ms_, generation_, last_generation_,
      restoring_, delivering_, fenced_, repeated_);
  }

 private:
  Status On(const ledger::Event& event, ledger::Effects* effects, bool* changed);
  Status On(const Started& entry, ledger::Effects* effects, bool* changed);
  Status On(const Joined& entry, ledger::Effects* effects, bool* changed);
  Status On(const Left& entry, ledger::Effects* effects, bool* changed);
  Status On(const Restored& entry, ledger::Effects* effects, bool* changed);
  Status On(const Saved& entry, ledger::Effects* effects, bool* changed);
  Status On(const Measured& entry, ledger::Effects* effects, bool* changed);
  Status On(const StopAsked& entry, ledger::Effects* effects, bool* changed);
  Status On(const Closed& entry, ledger::Effects* effects, bool* changed);
  Status On(const SaveOrdered& entry, ledger::Effects* effects, bool* changed);
  Status On(const HoldEnded& entry, ledger::Effects* effects, bool* changed);
  Status On(const RestoreOrdered& entry, ledger::Effects* effects, bool* changed);
  Status On(const Attached& entry, ledger::Effects* effects, bool* changed);
  Status On(const ModelLost& entry, ledger::Effects* effects, bool* changed);
  Status On(const Fenced& entry, ledger::Effects* effects, bool* changed);
  Status On(const DeliverOrdered& entry, ledger::Effects* effects, bool* changed);
  void FenceOff(std::uint64_t worker);
  void EndHold(std::uint64_t hold);

  ledger::Ledger ledger_;

  std::map<std::uint64_t, Worker> workers_;
  std::map<std::string, Slot> slots_;
  std::uint64_t next_worker_ = 1;
  Checkpoint checkpoint_;
  SaveOrdered saving_;
  std::uint64_t holds_ = 0;
  std::string restored_from_;
  std::int64_t restored_step_ = 0;
  std::map<std::int64_t, Measured> measured_;  // by round
  std::string model_;
  bool delivered_ = false;
  std::vector<StopAsked> stop_;  // none or one
  std::int64_t starts_ = 0;
  std::int64_t created_ms_ = 0;

  std::int64_t generation_ = 0, last_generation_ = 0;
  RestoreOrdered restoring_;
  DeliverOrdered delivering_;
  std::vector<std::uint64_t> fenced_;
  bool repeated_ = false;
};

}  // namespace headrace::master

#endif  // HEADRACE_MASTER_STATE_H_
