#include "master/rewinds.h"

#include <gtest/gtest.h>

namespace headrace::master {
namespace {

TEST(Rewinds, FromTheLastReportBeforeToTheFirstOneAfter) {
  Rewinds rewinds;
  rewinds.Restored(0, false);  // the first model
  EXPECT_FALSE(rewinds.Trained(100));
  EXPECT_FALSE(rewinds.Trained(250));
  rewinds.Lost(900);
  EXPECT_TRUE(rewinds.all().empty());
  rewinds.Restored(40, false);
  const auto rewind = rewinds.Trained(1300);
  ASSERT_TRUE(rewind.has_value());
  EXPECT_EQ(rewind->step, 40);
  EXPECT_EQ(rewind->pause_ms, 1050);
  EXPECT_FALSE(rewinds.Trained(1400)) << "it is over";
  EXPECT_EQ(rewinds.all().size(), 1u);
}

TEST(Rewinds, AModelThatIsLostAgainBeforeAStepIsOnePause) {
  Rewinds rewinds;
  rewinds.Trained(100);
  rewinds.Restored(40, false);
  rewinds.Restored(30, true);
  const auto rewind = rewinds.Trained(500);
  ASSERT_TRUE(rewind.has_value());
  EXPECT_EQ(rewind->step, 30);
  EXPECT_EQ(rewind->pause_ms, 400);
}

// Under a master that began in the middle of it.
TEST(Rewinds, WhereNothingWasTrainedBeforeItBeginsWhenTheLossIsFound) {
  Rewinds rewinds;
  rewinds.Lost(100);
  rewinds.Lost(150);
  rewinds.Restored(40, true);
  const auto rewind = rewinds.Trained(500);
  ASSERT_TRUE(rewind.has_value());
  EXPECT_EQ(rewind->pause_ms, 400);
}

TEST(Rewinds, AJobThatIsResumedGoesBackToNothing) {
  Rewinds rewinds;
  rewinds.Lost(50);  // its processes are new ones
  rewinds.Restored(40, false);
  EXPECT_FALSE(rewinds.Trained(100));
  EXPECT_TRUE(rewinds.all().empty());
}

}  // namespace
}  // namespace headrace::master
