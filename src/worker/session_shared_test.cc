// A session of a job whose model is on parameter servers.
#include <gtest/gtest.h>

#include "worker/session_testing.h"

namespace headrace::worker {
namespace {

namespace message = feed::message;
using message::QueueName;
using testing::SessionTest;

class SharedSessionTest : public SessionTest {
 protected:
  SharedSessionTest() { Begin(v1::MODEL_KIND_SHARED); }

  v1::AttachReply Answered(v1::AttachAnswer answer, std::int64_t generation = 0) {
    v1::AttachReply reply;
    reply.set_answer(answer);
    reply.set_generation(generation);
    reply.set_incarnation(3);
    reply.set_retry_ms(100);
    *reply.mutable_orders() = Orders();
    return reply;
  }
  void BecomeReady() {
    Say(message::Attach{4, 0});
    Answer(Due<v1::AttachRequest>(), Answered(v1::ATTACH_READY, 4));
    EXPECT_EQ(Told<message::Ready>().size(), 1u);
  }
  // What is said, by type, in order.
  std::vector<std::string> Types() {
    std::vector<std::string> types;
    for (const std::string& line : Messages()) {
      const std::size_t begin = line.find("\"type\":\"") + 8;
      types.push_back(line.substr(begin, line.find('"', begin) - begin));
    }
    return types;
  }
};

TEST_F(SharedSessionTest, OutWhileItRestoresForAll) {
  message::Telemetry away;
  away.away_ms = 2000;
  Say(message::Attach{4, 0});
  Say(away);
  EXPECT_EQ(session_->Overdue(now_, 1000), "") << "the master is to answer";
  Answer(Due<v1::AttachRequest>(), Answered(v1::ATTACH_RESTORE, 8));
  EXPECT_NE(session_->Overdue(now_, 1000).find("while it restored the model"), std::string::npos);
  Say(message::Restored{12, "position", "dir", 8});
  Say(away);
  EXPECT_EQ(session_->Overdue(now_, 1000), "");
}

TEST_F(SharedSessionTest, AsksUntilTheMasterHasDecided) {
  Say(message::Attach{4, 5});
  auto attach = Due<v1::AttachRequest>();
  EXPECT_EQ(attach.worker(), 7u);
  EXPECT_EQ(attach.generation(), 4);
  EXPECT_EQ(attach.expected(), 5);
  Answer(attach, Answered(v1::ATTACH_WAIT));
  EXPECT_TRUE(Messages().empty());
  EXPECT_TRUE(NothingDue());
  EXPECT_EQ(look_again_, now_ + 100);
  now_ += 100;
  Answer(Due<v1::AttachRequest>(), Answered(v1::ATTACH_LOOK, 6));
  EXPECT_EQ(Told<message::Look>().at(0).expected, 6);
  EXPECT_TRUE(NothingDue());
  Say(message::Attach{0, 6});
  Answer(Due<v1::AttachRequest>(), Answered(v1::ATTACH_RESTORE, 8));
  EXPECT_EQ(Told<message::Restore>().at(0).generation, 8);
  Say(message::Restored{12, "position", "dir", 8});
  EXPECT_EQ(Due<v1::RestoredRequest>().generation(), 8);
}

TEST_F(SharedSessionTest, IsAliveWhileItWaits) {
  Say(message::Attach{4, 0});
  for (int i = 0; i < 15; ++i) {
    Answer(Due<v1::AttachRequest>(), Answered(v1::ATTACH_WAIT));
    now_ += 100;
  }
  const auto exchange = Due<v1::ExchangeRequest>();
  EXPECT_EQ(exchange.max_tasks(), 0);
  Answer(exchange, v1::ExchangeReply());
  Due<v1::AttachRequest>();
}

TEST_F(SharedSessionTest, AsksForLeasesWhenItIsReady) {
  Say(message::Want{QueueName::kMain, 1});
  EXPECT_TRUE(NothingDue());
  BecomeReady();
  EXPECT_EQ(Due<v1::ExchangeRequest>().max_tasks(), 1);
  EXPECT_EQ(session_->OnClient(message::Attach{4, 0}, now_).code(), Code::kInvalidArgument);
}

TEST_F(SharedSessionTest, FencesComeAfterReadyAndBeforeTheLeasesOfTheSameAnswer) {
  v1::Orders orders = Orders();
  orders.add_fenced(2);
  session_->OnOrders(orders);
  Say(message::Attach{4, 0});
  auto attached = Answered(v1::ATTACH_READY, 4);
  attached.mutable_orders()->add_fenced(2);
  EXPECT_TRUE(Messages().empty()) << "not before it has the model";
  Answer(Due<v1::AttachRequest>(), attached);
  EXPECT_EQ(Types(), (std::vector<std::string>{"ready", "fence"}));
  Say(message::Want{QueueName::kMain, 1});
  v1::ExchangeReply reply;
  *reply.mutable_orders() = Orders();
  for (const std::uint64_t worker : {2, 5, 6}) reply.mutable_orders()->add_fenced(worker);
  *reply.add_grants() = Grant(9, 0, 10);
  Answer(Due<v1::ExchangeRequest>(), reply);
  const std::vector<std::string> lines = Messages();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_NE(lines[0].find("\"workers\":[5,6]"), std::string::npos) << lines[0] << ": new ones only";
  EXPECT_NE(lines[1].find("\"lease\""), std::string::npos) << lines[1];
}

// The watch was faster than the answer that makes it ready.
TEST_F(SharedSessionTest, FencesThatCameBeforeItWasReadyAreToldThen) {
  Say(message::Attach{4, 0});
  const v1::AttachReply older = Answered(v1::ATTACH_READY, 4);
  v1::Orders newer = Orders();
  newer.add_fenced(2);
  session_->OnOrders(newer);
  EXPECT_TRUE(Messages().empty());
  Answer(Due<v1::AttachRequest>(), older);
  EXPECT_EQ(Types(), (std::vector<std::string>{"ready", "fence"}));
}

// The watch was faster than the answer, or slower.
TEST_F(SharedSessionTest, FencesOfOlderOrdersStandToo) {
  BecomeReady();
  v1::Orders older = Orders(), newer = Orders();
  older.add_fenced(5);
  session_->OnOrders(newer);
  Say(message::Want{QueueName::kMain, 1});
  v1::ExchangeReply reply;
  *reply.mutable_orders() = older;
  *reply.add_grants() = Grant(9, 0, 10);
  Answer(Due<v1::ExchangeRequest>(), reply);
  EXPECT_EQ(Types(), (std::vector<std::string>{"fence", "lease"}));
  newer.set_version(++version_);
  newer.add_fenced(5);
  session_->OnOrders(newer);
  EXPECT_TRUE(Messages().empty());
}

TEST_F(SharedSessionTest, WhoIsFencedOffStartsAgain) {
  BecomeReady();
  Lease(5);
  v1::Orders orders = Orders();
  orders.add_fenced(7);
  session_->OnOrders(orders);
  EXPECT_EQ(session_->end(), Session::End::kFenced);
  EXPECT_TRUE(Told<message::Fence>().empty());
  Say(message::Want{QueueName::kMain, 1});
  EXPECT_TRUE(NothingDue());
}

TEST_F(SharedSessionTest, ARestoreThatCameTooLate) {
  Say(message::Attach{0, 0});
  Answer(Due<v1::AttachRequest>(), Answered(v1::ATTACH_RESTORE, 8));
  Say(message::Restored{0, "", "", 8});
  session_->OnAnswer(Due<v1::RestoredRequest>(), Status(Code::kAborted, "another was told"),
                     v1::RestoredReply(), now_);
  EXPECT_EQ(session_->end(), Session::End::kRewound) << "it starts again, and blames nobody";
}

TEST_F(SharedSessionTest, AnotherIncarnationIsAnotherModel) {
  BecomeReady();
  v1::Orders orders = Orders();
  orders.set_incarnation(4);
  session_->OnOrders(orders);
  EXPECT_EQ(session_->end(), Session::End::kRewound);
}

TEST_F(SharedSessionTest, ADrainWithdrawsTheQuestion) {
  Say(message::Attach{0, 0});
  const auto attach = Due<v1::AttachRequest>();
  session_->Drain("SIGTERM");
  EXPECT_EQ(Types(), std::vector<std::string>{"drain"});
  Answer(attach, Answered(v1::ATTACH_RESTORE, 8));
  EXPECT_TRUE(Told<message::Restore>().empty());
  EXPECT_TRUE(NothingDue());
}

TEST_F(SharedSessionTest, WhoDeliversIsToldAndNotDisturbed) {
  BecomeReady();
  v1::Orders orders = Orders();
  orders.set_state(v1::JOB_STATE_DONE);
  orders.set_deliver(true);
  session_->OnOrders(orders);
  const auto finish = Told<message::Finish>();
  ASSERT_EQ(finish.size(), 2u);
  EXPECT_TRUE(finish[0].deliver && finish[1].deliver);
  session_->Drain("SIGTERM");
  EXPECT_TRUE(Messages().empty()) << "it leaves when the model is written";
  Begin(v1::MODEL_KIND_SHARED);
  BecomeReady();
  orders.set_version(++version_);
  orders.set_deliver(false);
  session_->OnOrders(orders);
  EXPECT_FALSE(Told<message::Finish>().at(0).deliver);
}

TEST_F(SharedSessionTest, HowManyThereAre) {
  BecomeReady();
  v1::Orders orders = Orders();
  orders.set_live(3);
  session_->OnOrders(orders);
  EXPECT_EQ(Told<message::Orders>().at(0).live, 3);
}

TEST_F(SessionTest, OnlyASharedModelIsAttachedTo) {
  Begin(v1::MODEL_KIND_LOCAL);
  EXPECT_EQ(session_->OnClient(message::Attach{0, 0}, now_).code(), Code::kInvalidArgument);
  Begin(v1::MODEL_KIND_SHARED);
  Say(message::Attach{0, 0});
  EXPECT_EQ(session_->OnClient(message::Attach{0, 0}, now_).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace headrace::worker
