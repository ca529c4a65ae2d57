#include "base/status.h"

#include <gtest/gtest.h>

namespace headrace {
namespace {

TEST(StatusTest, DefaultIsOk) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.code(), Code::kOk);
  EXPECT_EQ(status.ToString(), "OK");
}

TEST(StatusTest, NamesCodeAndMessage) {
  const Status status(Code::kOutOfRange, "End of sequence");
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.message(), "End of sequence");
  EXPECT_EQ(status.ToString(), "OUT_OF_RANGE: End of sequence");
}

// The numbers cross to absl::Status as they are, so each must stay the canonical one of its name.
TEST(StatusTest, CodesAreCanonical) {
  const char* const names[] = {"OK",
                               "CANCELLED",
                               "UNKNOWN",
                               "INVALID_ARGUMENT",
                               "DEADLINE_EXCEEDED",
                               "NOT_FOUND",
                               "ALREADY_EXISTS",
                               "PERMISSION_DENIED",
                               "RESOURCE_EXHAUSTED",
                               "FAILED_PRECONDITION",
                               "ABORTED",
                               "OUT_OF_RANGE",
                               "UNIMPLEMENTED",
                               "INTERNAL",
                               "UNAVAILABLE",
                               "DATA_LOSS",
                               "UNAUTHENTICATED"};
  int number = 0;
  for (const char* name : names) EXPECT_EQ(CodeName(static_cast<Code>(number++)), name);
}

TEST(StatusTest, UnknownCodeKeepsItsNumber) {
  EXPECT_EQ(CodeName(static_cast<Code>(42)), "CODE_42");
  EXPECT_EQ(Status(static_cast<Code>(42), "x").ToString(), "CODE_42: x");
}

}  // namespace
}  // namespace headrace
