// The implementation of Client.
#ifndef HEADRACE_FEED_CONNECTED_CLIENT_H_
#define HEADRACE_FEED_CONNECTED_CLIENT_H_

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "feed/client.h"
#include "feed/line_socket.h"
#include "feed/message.h"
#include "feed/presence.h"
#include "feed/stream.h"
#include "feed/tasks.h"
#include "feed/waker.h"

namespace headrace::feed {

// Two threads: one receives, one reports. Locks: sending_ before mu_ before those of queues and
// accounts, whose listeners touch the waker only.
class ConnectedClient final : public Client {
 public:
  ConnectedClient(const Options& options, std::unique_ptr<LineSocket> socket,
                  const message::Welcome& welcome, std::shared_ptr<RangeQueue> stream_queue,
                  std::shared_ptr<Account> stream_account, std::shared_ptr<RangeQueue> tasks_queue,
                  std::shared_ptr<Account> tasks_account);
  ~ConnectedClient() override;

  const Welcome& welcome() const override { return welcome_; }
  Status Attach(std::int64_t generation, std::int64_t expected, Attached* attached) override;
  Status Restored(std::int64_t step, const std::string& position, const std::string& checkpoint,
                  std::int64_t generation) override;
  void Start() override;
  Status Applied(const std::int64_t* identities, std::size_t count, std::int64_t step) override;
  Status IteratorEnded(const std::string& op, bool* more) override;
  Status IteratorFailed(const Status& error) override;
  Status IteratorDropped() override;
  Status Next(Queue queue, std::uint64_t seen, Found* found, Task* task) override;
  Status TaskApplied(const std::int64_t* identities, std::size_t count) override;
  Status TaskDone(const Task& task, const std::string& op,
                  const std::vector<double>& metrics) override;
  Status TaskFailed(const Task& task, const Status& error) override;
  bool attention() const override {
    presence_->Touch("attention", Clock::now());
    return attention_.load(std::memory_order_relaxed);
  }
  Orders current_orders(std::uint64_t* version) override;
  bool draining() const override { return draining_.load(std::memory_order_relaxed); }
  bool discards() const override { return discards_.load(std::memory_order_relaxed); }
  bool deliver() const override { return deliver_.load(std::memory_order_relaxed); }
  Status Boundary(std::int64_t step, Orders* orders, std::uint64_t* version) override;
  Status Held(std::uint64_t hold) override;
  Status Saved(const SaveOrder& order, const Status& result, std::chrono::milliseconds pause,
               std::int64_t bytes) override;
  Status Metrics(const EvaluatedOrder& of, const std::map<std::string, double>& values) override;
  void Tell(const Telemetry& telemetry) override;
  Status Bye(const std::string& model, const Status& error) override;

 private:
  using Clock = Presence::Clock;
  struct Demand {
    std::int64_t to_ask = 0;  // leases
    std::int64_t asked = 0;   // and not given so far
  };

  void Receive();
  void Report();
  // Sends what is to be reported, then `last`, in this order.
  Status Say(const std::optional<ToAgent>& last);
  void CollectLocked(bool parting, std::vector<ToAgent>* messages);
  // Says so if the program has had elements for long and used none.
  void NoteUncommittedLocked(Clock::time_point now, Telemetry* telemetry);
  // Notes it where the step is not to blame for being out of the feed.
  void ExcuseStep();
  // Waits until `done` or the connection has failed.
  Status WaitLocked(std::unique_lock<std::mutex>* lock, const std::string& what,
                    const std::function<bool()>& done);
  // Calls on_live if there is news.
  Status TellLive();
  Status FenceOff(const std::vector<std::uint64_t>& workers);
  void Fail(const Status& status);
  void FailLocked(const Status& status);
  Status failure() const;
  void NoteAttentionLocked();
  Demand& DemandOf(message::QueueName queue) { return demand_[static_cast<std::size_t>(queue)]; }

  // From the agent; mu_ is held.
  void On(const message::Welcome&);
  void On(const message::Ready&);
  void On(const message::Look& look);
  void On(const message::Restore& restore);
  void On(const message::Fence&) {}  // Receive() has dealt with it
  void On(const message::Lease& lease);
  void On(const message::Flush& flush);
  void On(const message::Finish& finish);
  void On(const message::Revoked& revoked);
  void On(const message::Recall& recall);
  void On(const message::Orders& orders);
  void On(const message::Drain& drain);
  void On(const message::Fail& fail);
  void On(const message::Error& error);

  const Options options_;
  const std::unique_ptr<LineSocket> socket_;
  Welcome welcome_;  // constant after construction
  const std::shared_ptr<RangeQueue> stream_queue_, tasks_queue_;
  const std::shared_ptr<Account> stream_account_, tasks_account_;
  const std::shared_ptr<Waker> waker_ = std::make_shared<Waker>();
  const std::shared_ptr<Presence> presence_ = std::make_shared<Presence>(Clock::now());

  std::atomic<bool> attention_{false}, failed_{false}, draining_{false}, discards_{false};
  std::atomic<bool> deliver_{false};
  std::atomic<std::int64_t> step_{0};
  std::atomic<Clock::time_point> applied_{Clock::time_point()};  // when Applied() was called last

  std::mutex sending_;  // messages leave in the order in which they were made
  mutable std::mutex mu_;
  std::condition_variable cv_;
  Stream stream_;  // guarded by mu_, as is all below
  Tasks tasks_;
  Status failure_;
  bool started_ = false, ready_ = false, leaving_ = false;
  std::int64_t told_live_ = 0;        // to on_live; the reading thread's
  bool attaching_ = false;            // Attach() was called
  std::int64_t generation_ = 0;       // that it found
  std::optional<Attached> attached_;  // the answer to the last one
  std::array<Demand, 2> demand_;
  std::vector<message::Report> reports_;  // of tasks
  Orders orders_;
  std::uint64_t version_ = 0, seen_ = 0;
  std::uint64_t boundary_ = 0, answered_boundary_ = 0;
  std::int64_t told_step_ = 0;
  std::optional<Telemetry> telemetry_;  // not sent so far
  Clock::time_point telemetry_sent_{};
  Clock::time_point handed_out_{};  // the first element since applied_
  std::string waits_for_;
  Clock::time_point waits_since_{};

  std::thread receiver_, reporter_;
};

}  // namespace headrace::feed

#endif  // HEADRACE_FEED_CONNECTED_CLIENT_H_
