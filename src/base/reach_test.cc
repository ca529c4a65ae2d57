#include "base/reach.h"

#include <gtest/gtest.h>

#include "base/testing.h"

namespace headrace {
namespace {

using std::chrono::milliseconds;

TEST(Reach, WhoListensAndWhoDoesNot) {
  testing::Listener listener;
  const std::string& address = listener.address();
  std::string host;
  EXPECT_TRUE(ReachOnce(address, milliseconds(5000), &host).ok());
  EXPECT_EQ(host, "127.0.0.1");
  EXPECT_TRUE(Reach(address, milliseconds(5000), &host).ok());
  listener.Close();
  EXPECT_EQ(ReachOnce(address, milliseconds(5000), &host).ToString(),
            "UNAVAILABLE: Connection refused");
  EXPECT_EQ(Reach(address, milliseconds(60), &host).ToString(),
            "UNAVAILABLE: nobody can be reached at " + address + " (Connection refused) for 60 ms");
  EXPECT_EQ(Reach("nowhere", milliseconds(60), &host).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace headrace
