// What a training process said last, as far as it may say why it ended.
#include "worker/child.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

namespace headrace::worker {
namespace {

class LastLineTest : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }
  std::string Of(const std::string& text) {
    std::ofstream(path_, std::ios::trunc) << text;
    return LastLine(path_);
  }

  const std::string path_ = ::testing::TempDir() + "last_line_" + std::to_string(getpid());
};

TEST_F(LastLineTest, OfNothingThereIsNone) {
  EXPECT_EQ(LastLine(path_), "") << "no such file";
  EXPECT_EQ(Of(""), "");
  EXPECT_EQ(Of("\n\n"), "");
}

TEST_F(LastLineTest, WhatLibrariesSayInAnyCaseIsLeftOut) {
  const std::string why = "ValueError: no such column\n";
  for (const char* noise :
       {"2026-11-23 17:00:00.123456: I tensorflow/core/platform/cpu.cc:210] optimized\n",
        "2026-11-23 17:00:00.123456: W tensorflow/core/framework/op.cc:1] deprecated\n",
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n",
        "To enable the following instructions: AVX2, in other operations, rebuild TensorFlow.\n",
        "I0000 00:00:1763912345.123456   12345 service.cc:148] XLA service\n",
        "W1123 17:00:00.123456   12345 retry.cc:7] again\n",
        "/lib/python3/resource_tracker.py:224: UserWarning: leaked\n  warnings.warn(\n"}) {
    EXPECT_EQ(Of(why + noise), "ValueError: no such column") << noise;
    EXPECT_EQ(Of(noise), "") << noise;
  }
}

TEST_F(LastLineTest, ErrorsOfLibrariesAreNot) {
  const std::string fatal = "2026-11-23 17:00:00.123456: F tensorflow/core/a.cc:2] Check failed: x";
  EXPECT_EQ(Of("step 3\n" + fatal + "\n"), fatal);
  EXPECT_EQ(Of("headrace-trainer: INTERNAL: a\n\t [[node]]\n"), "headrace-trainer: INTERNAL: a");
  EXPECT_EQ(Of("I am done\n"), "I am done");
}

TEST_F(LastLineTest, WhatAProcessBeforeItSaidIsNotItsOwn) {
  std::ofstream(path_) << "ValueError: of the one before\n";
  Child::Options options;
  options.command = {"/bin/sh", "-c", "exit 3"};
  options.log = path_;
  const auto last_line = [&] {
    Child child;
    EXPECT_TRUE(child.Start(options).ok());
    siginfo_t ended;
    EXPECT_EQ(waitid(P_PID, static_cast<id_t>(child.pid()), &ended, WEXITED | WNOWAIT), 0);
    std::string how;
    EXPECT_TRUE(child.Ended(&how));
    return child.LastLine();
  };
  EXPECT_EQ(last_line(), "");
  options.command = {"/bin/sh", "-c", "echo no luck >&2; exit 3"};
  EXPECT_EQ(last_line(), "no luck");
}

}  // namespace
}  // namespace headrace::worker
