#include "base/reach.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace headrace {
namespace {

using std::chrono::milliseconds;

TEST(Reach, WhoListensAndWhoDoesNot) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(any);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&any), size), 0);
  ASSERT_EQ(listen(listener, 8), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&any), &size), 0);
  const std::string address = "127.0.0.1:" + std::to_string(ntohs(any.sin_port));
  std::string host;
  EXPECT_TRUE(ReachOnce(address, milliseconds(5000), &host).ok());
  EXPECT_EQ(host, "127.0.0.1");
  EXPECT_TRUE(Reach(address, milliseconds(5000), &host).ok());
  close(listener);
  EXPECT_EQ(ReachOnce(address, milliseconds(5000), &host).ToString(),
            "UNAVAILABLE: Connection refused");
  EXPECT_EQ(Reach(address, milliseconds(60), &host).ToString(),
            "UNAVAILABLE: nobody can be reached at " + address + " (Connection refused) for 60 ms");
  EXPECT_EQ(Reach("nowhere", milliseconds(60), &host).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace headrace
