// The master's state: which records are whose, and what became of them. A guide to the folder:
//
//   job.h        what a job is                  events.h    what can happen to it
//   line.h       tasks as computed ranges       effects.h   what the master must then do
//   pool.h       what is still to be leased     position.h  the account at a checkpoint
//   leases.h     what is leased                 coverage.h  the account for people
//   account.h    what became of the records     codec.h     bytes
//   failures.h   how many are bad at least
#ifndef HEADRACE_LEDGER_LEDGER_H_
#define HEADRACE_LEDGER_LEDGER_H_

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "ledger/coverage.h"
#include "ledger/effects.h"
#include "ledger/events.h"
#include "ledger/leases.h"
#include "ledger/line.h"
#include "ledger/pool.h"
#include "ledger/position.h"

namespace headrace::ledger {

enum class RoundState : std::uint8_t { kDue, kOpen, kDone };
constexpr RoundState EnumLimit(RoundState) {
  return RoundState::kDone;
}

// One evaluation of one model version.
struct Round {
  RoundState state = RoundState::kDue;
  std::int64_t step = 0;  // at which it became due
  std::int64_t model_version = 0;
  Pool pool;

  template <class A>
  void Fields(A& a) {
    a(state, step, model_version, pool);
  }
};

// A state machine: Apply() is the only way to change it. It reads no clock and draws no numbers, so
// the same events give the same state; the caller stores each event for which effects->changed is
// set before it acts on the effects, and may leave out the others.
//
// What holds after every event: each record of each epoch is in exactly one of waiting, leased (to
// one worker, or to two if one lease is the other's backup), done. An event that is refused
// changes nothing. Tokens only grow.
// Ownership: owns all of its state.
// Thread safety: none; the caller holds one lock around it.
// Units: times in milliseconds of the master's clock.
// Errors: INVALID_ARGUMENT the event makes no sense; NOT_FOUND unknown worker: join first; ABORTED
// the lease, request or incarnation is of the past: drop what belongs to it; PERMISSION_DENIED
// another worker's lease; FAILED_PRECONDITION not in this state of the job.
class Ledger {
 public:
  Status Apply(const Event& event, Effects* effects);

  // All of the state, for a journal that starts over; and back. Version 1.
  std::string Snapshot() const;
  static Status Restore(std::string_view bytes, Ledger* ledger);
  // Equal states have equal digests.
  std::uint64_t Digest() const;

  // The account as it is now. To be a checkpoint's, the caller holds all workers at a barrier:
  // every step that the model contains is acknowledged.
  Position TakePosition() const;

  Verdict verdict() const;
  std::vector<FileCoverage> Coverage() const;
  CoverageTotals Totals() const;
  const std::vector<QuarantineEntry>& quarantine() const { return quarantine_; }
  const std::string& failure() const { return failure_; }

  const JobSpec& spec() const { return spec_; }
  std::int64_t incarnation() const { return incarnation_; }
  std::int64_t step() const { return step_; }
  std::int64_t now_ms() const { return now_ms_; }
  const std::map<std::int64_t, Round>& rounds() const { return rounds_; }
  const LeaseTable& leases() const { return leases_; }
  const Line& line(std::int64_t work) const { return work == 0 ? line_ : evaluation_line_; }
  const Pool& main() const { return main_; }
  // Until when leases may stand without another Tick; -1: none is out.
  std::int64_t next_deadline_ms() const;

  template <class A>
  void Fields(A& a);

 private:
  struct Worker {
    std::string name;
    std::uint64_t last_request = 0;             // the last one that got leases
    std::vector<std::uint64_t> last_tokens;     // what it got
    std::deque<std::uint64_t> ended_by_report;  // the latest: a repeated report is no error

    template <class A>
    void Fields(A& a) {
      a(name, last_request, last_tokens, ended_by_report);
    }
  };
  // A report whose ranges are checked and are numbers of the line.
  struct Checked {
    std::vector<Acknowledged> acknowledged;
    Ranges returned, repeated;
    Ranges left;  // of the lease, once the above is done
    std::int64_t culprit = -1;
    bool counts = true;  // evaluation: the result is to be accepted
  };

  // ledger.cc
  Status On(const CreateJob& event, Effects* effects);
  Status On(const Join& event, Effects* effects);
  Status On(const Disconnect& event, Effects* effects);
  Status On(const Tick& event, Effects* effects);
  Status On(const Restart& event, Effects* effects);
  void Settle(Effects* effects);
  void Fail(const std::string& why, Effects* effects);

  // requests.cc
  Status On(const Request& event, Effects* effects);
  Status On(const Renew& event, Effects* effects);
  void LeaseFrom(std::int64_t work, const Request& event, Effects* effects);
  void HelpStragglers(const Request& event, Effects* effects);
  Lease* NewLease(std::uint64_t worker, std::int64_t work, const Piece& piece, Effects* effects);
  // Whether the worker gets nothing of `work` before it is done with what it has.
  bool MustEmpty(std::uint64_t worker, std::int64_t work) const;
  Grant GrantOf(const Lease& lease) const;
  bool Done() const;

  // reports.cc
  Status On(const Report& event, Effects* effects);
  Status Check(const Report& event, const Lease& lease, Checked* checked) const;
  void Acknowledge(Lease* lease, const Acknowledged& what, Effects* effects);
  void TrimSibling(const Lease& lease, Range range, Effects* effects);
  void NameRepeated(const Lease& lease, Range range, Effects* effects);

  // returns.cc
  // Ends a lease; what is left of it must have been dealt with.
  void Drop(std::uint64_t token, EndReason reason, Effects* effects);
  // What nobody else holds of `ranges`, which `lease` gives up.
  Ranges Orphans(const Lease& lease, Ranges ranges) const;
  void Return(const Lease& lease, const Ranges& ranges);
  void LoseAll(const std::vector<std::uint64_t>& tokens, EndReason reason, Effects* effects);
  void Lose(std::uint64_t token, EndReason reason, bool blamed, Effects* effects);
  bool LostOften(std::int64_t losses) const;
  void Blame(const Lease& lease, const Ranges& left, const std::string& error,
             std::int64_t culprit);
  void Halve(const Lease& lease, Piece piece, const std::string& error);
  void Quarantine(std::int64_t work, std::int64_t number, const std::string& error);
  // Records that failed as often as they may. Ends the job where it is not some of them that fail.
  void NoteFailure(std::int64_t work, Range range, const std::string& error);
  // As long as nobody finds out which record it is: "a.rec, records [3, 9)".
  std::string NameOf(std::int64_t work, Range range) const;
  std::int64_t Backoff(std::int64_t attempts) const;

  // evaluation.cc
  Status On(const Progress& event, Effects* effects);
  Status On(const PinEvaluation& event, Effects* effects);
  std::int64_t MakeDue(Effects* effects);

  // rewind.cc
  Status On(const RewindTo& event, Effects* effects);
  Status On(const LoseModel& event, Effects* effects);
  void EndAll(Effects* effects);
  Status CheckPosition(const Position& position) const;

  TaskType TypeOf(std::int64_t work) const { return work == 0 ? spec_.type : TaskType::kEvaluate; }
  Pool& PoolOf(std::int64_t work) { return work == 0 ? main_ : rounds_.at(work).pool; }
  const Pool& PoolOf(std::int64_t work) const { return work == 0 ? main_ : rounds_.at(work).pool; }
  // The number on the line of record 0 of the lease's file.
  std::int64_t FileBase(const Lease& lease) const;
  FileSpec const& FileOf(std::int64_t work, std::int64_t file) const;
  void MakeLines();

  bool created_ = false;
  JobSpec spec_;
  Line line_, evaluation_line_;  // follow from spec_

  Pool main_;
  IntervalSet bad_, evaluation_bad_;  // quarantined records, as numbers of the first epoch
  std::vector<QuarantineEntry> quarantine_;
  std::map<std::int64_t, Round> rounds_;  // from 1
  std::set<std::int64_t> open_rounds_;    // due or open
  std::int64_t final_round_ = 0;          // 0: not due yet
  std::int64_t last_round_ms_ = 0;

  LeaseTable leases_;
  std::map<std::uint64_t, Worker> workers_;
  std::uint64_t next_token_ = 1;

  std::int64_t now_ms_ = 0;  // of the last event that changed anything
  std::int64_t step_ = 0;
  std::int64_t incarnation_ = 1;
  std::string failure_;  // empty: not failed
  std::string doom_;     // why the job fails when the event at hand is done with; else empty
};

}  // namespace headrace::ledger

#endif  // HEADRACE_LEDGER_LEDGER_H_
