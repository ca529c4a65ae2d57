#include <gtest/gtest.h>

#include <cmath>

#include "worker/session_testing.h"

namespace headrace::worker {
namespace {

namespace message = feed::message;
using message::QueueName;
using testing::SessionTest;

TEST_F(SessionTest, AsksForWhatIsWanted) {
  Begin();
  EXPECT_EQ(session_->welcome().job, R"({"x":1})");
  EXPECT_TRUE(NothingDue());
  EXPECT_EQ(look_again_, 1000 + 1500) << "within the heartbeat";
  Say(message::Want{QueueName::kMain, 2});
  auto request = Due<v1::ExchangeRequest>();
  EXPECT_EQ(request.max_tasks(), 2);
  EXPECT_TRUE(request.main());
  EXPECT_FALSE(request.evaluation());
  EXPECT_EQ(request.incarnation(), 3);
  v1::ExchangeReply reply;
  reply.set_answer(v1::ANSWER_LEASES);
  *reply.add_grants() = Grant(5, 10, 20);
  Answer(request, reply);
  const auto leases = Told<message::Lease>();
  ASSERT_EQ(leases.size(), 1u);
  EXPECT_EQ(leases[0].token, 5u);
  EXPECT_EQ(leases[0].ranges, (ledger::Ranges{{10, 20}}));
  const auto again = Due<v1::ExchangeRequest>();
  EXPECT_EQ(again.max_tasks(), 1);
  EXPECT_GT(again.request(), request.request());
}

TEST_F(SessionTest, OneFlushUntilThereIsMore) {
  Begin();
  Lease(5);
  Say(message::Want{QueueName::kMain, 1});
  v1::ExchangeReply reply;
  reply.set_answer(v1::ANSWER_FLUSH);
  reply.set_retry_ms(100);
  Answer(Due<v1::ExchangeRequest>(), reply);
  EXPECT_EQ(Told<message::Flush>().size(), 1u);
  EXPECT_TRUE(NothingDue());
  EXPECT_EQ(look_again_, now_ + 100);
  now_ += 100;
  Answer(Due<v1::ExchangeRequest>(), reply);
  EXPECT_EQ(Told<message::Flush>().size(), 0u) << "said before";
  now_ += 100;
  *reply.add_grants() = Grant(6, 0, 10);
  reply.set_answer(v1::ANSWER_LEASES);
  Answer(Due<v1::ExchangeRequest>(), reply);
  Say(message::Want{QueueName::kMain, 1});
  reply.clear_grants();
  reply.set_answer(v1::ANSWER_FLUSH);
  Answer(Due<v1::ExchangeRequest>(), reply);
  EXPECT_EQ(Told<message::Flush>().size(), 1u);
}

TEST_F(SessionTest, KeepsItsLeases) {
  Begin();
  Lease(5);
  Lease(6);
  Say(Finished(6));
  now_ += 1000;
  auto request = Due<v1::ExchangeRequest>();
  ASSERT_EQ(request.renew_size(), 1) << "the other one ends with this call";
  EXPECT_EQ(request.renew(0), 5u);
  EXPECT_EQ(request.reports_size(), 1);
  EXPECT_EQ(request.step(), 5);
  Answer(request, v1::ExchangeReply());
  EXPECT_TRUE(session_->progress());
  EXPECT_EQ(session_->leases(), 1u);
  now_ += 999;
  EXPECT_TRUE(NothingDue());
  now_ += 1;
  request = Due<v1::ExchangeRequest>();
  v1::ExchangeReply reply;
  reply.add_ended(5);
  Answer(request, reply);
  EXPECT_EQ(Told<message::Revoked>().at(0).token, 5u);
  EXPECT_EQ(session_->leases(), 0u);
  Say(Finished(5));
  EXPECT_TRUE(NothingDue()) << "what comes late of a revoked lease goes nowhere";
}

TEST_F(SessionTest, KnowsWhetherItHoldsOneThatIsAlone) {
  Begin();
  Lease(5);
  EXPECT_FALSE(session_->holds_isolated());
  Say(message::Want{QueueName::kMain, 1});
  v1::ExchangeReply reply;
  v1::Grant* grant = reply.add_grants();
  grant->set_token(6);
  grant->set_isolate(true);
  grant->set_path("a.rec");
  grant->set_type(v1::TASK_TYPE_TRAIN);
  grant->add_ranges()->set_end(3);
  Answer(Due<v1::ExchangeRequest>(), reply);
  EXPECT_TRUE(session_->holds_isolated());
  Say(Finished(6));
  EXPECT_FALSE(session_->holds_isolated());
}

TEST_F(SessionTest, ARefusedReportEndsTheLease) {
  Begin();
  const auto refuse = [&](std::uint64_t token, Code code) {
    const auto request = Due<v1::ExchangeRequest>();
    v1::ExchangeReply reply;
    v1::ReportRefused* refused = reply.add_refused();
    refused->set_token(token);
    refused->set_code(static_cast<int>(code));
    refused->set_message("why");
    Answer(request, reply);
    EXPECT_EQ(Told<message::Revoked>().size(), 1u);
    EXPECT_FALSE(session_->progress());
  };
  Lease(5);
  Say(Finished(5));
  refuse(5, Code::kAborted);
  EXPECT_TRUE(NothingDue());
  // The lease stands, but its result cannot be accepted: it is given back.
  Lease(6);
  Say(Finished(6, {1.5}));
  refuse(6, Code::kAborted);
  auto request = Due<v1::ExchangeRequest>();
  ASSERT_EQ(request.reports_size(), 1);
  EXPECT_EQ(request.reports(0).end(), v1::LEASE_END_RELEASED);
  Answer(request, v1::ExchangeReply());
  // A report that makes no sense.
  Lease(7);
  Say(Finished(7));
  refuse(7, Code::kFailedPrecondition);
  request = Due<v1::ExchangeRequest>();
  EXPECT_EQ(request.reports(0).end(), v1::LEASE_END_FAILED);
  EXPECT_EQ(request.reports(0).culprit(), -1);
}

TEST_F(SessionTest, RestoresBeforeItAsks) {
  Begin(v1::MODEL_KIND_SHARED);
  Say(message::Want{QueueName::kMain, 1});
  EXPECT_TRUE(NothingDue());
  Say(message::Restored{12, "position", "dir"});
  const auto restored = Due<v1::RestoredRequest>();
  EXPECT_EQ(restored.position(), "position");
  // The orders of the new incarnation are faster than the answer.
  v1::Orders orders = Orders();
  orders.set_incarnation(4);
  session_->OnOrders(orders);
  EXPECT_EQ(session_->end(), Session::End::kNone);
  v1::RestoredReply reply;
  reply.set_incarnation(4);
  *reply.mutable_orders() = orders;
  Answer(restored, reply);
  EXPECT_EQ(Told<message::Ready>().at(0).incarnation, 4);
  EXPECT_EQ(session_->end(), Session::End::kNone);
  EXPECT_EQ(Due<v1::ExchangeRequest>().incarnation(), 4);
  orders.set_version(++version_);
  orders.set_incarnation(5);
  session_->OnOrders(orders);
  EXPECT_EQ(session_->end(), Session::End::kRewound);
}

TEST_F(SessionTest, ARestoreThatIsRefused) {
  Begin(v1::MODEL_KIND_LOCAL);
  Say(message::Restored{12, "position", "dir"});
  const auto restored = Due<v1::RestoredRequest>();
  session_->OnAnswer(restored, Status(Code::kInvalidArgument, "of other files"),
                     v1::RestoredReply(), now_);
  EXPECT_NE(Told<message::Error>().at(0).message.find("of other files"), std::string::npos);
}

TEST_F(SessionTest, ABoundaryIsAnsweredByTheMaster) {
  Begin();
  Say(message::Boundary{4, 100});
  const auto request = Due<v1::ExchangeRequest>();
  EXPECT_TRUE(request.at_boundary());
  EXPECT_EQ(request.step(), 100);
  EXPECT_TRUE(NothingDue()) << "asked once";
  v1::ExchangeReply reply;
  *reply.mutable_orders() = Orders();
  reply.mutable_orders()->set_hold(9);
  reply.mutable_orders()->set_hold_reason("checkpoint");
  Answer(request, reply);
  const auto orders = Told<message::Orders>();
  ASSERT_FALSE(orders.empty());
  EXPECT_EQ(orders.back().boundary, 4u);
  EXPECT_EQ(orders.back().hold, 9u);
  now_ += 1500;
  EXPECT_FALSE(Due<v1::ExchangeRequest>().at_boundary());
}

// Said while a call was out that knew nothing of it.
TEST_F(SessionTest, ABoundaryWaitsForItsOwnAnswer) {
  Begin();
  Say(message::Want{QueueName::kMain, 1});
  const auto request = Due<v1::ExchangeRequest>();
  Say(message::Boundary{4, 100});
  v1::ExchangeReply reply;
  *reply.mutable_orders() = Orders();
  Answer(request, reply);
  EXPECT_TRUE(Told<message::Orders>().empty());
  EXPECT_TRUE(Due<v1::ExchangeRequest>().at_boundary());
}

TEST_F(SessionTest, StandsStill) {
  Begin(v1::MODEL_KIND_NONE);
  Say(message::Want{QueueName::kMain, 1});
  Say(message::Want{QueueName::kEvaluation, 2});
  v1::Orders orders = Orders();
  orders.set_hold(9);
  orders.mutable_save()->set_directory("dir");
  session_->OnOrders(orders);
  const auto told = Told<message::Orders>();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].save->directory, "dir");
  Say(message::Held{9});
  const auto request = Due<v1::ExchangeRequest>();
  EXPECT_EQ(request.held(), 9u);
  EXPECT_TRUE(request.evaluation());
  EXPECT_FALSE(request.main());
  EXPECT_EQ(request.max_tasks(), 2);
  v1::ExchangeReply reply;
  *reply.add_grants() = Grant(5, 0, 10, 2);
  Answer(request, reply);
  EXPECT_EQ(Told<message::Lease>().at(0).queue, QueueName::kEvaluation);
  Say(message::Saved{9, "dir", "", 4, 5});
  Say(Finished(5, {2.5}));
  Answer(Due<v1::ExchangeRequest>(), v1::ExchangeReply());
  const auto saved = Due<v1::SavedRequest>();
  EXPECT_EQ(saved.directory(), "dir");
  Answer(saved, v1::SavedReply());
  session_->OnOrders(Orders());
  EXPECT_EQ(Told<message::Orders>().at(0).hold, 0u);
  EXPECT_TRUE(Due<v1::ExchangeRequest>().main());
}

TEST_F(SessionTest, OrdersOfThePastAreIgnored) {
  Begin();
  const v1::Orders old = Orders();
  v1::Orders orders = Orders();
  orders.set_hold(9);
  session_->OnOrders(orders);
  session_->OnOrders(old);
  EXPECT_EQ(Told<message::Orders>().size(), 1u);
}

TEST_F(SessionTest, RecallsOnce) {
  Begin();
  Lease(5);
  v1::Orders orders = Orders();
  orders.add_recalled(5);
  orders.add_recalled(77);
  session_->OnOrders(orders);
  orders.set_version(++version_);
  session_->OnOrders(orders);
  EXPECT_EQ(Told<message::Recall>().size(), 1u);
}

TEST_F(SessionTest, HowAJobEnds) {
  for (const auto state : {v1::JOB_STATE_DONE, v1::JOB_STATE_FAILED, v1::JOB_STATE_STOPPING}) {
    Begin();
    Say(message::Want{QueueName::kMain, 1});
    v1::Orders orders = Orders();
    orders.set_state(state);
    orders.set_reason("why");
    session_->OnOrders(orders);
    orders.set_version(++version_);
    session_->OnOrders(orders);
    const std::vector<std::string> lines = Messages();
    ASSERT_EQ(lines.size(), state == v1::JOB_STATE_DONE ? 2u : 1u);
    const char* type = state == v1::JOB_STATE_DONE     ? "\"finish\""
                       : state == v1::JOB_STATE_FAILED ? "\"fail\""
                                                       : "\"drain\"";
    EXPECT_NE(lines[0].find(type), std::string::npos) << lines[0];
    EXPECT_TRUE(NothingDue()) << "nothing is asked for any more";
    EXPECT_EQ(session_->job_state(), state);
  }
}

TEST_F(SessionTest, WhatIsSavedIsNotTrainedOn) {
  Begin(v1::MODEL_KIND_SHARED);
  v1::Orders orders = Orders();
  orders.set_hold(9);
  session_->OnOrders(orders);
  Messages();
  session_->Drain("SIGTERM");
  EXPECT_FALSE(Told<message::Drain>().at(0).discard) << "a worker that leaves uses what it read";
  orders.set_version(++version_);
  orders.set_hold(0);
  orders.set_state(v1::JOB_STATE_STOPPING);
  session_->OnOrders(orders);
  const std::vector<std::string> lines = Messages();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_NE(lines[0].find("\"drain\""), std::string::npos) << "before it may go on: " << lines[0];
  EXPECT_NE(lines[0].find("\"discard\":true"), std::string::npos) << lines[0];
  EXPECT_NE(lines[1].find("\"orders\""), std::string::npos) << lines[1];
}

TEST_F(SessionTest, ADrainEndsTheAskingAndTheWaiting) {
  Begin();
  Say(message::Want{QueueName::kMain, 1});
  Say(message::Boundary{4, 100});
  session_->Drain("SIGTERM");
  EXPECT_EQ(Messages().size(), 2u) << "drain, and the answer to the boundary";
  Say(message::Boundary{5, 101});
  EXPECT_EQ(Told<message::Orders>().at(0).boundary, 5u);
  EXPECT_TRUE(NothingDue());
}

TEST_F(SessionTest, LastWordsBeforeItLeaves) {
  Begin();
  Lease(5);
  Say(Finished(5));
  message::Telemetry telemetry;
  telemetry.steps = 12;
  telemetry.loss = NAN;
  Say(telemetry);
  Say(message::Metrics{2, 30, {}});
  v1::Orders orders = Orders();
  orders.set_state(v1::JOB_STATE_DONE);
  session_->OnOrders(orders);
  Say(message::Bye{"model", ""});
  EXPECT_EQ(session_->OnClient(message::Held{1}, now_).code(), Code::kInvalidArgument);
  session_->OnGone("exit code 0");
  const auto request = Due<v1::ExchangeRequest>();
  EXPECT_EQ(request.reports_size(), 1);
  ASSERT_EQ(request.metrics_size(), 1);
  EXPECT_EQ(request.metrics(0).name(), "") << "answers the order all the same";
  Answer(request, v1::ExchangeReply());
  const auto leave = Due<v1::LeaveRequest>();
  EXPECT_EQ(leave.reason(), "");
  EXPECT_EQ(leave.model(), "model");
  EXPECT_EQ(leave.telemetry().steps(), 12);
  Answer(leave, v1::LeaveReply());
  EXPECT_TRUE(session_->left());
  EXPECT_TRUE(NothingDue());
}

TEST_F(SessionTest, AProgramThatLeavesEarly) {
  const auto leaves = [&](std::int64_t handed_out, std::int64_t committed) {
    message::Telemetry telemetry;
    telemetry.handed_out = handed_out;
    telemetry.records = committed;
    Say(telemetry);
    Say(message::Bye{"", ""});
    session_->OnGone("exit code 0");
    return Due<v1::LeaveRequest>().reason();
  };
  Begin();
  EXPECT_FALSE(session_->uncommitted());
  EXPECT_EQ(leaves(40, 20), "the program ended before its dataset did");
  Begin();
  EXPECT_EQ(leaves(40, 0),
            "the program ended before its dataset did; it was handed 40 records and committed "
            "none: say headrace.data.commit(batch) when a batch is trained");
  EXPECT_TRUE(session_->uncommitted());
  Begin();
  session_->Drain("SIGTERM");
  EXPECT_EQ(leaves(40, 20), "") << "it was told to";
  Begin();
  v1::Orders orders = Orders();
  orders.set_state(v1::JOB_STATE_STOPPING);
  session_->OnOrders(orders);
  EXPECT_EQ(leaves(40, 20), "");
}

TEST_F(SessionTest, ACrashIsTheReason) {
  Begin(v1::MODEL_KIND_LOCAL);
  Say(message::Restored{1, "", ""});
  session_->OnGone("killed by signal 9 (KILL)");
  EXPECT_EQ(Due<v1::LeaveRequest>().reason(), "killed by signal 9 (KILL)")
      << "a model that is gone was never restored";
}

// Says for how long it has been out.
message::Telemetry Away(std::int64_t away_ms) {
  message::Telemetry telemetry;
  telemetry.away_ms = away_ms;
  telemetry.last_call = "applied";
  return telemetry;
}

TEST_F(SessionTest, OutForTooLongWhileItHoldsLeases) {
  Begin();
  Lease(5);
  Lease(6);
  now_ += 9999;
  Say(Away(7000));
  EXPECT_EQ(session_->Overdue(now_, 10000), "");
  now_ += 3000;
  Say(Away(10000));
  EXPECT_EQ(session_->Overdue(now_, 10000),
            "no call for 10 s while it held 2 leases (the last: applied; --step_timeout_s)");
  EXPECT_EQ(session_->Overdue(now_, 0), "") << "no limit";
  EXPECT_EQ(session_->Overdue(now_, 11000), "");
  now_ += 2999;
  EXPECT_EQ(session_->Overdue(now_, 11000), "") << "what it says next may be on its way";
  now_ += 1;
  EXPECT_NE(session_->Overdue(now_, 11000), "") << "it is silent: the time goes on";
  Say(Away(0));
  EXPECT_EQ(session_->Overdue(now_, 11000), "") << "it waits for the agent";
  now_ += 11000;
  Say(message::Held{0});
  EXPECT_EQ(session_->Overdue(now_, 11000), "") << "any call";
}

TEST_F(SessionTest, OutWhileNobodyWaitsForIt) {
  Begin();
  now_ += 100000;
  EXPECT_EQ(session_->Overdue(now_, 1000), "") << "it holds nothing";
  Lease(5);
  Say(Finished(5));
  now_ += 100000;
  EXPECT_EQ(session_->Overdue(now_, 1000), "") << "all that it held is reported";
}

TEST_F(SessionTest, OutWhileAllStandStill) {
  Begin();
  v1::Orders orders = Orders();
  orders.set_hold(4);
  orders.set_hold_reason("checkpoint");
  session_->OnOrders(orders);
  Say(message::Held{4});
  Say(Away(2000));
  EXPECT_EQ(session_->Overdue(now_, 1000),
            "no call for 2 s while all stood still for checkpoint (the last: applied; "
            "--step_timeout_s)");
}

TEST_F(SessionTest, OutWhileItRestoresOrDelivers) {
  Begin(v1::MODEL_KIND_LOCAL);
  Say(Away(2000));
  EXPECT_NE(session_->Overdue(now_, 1000).find("while it restored the model"), std::string::npos);
  Say(message::Restored{1, "", ""});
  Say(Away(2000));
  EXPECT_EQ(session_->Overdue(now_, 1000), "") << "the master is to answer";
  v1::RestoredReply reply;
  reply.set_incarnation(3);
  Answer(Due<v1::RestoredRequest>(), reply);
  v1::Orders orders = Orders();
  orders.set_state(v1::JOB_STATE_DONE);
  orders.set_deliver(true);
  session_->OnOrders(orders);
  EXPECT_NE(session_->Overdue(now_, 1000).find("while it wrote the final model"),
            std::string::npos);
  Say(message::Bye{"model", ""});
  now_ += 20000;
  EXPECT_EQ(session_->Overdue(now_, 1000), "") << "it has said its last word";
}

TEST_F(SessionTest, TheMasterNoLongerKnowsIt) {
  Begin();
  Lease(5);
  Say(Finished(5));
  session_->OnAnswer(Due<v1::ExchangeRequest>(), Status(Code::kNotFound, "join again"),
                     v1::ExchangeReply(), now_);
  EXPECT_EQ(session_->end(), Session::End::kUnknown);
  now_ += 10000;
  EXPECT_TRUE(NothingDue());
  session_->OnGone("killed");
  Due<v1::LeaveRequest>();
}

TEST_F(SessionTest, WhatTheProtocolForbids) {
  Begin();
  EXPECT_EQ(session_->OnClient(message::Hello{}, now_).code(), Code::kInvalidArgument);
  EXPECT_EQ(session_->OnClient(message::Restored{}, now_).code(), Code::kInvalidArgument);
  EXPECT_EQ(session_->OnClient(message::Want{QueueName::kMain, -1}, now_).code(),
            Code::kInvalidArgument);
  EXPECT_EQ(session_->OnClient(message::Error{"no"}, now_).code(), Code::kAborted);
  Lease(5);
  Say(Finished(5));
  EXPECT_EQ(session_->OnClient(Finished(5), now_).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace headrace::worker
