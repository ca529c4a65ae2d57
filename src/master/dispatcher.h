// Answers the control plane's calls: one lock around the state, the journal, the decisions.
#ifndef HEADRACE_MASTER_DISPATCHER_H_
#define HEADRACE_MASTER_DISPATCHER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "headrace/control.pb.h"
#include "journal/journal.h"
#include "master/coordinator.h"
#include "master/durable_log.h"
#include "master/job.h"
#include "master/pace.h"
#include "master/rewinds.h"
#include "master/server_watch.h"
#include "master/state.h"

namespace headrace::master {

// Every call takes effect under one lock, in memory; what changed is appended to the journal, and
// the answer is given when that, and all that the answer may tell of others, is on disk.
//
// Ownership: owns the state and the journal. Watchers are shared with who gave them.
// Thread safety: every method may run concurrently; answers are given without the lock, on the
// caller's thread or the journal's, and must not block.
// Errors: those of headrace/control.proto; UNAVAILABLE once the journal has failed.
class Dispatcher {
 public:
  struct Options {
    std::function<std::int64_t()> now_ms;  // wall clock: it goes on while no master runs
    // The journal starts over from a snapshot when it has more events than this since the last, and
    // four times its bytes.
    std::uint64_t compact_events = 200'000;
    // What is known of the job's parameter servers; empty: there are none.
    std::function<std::vector<ServerLook>()> servers;
  };
  template <class Reply>
  using Done = std::function<void(const Status&, const Reply&)>;

  // Gets orders as they change. Send() may get an older version after a newer one.
  class Watcher {
   public:
    virtual ~Watcher() = default;
    virtual void Send(const v1::Orders& orders) = 0;
    // The last call: the worker has left (OK), or never was.
    virtual void End(const Status& status) = 0;
  };

  // Opens the journal, finds the job's state in it, and begins.
  static Status Open(const Job& job, const std::string& journal_path, const Options& options,
                     std::unique_ptr<Dispatcher>* dispatcher);
  // Waits for the journal; all answers were given then.
  ~Dispatcher();

  void Join(const v1::JoinRequest& request, Done<v1::JoinReply> done);
  void Exchange(const v1::ExchangeRequest& request, Done<v1::ExchangeReply> done);
  void Attach(const v1::AttachRequest& request, Done<v1::AttachReply> done);
  void Restored(const v1::RestoredRequest& request, Done<v1::RestoredReply> done);
  void Saved(const v1::SavedRequest& request, Done<v1::SavedReply> done);
  void Leave(const v1::LeaveRequest& request, Done<v1::LeaveReply> done);
  // A worker that is here and whose last watcher goes away without having been ended is gone,
  // unless it watches or says something again within kGoneMs: it has left then, as if it had said
  // so.
  static constexpr std::int64_t kGoneMs = 500;
  void Watch(std::uint64_t worker, std::shared_ptr<Watcher> watcher);
  void Unwatch(std::uint64_t worker, const Watcher* watcher);

  void GetStatus(Done<v1::JobStatus> done);
  void GetJob(Done<v1::Job> done);
  void GetLedger(bool totals_only, Done<v1::Ledger> done);
  void Checkpoint(Done<v1::CheckpointReply> done);
  void Stop(const v1::StopRequest& request, Done<v1::StopReply> done);

  // Time passes; to be called every 100 ms or so.
  void Tick();
  // No call is answered with OK any more; those that wait get UNAVAILABLE, watchers too.
  // `finished`: the master ends because the job has ended or was stopped: the next one goes on with
  // it.
  void Shutdown(bool finished);

  // What the program's own loop needs to know.
  struct Outlook {
    Status journal;  // of writing it
    JobState state = JobState::kRunning;
    ledger::Verdict verdict = ledger::Verdict::kRunning;
    std::string failure;
    bool delivered =
        false;          // the model is written, or there is none: left in order after all was done
    bool over = false;  // nobody is left, nothing is to be done
    std::int64_t present = 0;  // workers that were heard of lately
    std::string waits_for;     // of a hold
    std::int64_t waiting_ms = 0;
  };
  Outlook GetOutlook();
  std::int64_t leases();
  // Since the start: workers that were fenced off from a shared model, reports of leases that had
  // ended.
  struct Late {
    std::int64_t fenced = 0, reports = 0;
  };
  Late late();
  // How many watch for this worker.
  std::size_t watchers(std::uint64_t worker) const;
  journal::JournalFigures journal_figures() const { return log_->figures(); }

 private:
  class Turn;
  struct Push {
    std::shared_ptr<Watcher> watcher;
    v1::Orders orders;
  };
  // Of a worker that is here, and the last words of one that has gone.
  struct Words {
    v1::Telemetry telemetry;
    v1::Answer answer = v1::ANSWER_NONE;
  };
  struct Sample {
    std::int64_t at_ms, step, records;
  };

  Dispatcher(Job job, Options options);
  Status Load(const std::string& journal_path);

  // The following require the lock.
  Status Apply(const Entry& entry, ledger::Effects* effects);
  Status Apply(const Entry& entry);
  // Decides, until nothing more follows.
  void Settle();
  void CollectPushes(std::vector<Push>* pushes);
  void Compact();
  v1::Orders OrdersFor(std::uint64_t worker);

  Status DoJoin(const v1::JoinRequest& request, v1::JoinReply* reply);
  Status DoExchange(const v1::ExchangeRequest& request, v1::ExchangeReply* reply);
  void NoteTrained();
  void ApplyReports(const v1::ExchangeRequest& request, v1::ExchangeReply* reply);
  void ApplyRenewals(const v1::ExchangeRequest& request, v1::ExchangeReply* reply);
  Status ApplyRequest(const v1::ExchangeRequest& request, v1::ExchangeReply* reply);
  bool ShouldPass(std::uint64_t worker) const;
  void ApplyMetrics(const google::protobuf::RepeatedPtrField<v1::Metric>& metrics);
  Status DoAttach(const v1::AttachRequest& request, v1::AttachReply* reply);
  Status DecideAttach(const Worker& worker, const v1::AttachRequest& request,
                      v1::AttachReply* reply);
  Status DoRestored(const v1::RestoredRequest& request, v1::RestoredReply* reply);
  Status DoSaved(const v1::SavedRequest& request);
  Status DoLeave(const v1::LeaveRequest& request);
  // Workers whose connection broke and that have not come back.
  void RemoveGone();
  // Of a worker that did not say that it leaves: it is fenced off from a shared model.
  Status RemoveMaybeAlive(std::uint64_t worker, const std::string& reason);
  Status Remove(std::uint64_t worker, const std::string& reason, const std::string& model);
  Status Unknown(std::uint64_t worker) const;
  void FillStatus(v1::JobStatus* status) const;
  void FillWorker(const Worker& worker, v1::WorkerStatus* status) const;
  void FillServers(v1::JobStatus* status) const;
  void FillRates(v1::JobStatus* status) const;

  const Job job_;
  const Options options_;
  std::string journal_path_;

  mutable std::mutex mu_;  // guards the following, but not what log_ points to
  State state_;
  std::unique_ptr<Coordinator> coordinator_;
  std::int64_t now_ms_ = 0;                          // of the call that holds the lock
  std::int64_t seen_ms_ = 0;                         // when a worker was here last, or the start
  std::int64_t lost_ms_ = 0;                         // when the model was lost last, or the start
  std::map<std::uint64_t, Words> words_;             // by worker
  std::map<std::string, v1::Telemetry> last_words_;  // by name
  Late late_;
  std::string trouble_;  // as in JobStatus
  Pace pace_;
  Rewinds rewinds_;
  std::multimap<std::uint64_t, std::shared_ptr<Watcher>> watchers_;
  std::map<std::uint64_t, std::int64_t> unwatched_;  // workers whose last watcher went away: when
  std::set<std::uint64_t> changed_;                  // workers with other orders
  std::vector<Done<v1::CheckpointReply>> checkpoint_calls_;
  std::vector<std::function<void(const Status&)>> finished_calls_;
  std::deque<Sample> samples_;
  std::uint64_t entries_ = 0, entry_bytes_ = 0, snapshot_bytes_ = 0;  // since the last snapshot
  Status closed_;  // not OK: Shutdown() was called

  std::unique_ptr<DurableLog> log_;  // last: its callbacks end before the rest goes
};

}  // namespace headrace::master

#endif  // HEADRACE_MASTER_DISPATCHER_H_
