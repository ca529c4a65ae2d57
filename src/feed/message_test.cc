#include "feed/message.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "feed/line_socket.h"
#include "feed/testing.h"

namespace headrace::feed {
namespace {

template <class Side>
void ExpectSame(const Side& message) {
  const std::string line = Encode(message);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  Side read;
  const Status status = Decode(line, &read);
  EXPECT_TRUE(status.ok()) << status.ToString() << ": " << line;
  EXPECT_EQ(read.index(), message.index());
  EXPECT_EQ(Encode(read), line);
}

TEST(MessageTest, EveryMessageThereAndBack) {
  message::Report report{7,
                         {{0, 3}, {5, 9}},
                         {{3, 4}},
                         {{"take", {{4, 5}}}},
                         {{9, 10}},
                         {{0, 1}},
                         message::End::kFailed,
                         "why\n\"\xc3\xa4\"",
                         9,
                         {0.1, 1e300}};
  ExpectSame(ToAgent(message::Hello{1, "trainer", 99}));
  ExpectSame(ToAgent(message::Attach{std::int64_t{1} << 53, 6}));
  ExpectSame(ToAgent(message::Restored{5, std::string("\0\1\xff", 3), "dir", 6}));
  ExpectSame(ToAgent(message::Want{message::QueueName::kEvaluation, 3}));
  ExpectSame(ToAgent(message::Settled{{report, {}}, 12}));
  ExpectSame(ToAgent(
      message::Telemetry{1, 2, 0.5, {{"get_batch", {1.5, 2.5}}}, "data", 9, 7, "applied", 4}));
  ExpectSame(ToAgent(message::Boundary{1, 2}));
  ExpectSame(ToAgent(message::Held{3}));
  ExpectSame(ToAgent(message::Saved{1, "dir", "full", 5, 6}));
  ExpectSame(ToAgent(message::Metrics{1, 2, {{"accuracy", 0.75}}}));
  ExpectSame(ToAgent(message::Bye{"model", ""}));
  ExpectSame(ToAgent(message::Error{"why"}));
  ExpectSame(ToClient(message::Welcome{1, "worker-0", 5, ModelKind::kShared, R"({"a":[1]})"}));
  ExpectSame(ToClient(message::Ready{4}));
  ExpectSame(ToClient(message::Look{5}));
  ExpectSame(ToClient(message::Restore{6}));
  ExpectSame(ToClient(message::Fence{{7, std::numeric_limits<std::uint64_t>::max()}}));
  ExpectSame(ToClient(message::Lease{message::QueueName::kMain,
                                     std::numeric_limits<std::uint64_t>::max(),
                                     message::TaskKind::kPredict,
                                     "path",
                                     3,
                                     {{1, 2}},
                                     1,
                                     2,
                                     3,
                                     true}));
  ExpectSame(ToClient(message::Flush{}));
  ExpectSame(ToClient(message::Finish{}));
  ExpectSame(ToClient(message::Finish{message::QueueName::kEvaluation, false}));
  ExpectSame(ToClient(message::Revoked{1, "expired"}));
  ExpectSame(ToClient(message::Recall{1}));
  ExpectSame(ToClient(message::Orders{1, "x", message::Save{1, "d", "\xff", 3},
                                      message::Evaluated{1, 2, {3.5}}, 4, 5}));
  ExpectSame(ToClient(message::Drain{"SIGTERM", true}));
  ExpectSame(ToClient(message::Fail{"lost"}));
  ExpectSame(ToClient(message::Error{"why"}));
}

TEST(MessageTest, NoLossYetIsNull) {
  message::Telemetry telemetry;
  telemetry.loss = std::numeric_limits<double>::quiet_NaN();
  const std::string line = Encode(ToAgent(telemetry));
  EXPECT_NE(line.find("\"loss\":null"), std::string::npos);
  ToAgent read;
  ASSERT_TRUE(Decode(line, &read).ok());
  EXPECT_TRUE(std::isnan(std::get<message::Telemetry>(read).loss));
}

TEST(MessageTest, RefusalsNameTheField) {
  ToAgent message;
  const auto refused = [&](const std::string& line, const std::string& why) {
    const Status status = Decode(line, &message);
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << line;
    EXPECT_NE(status.message().find(why), std::string::npos) << status.message();
  };
  refused("", "no message");
  refused("[1]", "no object");
  refused(R"({"a":1})", "type");
  refused(R"({"type":"lease"})", "'lease' is not known");
  refused(R"({"type":"hello","program":"x","pid":1})", "'protocol'");
  refused(R"({"type":"held","hold":"x"})", "'hold'");
  refused(R"({"type":"held","hold":1.5})", "'hold'");
  refused(R"({"type":"want","queue":"side","count":1})", "'side' is not known");
  refused(R"({"type":"restored","step":1,"position":"?","checkpoint":""})", "'position'");
  refused(
      R"({"type":"settled","step":1,"reports":[{"token":1,"end":"","culprit":-1,"trained":[[1]]}]})",
      "'trained'");
  refused(
      R"({"type":"settled","step":1,"reports":[{"token":1,"end":"","culprit":-1,"trained":[[5,5]]}]})",
      "empty range");
  EXPECT_TRUE(Decode(R"({"type":"held","hold":1,"new_key":[]})", &message).ok());
}

TEST(LineSocketTest, LinesOfAnySizeUpToTheLimit) {
  const std::string path = testing::SocketPath();
  std::unique_ptr<LineListener> listener;
  ASSERT_TRUE(LineListener::Listen(path, &listener).ok());
  std::unique_ptr<LineSocket> a, b;
  ASSERT_TRUE(LineSocket::Connect(path, testing::kPatience, &a).ok());
  ASSERT_TRUE(listener->Accept(&b).ok());
  const std::vector<std::string> lines{"", "x", std::string(100000, 'y'),
                                       std::string(LineSocket::kMaxLine - 1, 'z'), "end"};
  std::thread sends([&] {
    for (const std::string& line : lines) EXPECT_TRUE(a->Send(line).ok());
    EXPECT_EQ(a->Send(std::string(LineSocket::kMaxLine, 'z')).code(), Code::kInvalidArgument);
  });
  std::string got;
  for (const std::string& line : lines) {
    ASSERT_TRUE(b->Receive(&got, testing::kPatience).ok());
    EXPECT_TRUE(got == line) << line.size();
  }
  sends.join();
  EXPECT_EQ(b->Receive(&got, std::chrono::milliseconds(1)).code(), Code::kDeadlineExceeded);
  std::thread shuts([&] { b->Shutdown(); });
  EXPECT_EQ(b->Receive(&got).code(), Code::kUnavailable);
  EXPECT_EQ(a->Receive(&got).code(), Code::kUnavailable);
  EXPECT_EQ(a->Send("x").code(), Code::kUnavailable);
  shuts.join();
}

TEST(LineSocketTest, ALineWithoutEndIsRefused) {
  const std::string path = testing::SocketPath();
  std::unique_ptr<LineListener> listener;
  ASSERT_TRUE(LineListener::Listen(path, &listener).ok());
  std::unique_ptr<LineSocket> a, b;
  ASSERT_TRUE(LineSocket::Connect(path, testing::kPatience, &a).ok());
  ASSERT_TRUE(listener->Accept(&b).ok());
  EXPECT_EQ(LineListener::Listen(std::string(200, 'x'), &listener).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace headrace::feed
