// One training process as the master knows it: what it says becomes calls, what the master answers
// becomes messages.
#ifndef HEADRACE_WORKER_SESSION_H_
#define HEADRACE_WORKER_SESSION_H_

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/status.h"
#include "feed/message.h"
#include "headrace/control.pb.h"

namespace headrace::worker {

// A call that is due, and its answer. A call that got none is made again with the same arguments.
using Call = std::variant<v1::AttachRequest, v1::RestoredRequest, v1::SavedRequest,
                          v1::ExchangeRequest, v1::LeaveRequest>;
using Reply = std::variant<v1::AttachReply, v1::RestoredReply, v1::SavedReply, v1::ExchangeReply,
                           v1::LeaveReply>;

// Pure: knows neither sockets nor clocks nor threads. One call is out at a time.
//
// Ownership: owns all of its state.
// Thread safety: none; the caller holds one lock around it.
// Ordering: what the process said before goes out before what it says later.
// Units: milliseconds of any one clock.
class Session {
 public:
  // Why the process must be ended and another one started.
  enum class End {
    kNone,
    kRewound,  // its model is of the past
    kFenced,   // what it still does to a shared model is refused: it was silent for too long
    kUnknown,  // the master no longer knows it, or does not understand it
  };

  Session(const v1::JoinReply& joined, std::string name, std::int64_t now_ms);

  // --- the training process ----------------------------------------------------------------------

  feed::message::Welcome welcome() const;
  // It is connected.
  void OnHello(std::int64_t now_ms) { heard_ms_ = now_ms; }
  // An error: it does not keep to the protocol.
  Status OnClient(const feed::ToAgent& message, std::int64_t now_ms);
  // Its connection is closed, or never was. `reason`: why it ended, unless it said so itself.
  void OnGone(const std::string& reason);
  // It is to hand back what is unread and leave. discard: and what it read too, at once.
  void Drain(const std::string& reason, bool discard = false);
  std::vector<feed::ToClient> TakeMessages();
  // Why the process must be killed: it is out of the feed for `limit_ms` and more, while others
  // wait for what it holds. Empty: it need not be. Waits for the agent or the master count as being
  // in it.
  std::string Overdue(std::int64_t now_ms, std::int64_t limit_ms) const;

  bool said_bye() const { return bye_.has_value(); }
  // What its last word says of an error; empty: none.
  const std::string& bye_error() const { return bye_->error; }
  // A program of one's own that was handed records, and has committed none so far.
  bool uncommitted() const { return telemetry_.handed_out() > 0 && telemetry_.records() == 0; }
  // It got something done: records, a checkpoint.
  bool progress() const { return progress_; }
  // It holds a lease that is alone since it failed, or was lost, before.
  bool holds_isolated() const;
  // It was told that the job is done: what is left is to write the model, if it is to.
  bool finished() const { return finished_; }

  // --- the master --------------------------------------------------------------------------------

  // The next call, if one is due; else *look_again_ms: when one may be. Requires: the one before
  // was answered.
  std::optional<Call> NextCall(std::int64_t now_ms, std::int64_t* look_again_ms);
  void OnAnswer(const Call& call, const Status& status, const Reply& reply, std::int64_t now_ms);
  void OnOrders(const v1::Orders& orders);
  // The master knows that the process is gone; no call is due any more.
  bool left() const { return left_; }

  End end() const { return end_; }
  const std::string& end_reason() const { return end_reason_; }
  v1::JobState job_state() const { return orders_.state(); }
  const std::string& job_reason() const { return orders_.reason(); }
  std::size_t leases() const { return leases_.size(); }
  std::uint64_t number() const { return number_; }

 private:
  using QueueName = feed::message::QueueName;
  struct Held {
    v1::TaskType type = v1::TASK_TYPE_TRAIN;
    bool recalled = false;
    bool isolated = false;
    bool ended = false;   // by a report that is not answered yet
    bool scored = false;  // that report has metrics
  };

  Status On(const feed::message::Hello&);
  Status On(const feed::message::Attach& attach);
  Status On(const feed::message::Restored& restored);
  Status On(const feed::message::Want& want);
  Status On(const feed::message::Settled& settled);
  Status On(const feed::message::Telemetry& telemetry);
  Status On(const feed::message::Boundary& boundary);
  Status On(const feed::message::Held& held);
  Status On(const feed::message::Saved& saved);
  Status On(const feed::message::Metrics& metrics);
  Status On(const feed::message::Bye& bye);
  Status On(const feed::message::Error& error);

  // What it says by leaving in order where it should not; empty: nothing.
  std::string EarlyEnd() const;
  bool MayAsk() const;
  v1::ExchangeRequest MakeExchange(std::int64_t now_ms);
  void OnAttached(const v1::AttachReply& reply, std::int64_t now_ms);
  void OnRestored(const Status& status, const v1::RestoredReply& reply);
  void Begin(std::int64_t incarnation, const v1::Orders& orders);
  void OnExchange(const v1::ExchangeRequest& request, const v1::ExchangeReply& reply,
                  std::int64_t now_ms);
  void OnRefused(const v1::ReportRefused& refused);
  void Take(const v1::Grant& grant);
  void Revoke(std::uint64_t token, const std::string& reason);
  void CheckIncarnation();
  // Workers that it does not know to be fenced off. Before the leases of the same answer.
  void TellFenced(const v1::Orders& orders);
  // Tells the process of its orders: if they changed for it, or as the answer to a boundary.
  void TellOrders(std::uint64_t boundary);
  void EndWith(End end, const std::string& reason);
  void Say(feed::ToClient message) { messages_.push_back(std::move(message)); }
  std::int64_t& WantOf(QueueName queue) { return wants_[static_cast<std::size_t>(queue)]; }

  const std::string name_;
  const std::uint64_t number_;
  const std::int64_t renew_ms_, heartbeat_ms_;
  const v1::ModelKind model_;
  const std::string job_;

  std::int64_t incarnation_;
  bool ready_;  // leases may be asked for
  v1::Orders orders_;
  std::string told_;  // of the orders, as the process knows them
  std::set<std::uint64_t> told_fenced_;
  std::vector<feed::ToClient> messages_;

  std::map<std::uint64_t, Held> leases_;  // by token
  std::array<std::int64_t, 2> wants_{};
  std::uint64_t next_request_ = 1;
  std::int64_t ask_after_ms_ = 0;
  bool flushed_ = false;  // since the last lease of the main queue

  // To be told.
  std::vector<v1::Report> reports_;
  std::vector<v1::Metric> metrics_;
  std::optional<v1::AttachRequest> attach_;
  std::int64_t attach_after_ms_ = 0;
  std::optional<v1::RestoredRequest> restored_;
  std::deque<v1::SavedRequest> saved_;
  std::int64_t step_ = 0;
  std::uint64_t held_ = 0;
  bool held_news_ = false;
  std::uint64_t boundary_ = 0;  // 0: none waits
  bool boundary_asked_ = false;
  v1::Telemetry telemetry_;
  bool has_telemetry_ = false, telemetry_news_ = false;
  std::int64_t heard_ms_;     // when it last said anything
  std::int64_t away_ms_ = 0;  // for how long it had been out of the feed then
  std::string last_call_ = "hello";
  bool restoring_;  // the job waits for this process to have the model

  std::int64_t exchanged_ms_, renewed_ms_;
  bool draining_ = false, discards_ = false, finished_ = false, failed_ = false, progress_ = false;
  std::optional<feed::message::Bye> bye_;
  bool gone_ = false, left_ = false;
  std::string gone_reason_;
  End end_ = End::kNone;
  std::string end_reason_;
};

}  // namespace headrace::worker

#endif  // HEADRACE_WORKER_SESSION_H_
