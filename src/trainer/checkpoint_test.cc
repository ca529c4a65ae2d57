#include "trainer/checkpoint.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>

#include "trainer/directory.h"

namespace headrace::trainer {
namespace {

namespace fs = std::filesystem;

class CheckpointTest : public ::testing::Test {
 protected:
  CheckpointTest() {
    char name[] = "/tmp/headrace-checkpoint-XXXXXX";
    root_ = mkdtemp(name);
  }
  ~CheckpointTest() override { fs::remove_all(root_); }

  static Status Saves(const std::string& prefix) { return WriteFile(prefix + ".index", "12345"); }

  void Write(std::int64_t step) {
    std::int64_t bytes = 0;
    const Status status = WriteCheckpoint(
        {root_ + "/step-" + std::to_string(step), step, std::string("p\0q", 3)}, Saves, &bytes);
    ASSERT_TRUE(status.ok()) << status.ToString();
    EXPECT_GT(bytes, 5);
  }
  std::vector<std::int64_t> Steps() {
    std::vector<Checkpoint> found;
    EXPECT_TRUE(ListCheckpoints(root_, &found).ok());
    std::vector<std::int64_t> steps;
    for (const Checkpoint& checkpoint : found) steps.push_back(checkpoint.step);
    return steps;
  }

  std::string root_;
};

TEST_F(CheckpointTest, IsReadAsWritten) {
  Write(7);
  Checkpoint read;
  ASSERT_TRUE(ReadCheckpoint(root_ + "/step-7", &read).ok());
  EXPECT_EQ(read.step, 7);
  EXPECT_EQ(read.position, std::string("p\0q", 3));
  EXPECT_TRUE(fs::exists(read.prefix() + ".index"));
}

TEST_F(CheckpointTest, AreListedByStepAndPruned) {
  for (const std::int64_t step : {30, 4, 200, 5}) Write(step);
  EXPECT_EQ(Steps(), (std::vector<std::int64_t>{4, 5, 30, 200}));
  fs::create_directory(root_ + "/mine");
  ASSERT_TRUE(PruneCheckpoints(root_, 2).ok());
  EXPECT_EQ(Steps(), (std::vector<std::int64_t>{30, 200}));
  ASSERT_TRUE(PruneCheckpoints(root_, 0).ok());
  EXPECT_EQ(Steps().size(), 2u);
  EXPECT_TRUE(fs::exists(root_ + "/mine"));
}

TEST_F(CheckpointTest, IsReplacedAsAWhole) {
  Write(7);
  fs::create_directory(root_ + "/step-7/old");
  Write(7);
  EXPECT_EQ(Steps(), (std::vector<std::int64_t>{7}));
  EXPECT_FALSE(fs::exists(root_ + "/step-7/old"));
  EXPECT_EQ(std::distance(fs::directory_iterator(root_), fs::directory_iterator()), 1);
}

// A crash at any moment leaves the one or the other: nobody ever finds neither.
TEST_F(CheckpointTest, IsThereWhileItIsReplaced) {
  constexpr int kTimes = 300;
  Write(7);
  std::atomic<bool> done{false};
  auto looks = std::async(std::launch::async, [&] {
    std::int64_t missing = 0;
    while (!done) missing += access((root_ + "/step-7").c_str(), F_OK) == 0 ? 0 : 1;
    return missing;
  });
  for (int i = 0; i < kTimes; ++i) Write(7);
  done = true;
  EXPECT_EQ(looks.get(), 0);
}

TEST_F(CheckpointTest, ThatFailsLeavesNothing) {
  std::int64_t bytes = 0;
  const auto fails = [](const std::string& prefix) {
    EXPECT_TRUE(Saves(prefix).ok());
    return Status(Code::kResourceExhausted, "disk full");
  };
  EXPECT_EQ(WriteCheckpoint({root_ + "/step-1", 1, ""}, fails, &bytes).code(),
            Code::kResourceExhausted);
  EXPECT_TRUE(fs::is_empty(root_));
}

TEST_F(CheckpointTest, WhatWasNeverFinishedIsNone) {
  Write(3);
  fs::create_directory(root_ + "/step-9" + kUnfinished + "77");
  std::ofstream(root_ + "/step-9" + kUnfinished + "77/manifest.json")
      << R"({"version": 1, "step": 9, "position": ""})";
  EXPECT_EQ(Steps(), (std::vector<std::int64_t>{3}));
  ASSERT_TRUE(PruneCheckpoints(root_, 5).ok());
  EXPECT_FALSE(fs::exists(root_ + "/step-9" + kUnfinished + "77"));
}

TEST_F(CheckpointTest, DamageIsNamed) {
  Write(3);
  const auto expect = [&](const std::string& manifest, Code code, const std::string& says) {
    std::ofstream(root_ + "/step-3/manifest.json") << manifest;
    Checkpoint read;
    const Status status = ReadCheckpoint(root_ + "/step-3", &read);
    EXPECT_EQ(status.code(), code) << manifest;
    EXPECT_NE(status.message().find(says), std::string::npos) << status.ToString();
  };
  expect("{", Code::kDataLoss, "it is no JSON");
  expect(R"({"version": 1, "step": "x", "position": ""})", Code::kDataLoss, "damaged");
  expect(R"({"version": 1, "position": ""})", Code::kDataLoss, "step");
  expect(R"({"version": 1, "step": 3, "position": "?"})", Code::kDataLoss, "base64");
  expect(R"({"version": 2, "step": 3, "position": ""})", Code::kUnimplemented, "has version 2");
}

TEST_F(CheckpointTest, WhereNoneCanBeWritten) {
  std::ofstream(root_ + "/file") << "x";
  std::int64_t bytes = 0;
  EXPECT_FALSE(WriteCheckpoint({root_ + "/file/step-1", 1, ""}, Saves, &bytes).ok());
  EXPECT_EQ(WriteCheckpoint({root_ + "/file", 1, ""}, Saves, &bytes).code(), Code::kAlreadyExists);
  std::vector<Checkpoint> found;
  EXPECT_EQ(ListCheckpoints(root_ + "/none", &found).code(), Code::kNotFound);
}

}  // namespace
}  // namespace headrace::trainer
