#include "trainer/settings.h"

#include <gtest/gtest.h>

#include <fstream>

#include "trainer/executor_choice.h"
#include "trainer/exported_job.h"

namespace headrace::trainer {
namespace {

TEST(SettingsTest, EveryKey) {
  Settings settings;
  ASSERT_TRUE(ParseSettings(R"({"verb": "predict", "exported": "e", "output": "o",
      "checkpoints": "c", "checkpoint_steps": 5, "keep_checkpoints": 0, "evaluation_steps": 7,
      "restore": "r", "events": "t", "staging": "AQI=", "predictions": "csv",
      "op_libraries": ["a.so"], "executor": "caller", "intra_op_threads": 1,
      "inter_op_threads": 2})",
                            &settings)
                  .ok());
  EXPECT_EQ(settings.verb, Settings::Verb::kPredict);
  EXPECT_EQ(settings.staging, "\x01\x02");
  EXPECT_EQ(settings.executor, Settings::Executor::kCaller);
  EXPECT_EQ(settings.op_libraries, std::vector<std::string>{"a.so"});
  EXPECT_EQ(settings.checkpoint_steps, 5);
  EXPECT_EQ(settings.keep_checkpoints, 0);
}

TEST(SettingsTest, WhatIsWrongIsNamed) {
  const auto expect = [](const std::string& text, const std::string& says) {
    Settings settings;
    const Status status = ParseSettings(text, &settings);
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << text;
    EXPECT_NE(status.message().find(says), std::string::npos) << status.ToString();
  };
  expect("[]", "no JSON object");
  expect("{}", "trainer.exported names no directory");
  expect(R"({"exported": "e", "colour": 1})", "trainer.colour is no setting");
  expect(R"({"exported": 3})", "trainer.exported is 3, and must be a string");
  expect(R"({"exported": "e", "checkpoint_steps": -1})", "must be an integer >= 0");
  expect(R"({"exported": "e", "verb": "fly"})", "one of evaluate, predict, train");
  expect(R"({"exported": "e", "staging": "?"})", "base64");
  expect(R"({"exported": "e", "op_libraries": ["a", 1]})", "a list of strings");
}

TEST(ExecutorChoiceTest, TheFasterStays) {
  using std::chrono::nanoseconds;
  for (const int faster : {0, 1}) {
    ExecutorChoice choice;
    int steps = 0;
    for (; !choice.decided(); ++steps) {
      // One slow step of the faster way, as the noise of a machine makes it.
      const int way = choice.Next();
      choice.Took(nanoseconds(way == faster && steps % 9 != 0 ? 10 : 20));
      ASSERT_LT(steps, 100);
    }
    EXPECT_EQ(steps, ExecutorChoice::kWarmUp + 2 * ExecutorChoice::kSteps);
    EXPECT_EQ(choice.Next(), faster);
  }
  ExecutorChoice fixed;
  fixed.Fix(1);
  EXPECT_EQ(fixed.Next(), 1);
}

TEST(ExportedJobTest, WhatIsNoneIsNamed) {
  ExportedJob job;
  const Status status = LoadExportedJob("/nonexistent", &job);
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_NE(status.message().find("headrace export"), std::string::npos);
}

}  // namespace
}  // namespace headrace::trainer
