// A session whose process and whose master a test speaks for.
#ifndef HEADRACE_WORKER_SESSION_TESTING_H_
#define HEADRACE_WORKER_SESSION_TESTING_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "worker/session.h"

namespace headrace::worker::testing {

namespace message = feed::message;
using message::QueueName;

class SessionTest : public ::testing::Test {
 protected:
  void Begin(v1::ModelKind model = v1::MODEL_KIND_NONE) {
    v1::JoinReply joined;
    joined.set_worker(7);
    joined.set_incarnation(3);
    joined.set_lease_ms(3000);
    joined.set_heartbeat_ms(2000);
    joined.set_model(model);
    joined.set_job(R"({"x":1})");
    *joined.mutable_orders() = Orders();
    session_.emplace(joined, "worker-0", now_);
    Messages();
  }
  v1::Orders Orders() {
    v1::Orders orders;
    orders.set_version(++version_);
    orders.set_incarnation(3);
    orders.set_state(v1::JOB_STATE_RUNNING);
    return orders;
  }
  void Say(const feed::ToAgent& said) {
    const Status status = session_->OnClient(said, now_);
    EXPECT_TRUE(status.ok()) << status.ToString();
  }
  // What the process is told, as lines.
  std::vector<std::string> Messages() {
    std::vector<std::string> lines;
    for (const feed::ToClient& told : session_->TakeMessages()) lines.push_back(feed::Encode(told));
    return lines;
  }
  template <class M>
  std::vector<M> Told() {
    std::vector<M> found;
    for (const feed::ToClient& told : session_->TakeMessages()) {
      if (const auto* one = std::get_if<M>(&told)) found.push_back(*one);
    }
    return found;
  }
  // The call that is due; fails the test if it is of another kind.
  template <class Request>
  Request Due() {
    const std::optional<Call> call = session_->NextCall(now_, &look_again_);
    if (!call.has_value() || !std::holds_alternative<Request>(*call)) {
      ADD_FAILURE() << "another call is due: " << (call.has_value() ? int(call->index()) : -1);
      return {};
    }
    return std::get<Request>(*call);
  }
  bool NothingDue() { return !session_->NextCall(now_, &look_again_).has_value(); }
  void Answer(const Call& call, const Reply& reply) {
    session_->OnAnswer(call, Status(), reply, now_);
  }
  v1::Grant Grant(std::uint64_t token, std::int64_t begin, std::int64_t end,
                  std::int64_t round = 0) {
    v1::Grant grant;
    grant.set_token(token);
    grant.set_type(round == 0 ? v1::TASK_TYPE_TRAIN : v1::TASK_TYPE_EVALUATE);
    grant.set_round(round);
    grant.set_path("file");
    v1::Range* range = grant.add_ranges();
    range->set_begin(begin);
    range->set_end(end);
    return grant;
  }
  // Wants and gets a lease.
  void Lease(std::uint64_t token, std::int64_t round = 0) {
    Say(message::Want{round == 0 ? QueueName::kMain : QueueName::kEvaluation, 1});
    const auto request = Due<v1::ExchangeRequest>();
    EXPECT_EQ(request.max_tasks(), 1);
    v1::ExchangeReply reply;
    *reply.add_grants() = Grant(token, 0, 100, round);
    reply.set_answer(v1::ANSWER_LEASES);
    Answer(request, reply);
    ASSERT_EQ(Told<message::Lease>().size(), 1u);
  }
  static message::Settled Finished(std::uint64_t token, std::vector<double> metrics = {}) {
    message::Report report;
    report.token = token;
    report.trained = {{0, 100}};
    report.end = message::End::kFinished;
    report.metrics = std::move(metrics);
    return {{report}, 5};
  }

  std::int64_t now_ = 1000, look_again_ = 0;
  std::uint64_t version_ = 0;
  std::optional<Session> session_;
};

}  // namespace headrace::worker::testing

#endif  // HEADRACE_WORKER_SESSION_TESTING_H_
