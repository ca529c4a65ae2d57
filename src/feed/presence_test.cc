#include "feed/presence.h"

#include <gtest/gtest.h>

#include <string>

namespace headrace::feed {
namespace {

using std::chrono::seconds;

TEST(Presence, AwayIsTheTimeSinceTheLastCallEnded) {
  const Presence::Clock::time_point begin{seconds(1000)};
  Presence presence(begin);
  EXPECT_EQ(presence.away(begin + seconds(3)), seconds(3));
  presence.Enter();
  EXPECT_EQ(presence.away(begin + seconds(100)), seconds(0)) << "a call that waits is no absence";
  presence.Leave("next task", begin + seconds(200));
  EXPECT_EQ(presence.away(begin + seconds(207)), seconds(7));
  EXPECT_EQ(presence.last(), std::string("next task"));
  presence.Touch("read", begin + seconds(210));
  EXPECT_EQ(presence.away(begin + seconds(211)), seconds(1));
  EXPECT_EQ(presence.away(begin + seconds(209)), seconds(0)) << "a clock that was read before";
}

TEST(Presence, SomebodyIsThereUntilAllHaveLeft) {
  const Presence::Clock::time_point begin{seconds(1000)};
  Presence presence(begin);
  presence.Enter();
  presence.Enter();
  presence.Leave("applied", begin);
  EXPECT_EQ(presence.away(begin + seconds(50)), seconds(0));
  presence.Leave("boundary", begin + seconds(50));
  EXPECT_EQ(presence.away(begin + seconds(51)), seconds(1));
}

}  // namespace
}  // namespace headrace::feed
