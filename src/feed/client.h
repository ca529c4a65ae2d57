// The training process's side of the feed (docs/feed-protocol.md): turns leases into record ranges
// that datasets read, and what became of the records into reports.
#ifndef HEADRACE_FEED_CLIENT_H_
#define HEADRACE_FEED_CLIENT_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "feed/message.h"

namespace headrace::feed {

// What the agent says first.
struct Welcome {
  std::string worker;  // its name
  std::uint64_t number = 0;
  ModelKind model = ModelKind::kNone;
  std::string job;  // JSON: the job's section for this process
};

// A lease that is worked on by itself: of evaluation, of prediction.
struct Task {
  std::uint64_t token = 0;
  std::string kind;  // "evaluate", "predict"
  std::string path;
  std::int64_t file = 0;
  std::vector<std::pair<std::int64_t, std::int64_t>> ranges;  // [begin, end) each
  std::int64_t epoch = 0;
  std::int64_t round = 0;
  std::int64_t model_version = 0;
};

struct SaveOrder {
  std::uint64_t hold = 0;
  std::string directory;  // to be made; appears under this name only when it is complete
  std::string position;   // bytes, to be stored with the model
  std::int64_t step = 0;
};

struct EvaluatedOrder {
  std::int64_t round = 0;
  std::int64_t step = 0;
  std::vector<double> sums;
};

struct Orders {
  std::uint64_t hold = 0;  // not 0: stand still
  std::string reason;
  std::optional<SaveOrder> save;
  std::optional<EvaluatedOrder> evaluated;
  std::int64_t live = 0;  // workers of the job that were heard of lately
};

// What to do about a model on parameter servers: Client::Attach().
struct Attached {
  enum class What {
    kReady,    // use the model of `generation` as it stands
    kLook,     // the job's model is of `generation`: look again, then attach expecting that
    kRestore,  // write the model to the servers under `generation`, then say Restored()
  };
  What what = What::kReady;
  std::int64_t generation = 0;
};

struct Telemetry {
  std::int64_t steps = 0, records = 0;
  double loss = 0;
  std::map<std::string, std::pair<double, double>> times;  // seconds busy, seconds waited
  std::string waits_for;
  std::chrono::milliseconds waiting{0};
  std::int64_t handed_out = 0;  // by iterators, to a program that says which of them it has used
};

// One connection to the agent, with a thread that reads from it and one that reports.
//
// Training records stream: while it runs, leases become ranges of RangeQueues' `stream`, whose
// reader opens their records in Accounts' `stream`, and Applied() settles them. Tasks come one at a
// time: the ranges of a task go to RangeQueues' `tasks`, followed by a flush, when Next() gives it,
// and are accounted for in Accounts' `tasks`. An identity (feed::Identity) is a slot of this client
// and the record's position in its file; a slot is one lease's, once, so that what an earlier lease
// of a record left behind is never taken for a later one's.
//
// The agent is told for how long the training thread has been out of the feed: it has made no call,
// nobody reads its queues, and Options::step_waits says nothing else. An agent may end a process
// that is out for too long while others wait for what it holds.
//
// Thread safety: every method may run concurrently, Start() and Connect() come first. Applied()
// and attention() take no I/O and wait for none.
// Errors: whatever ends the connection is given by every later call: UNAVAILABLE the agent is gone,
// ABORTED leases were revoked under a local model, INTERNAL the agent does not keep to the
// protocol, else what on_fence gave. The queues fail with the same.
class Client {
 public:
  struct Options {
    std::string socket;
    std::string program;           // for people
    std::string stream = "train";  // name of the queue of ranges and of the account
    std::string tasks = "tasks";   // the same, for tasks
    int prefetch = 2;              // leases in hand whose reading has not begun
    std::chrono::milliseconds connect_timeout{10000};
    std::chrono::milliseconds report_every{200};  // and at once when a lease is finished
    // Without a call of Applied(), while elements that were handed out (Telemetry::handed_out) are
    // not used: then the agent is told that this process waits for that.
    std::chrono::milliseconds commit_notice{10000};
    // Shared models need it. These workers may be alive, and late: nothing of theirs may reach the
    // model once this has returned. Called on the reading thread, which takes up nothing else
    // meanwhile: so no lease of their records is there before. Never before Attach() was called,
    // never twice for a worker; it must not call the client, and must come to an end by itself: the
    // destructor waits for it. An error ends the connection.
    std::function<Status(const std::vector<std::uint64_t>& workers)> on_fence;
    // So many workers of the job are alive now (Orders::live): for who waits for other workers. As
    // on_fence in all else; not needed.
    std::function<Status(std::int64_t workers)> on_live;
    // A lease of the main queue has come, and nothing of it can have been read. Called on the
    // reading thread, with locks held: must not call the client. Of tests; not needed.
    std::function<void()> on_lease;
    // Whether the step at hand waits for something that has a deadline of its own: such a wait is
    // not counted as absence from the feed. Called on the reporting thread; must not call the
    // client, or wait. Not needed.
    std::function<bool()> step_waits;
  };
  enum class Queue { kMain, kEvaluation };
  enum class Found { kTask, kOrders, kDone };

  // Opens the queues and the accounts, says hello and waits for the welcome.
  static Status Connect(const Options& options, std::unique_ptr<Client>* client);
  // Closes the connection (unfinished leases go back) and the queues and accounts.
  virtual ~Client() = default;

  virtual const Welcome& welcome() const = 0;
  // kShared only, first of all: the parameter servers hold `generation` (0: none, or they
  // disagree); `expected`: what the answer kLook said, else 0. Waits until the master has decided,
  // also for another worker that restores. CANCELLED when this process is to leave instead.
  virtual Status Attach(std::int64_t generation, std::int64_t expected, Attached* attached) = 0;
  // The model stands here; waits until the master knows. Needed before Start(), unless the model is
  // kNone, or Attach() said kReady. position: bytes that came with the checkpoint's SaveOrder;
  // empty: the beginning. generation: what Attach() said with kRestore; 0 if the model is kLocal.
  virtual Status Restored(std::int64_t step, const std::string& position,
                          const std::string& checkpoint, std::int64_t generation = 0) = 0;

  // --- streamed training -----------------------------------------------------------------------

  // Leases of the main queue may come from now on.
  virtual void Start() = 0;
  // The step that used these elements was applied; `step` is the model's counter after it.
  virtual Status Applied(const std::int64_t* identities, std::size_t count, std::int64_t step) = 0;
  // The iterator came to its end, and is gone. What it read and never gave away counts as dropped
  // by `op`. *more: make another one. Waits for nothing.
  virtual Status IteratorEnded(const std::string& op, bool* more) = 0;
  // The iterator failed at some record, and is gone. What it read and did not give away is read
  // again, one lease at a time (the iterator ends in between); a lease that fails alone is handed
  // back with the error; at once, with the record and its own error, one whose record the
  // account says could not be read. Make another iterator.
  virtual Status IteratorFailed(const Status& error) = 0;
  // While discards(): the iterator is gone before its end. What it read and no step used is handed
  // back.
  virtual Status IteratorDropped() = 0;

  // --- tasks -----------------------------------------------------------------------------------

  // Waits for a task of `queue`, for orders other than `seen` (a version), or for the end of the
  // queue. Asks for tasks only while it waits, and for one more when `prefetch` is above 1.
  virtual Status Next(Queue queue, std::uint64_t seen, Found* found, Task* task) = 0;
  // The task's iterator came to its end and every element was passed to TaskApplied().
  virtual Status TaskApplied(const std::int64_t* identities, std::size_t count) = 0;
  virtual Status TaskDone(const Task& task, const std::string& op,
                          const std::vector<double>& metrics) = 0;
  virtual Status TaskFailed(const Task& task, const Status& error) = 0;
  // The record of its file that an identity of the current task stands for.
  static std::int64_t RecordOf(std::int64_t identity);

  // --- orders ----------------------------------------------------------------------------------

  // True as long as there are orders that current_orders() has not given, a drain, or a failure:
  // one atomic read, to be asked between steps.
  virtual bool attention() const = 0;
  virtual Orders current_orders(std::uint64_t* version) = 0;
  // The agent wants this process to end: finish what was read, then leave.
  virtual bool draining() const = 0;
  // And at once: the model that more steps would change is saved, or not wanted. Comes before the
  // end of the hold in which it was saved.
  virtual bool discards() const = 0;
  // Once the queues have come to their end: this process writes the final model. Until then false.
  virtual bool deliver() const = 0;
  // Stands still at `step`, with everything reported, until the master has decided what is due.
  virtual Status Boundary(std::int64_t step, Orders* orders, std::uint64_t* version) = 0;
  // Stands still for `hold`, with everything reported; 0: goes on.
  virtual Status Held(std::uint64_t hold) = 0;
  virtual Status Saved(const SaveOrder& order, const Status& result,
                       std::chrono::milliseconds pause, std::int64_t bytes) = 0;
  virtual Status Metrics(const EvaluatedOrder& of, const std::map<std::string, double>& values) = 0;
  virtual void Tell(const Telemetry& telemetry) = 0;
  // The last word, sent before the connection closes. `model`: path of what was written, or empty.
  virtual Status Bye(const std::string& model, const Status& error) = 0;
};

}  // namespace headrace::feed

#endif  // HEADRACE_FEED_CLIENT_H_
