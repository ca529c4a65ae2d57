// Job files, good and bad.
#include "master/job.h"

#include <gtest/gtest.h>

#include <string>

namespace headrace::master {
namespace {

std::string With(const std::string& more) {
  return R"({"version": 1, "name": "j", "type": "training-only",
             "files": [{"path": "a", "records": 3}])" +
         more + "}";
}

TEST(JobFile, ReadsEveryKey) {
  Job job;
  const Status status = ParseJob(
      R"({"version": 1, "name": "cifar", "type": "training-with-evaluation", "model": "local",
          "files": [{"path": "a", "records": 30}, {"path": "b", "records": 0, "whole": true}],
          "evaluation_files": [{"path": "v", "records": 5}],
          "task_records": 1, "epochs": 2, "seed": 3, "shuffle": false, "strict_epochs": true,
          "model_version": 4, "lease_ms": 5, "straggler_ms": 6, "step_timeout_ms": 17, "train_backup": true,
          "max_attempts": 7, "max_losses": 8, "max_quarantined": 9, "backoff_ms": 10,
          "max_backoff_ms": 11, "evaluation_task_records": 12, "evaluation_every_steps": 13,
          "evaluation_every_ms": 14, "evaluation_at_end": true,
          "checkpoint": {"directory": "/c", "every_steps": 15},
          "trainer": {"batch": 16}})",
      &job);
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(job.name, "cifar");
  EXPECT_EQ(job.type, JobType::kTrainingWithEvaluation);
  EXPECT_EQ(job.model, ModelKind::kLocal);
  EXPECT_EQ(job.spec.files.size(), 2u);
  EXPECT_EQ(job.spec.files[0].records, 30);
  EXPECT_FALSE(job.spec.files[0].whole);
  EXPECT_TRUE(job.spec.files[1].whole);
  EXPECT_EQ(job.spec.evaluation_files[0].path, "v");
  EXPECT_EQ(job.spec.task_records, 1);
  EXPECT_EQ(job.spec.epochs, 2);
  EXPECT_EQ(job.spec.seed, 3u);
  EXPECT_FALSE(job.spec.shuffle);
  EXPECT_TRUE(job.spec.strict_epochs);
  EXPECT_EQ(job.spec.model_version, 4);
  EXPECT_EQ(job.spec.lease_ms, 5);
  EXPECT_EQ(job.spec.straggler_ms, 6);
  EXPECT_EQ(job.step_timeout_ms, 17);
  EXPECT_TRUE(job.spec.train_backup);
  EXPECT_EQ(job.spec.max_attempts, 7);
  EXPECT_EQ(job.spec.max_losses, 8);
  EXPECT_EQ(job.spec.max_quarantined, 9);
  EXPECT_EQ(job.spec.backoff_ms, 10);
  EXPECT_EQ(job.spec.max_backoff_ms, 11);
  EXPECT_EQ(job.spec.evaluation_task_records, 12);
  EXPECT_EQ(job.spec.evaluation_every_steps, 13);
  EXPECT_EQ(job.spec.evaluation_every_ms, 14);
  EXPECT_TRUE(job.spec.evaluation_at_end);
  EXPECT_EQ(job.checkpoint_directory, "/c");
  EXPECT_EQ(job.checkpoint_every_steps, 15);
  EXPECT_EQ(job.trainer, R"({"batch":16})");
}

TEST(JobFile, ExactIsForSharedModels) {
  Job job;
  ASSERT_TRUE(ParseJob(With(R"(, "model": "shared", "exact": true)"), &job).ok());
  EXPECT_TRUE(job.exact);
  ASSERT_TRUE(ParseJob(With(R"(, "model": "shared")"), &job).ok());
  EXPECT_FALSE(job.exact);
}

TEST(JobFile, TypesSayWhatIsDone) {
  Job job;
  const auto parse = [&](const std::string& type) {
    return ParseJob(R"({"version": 1, "name": "j", "type": ")" + type +
                        R"(", "files": [{"path": "a", "records": 3}]})",
                    &job);
  };
  ASSERT_TRUE(parse("evaluation-only").ok());
  EXPECT_EQ(job.spec.type, ledger::TaskType::kEvaluate);
  ASSERT_TRUE(parse("prediction-only").ok());
  EXPECT_EQ(job.spec.type, ledger::TaskType::kPredict);
}

TEST(JobFile, ErrorsNameTheKey) {
  const struct {
    std::string json, part;
  } cases[] = {
      {"{", "not JSON"},
      {"[]", "give an object"},
      {R"({"name": "j"})", "'version' is missing"},
      {R"({"version": 1, "type": "training-only"})", "'name' is missing"},
      {With(R"(, "typo": 1)"), "'typo' is not a key"},
      {With(R"(, "epochs": "2")"), "'epochs' give a whole number"},
      {With(R"(, "epochs": 2.5)"), "'epochs' give a whole number"},
      {With(R"(, "epochs": 0)"), "epochs is 0; give 1 or more"},
      {With(R"(, "seed": -1)"), "'seed' give 0 or more"},
      {With(R"(, "step_timeout_ms": -1)"), "'step_timeout_ms' give 0 or more"},
      {With(R"(, "shuffle": 1)"), "'shuffle' give true or false"},
      {With(R"(, "model": "big")"), "'model' is 'big'; give one of none, local, shared"},
      {With(R"(, "checkpoint": {"folder": "x"})"), "'checkpoint.folder' is not a key"},
      {With(R"(, "checkpoint": {"directory": "x"})"), "'model' is 'none'"},
      {With(R"(, "model": "local", "checkpoint": {"every_steps": 5})"),
       "no 'checkpoint.directory'"},
      {With(R"(, "exact": true)"), "'exact' is given, but 'model' is 'none'"},
      {With(R"(, "exact": true, "model": "local")"), "'exact' is given, but 'model' is 'local'"},
      {With(R"(, "exact": true, "model": "shared", "train_backup": true)"),
       "'exact' and 'train_backup'"},
      {With(R"(, "exact": 1, "model": "shared")"), "'exact' give true or false"},
      {With(R"(, "trainer": 3)"), "'trainer' give an object"},
      {With(R"(, "files": [{"path": "a"}])"), "'files[0].records' is missing"},
      {With(R"(, "files": {"path": "a"})"), "'files' give a list"},
      {With(R"(, "files": [])"), "no records"},
      {With(R"(, "evaluation_at_end": true)"), "make it 'training-with-evaluation'"},
      {R"({"version": 1, "name": "j", "type": "evaluation-only", "model": "local",
           "files": [{"path": "a", "records": 3}]})",
       "changes no model"},
      {R"({"version": 1, "name": "j", "type": "training-with-evaluation",
           "files": [{"path": "a", "records": 3}]})",
       "nothing says when"},
  };
  for (const auto& one : cases) {
    Job job;
    const Status status = ParseJob(one.json, &job);
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << one.json;
    EXPECT_NE(status.message().find(one.part), std::string::npos)
        << status.message() << " for " << one.json;
  }
}

TEST(JobFile, ANewerVersionIsRefusedByName) {
  Job job;
  const Status status = ParseJob(R"({"version": 9, "something": "new"})", &job);
  EXPECT_EQ(status.code(), Code::kUnimplemented);
  EXPECT_NE(status.message().find("version 9"), std::string::npos);
}

TEST(JobFile, AMissingFileIsNamed) {
  Job job;
  const Status status = ReadJobFile("/no/such/job.json", &job);
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_NE(status.message().find("/no/such/job.json"), std::string::npos);
}

TEST(JobFile, TheJournalBelongsToTheWork) {
  Job one, two, three;
  ASSERT_TRUE(ParseJob(With(R"(, "trainer": {"a": 1})"), &one).ok());
  ASSERT_TRUE(ParseJob(With(R"(, "trainer": {"a": 2}, "step_timeout_ms": 5)"), &two).ok());
  ASSERT_TRUE(ParseJob(With(R"(, "epochs": 2)"), &three).ok());
  EXPECT_EQ(JournalName(one), JournalName(two));
  EXPECT_NE(JournalName(one), JournalName(three));
  ASSERT_TRUE(ParseJob(With(R"(, "model": "shared")"), &one).ok());
  ASSERT_TRUE(ParseJob(With(R"(, "model": "shared", "exact": true)"), &two).ok());
  EXPECT_NE(JournalName(one), JournalName(two));
}

TEST(JobTest, TheParameterServersOfTheTrainersSection) {
  Job job;
  EXPECT_TRUE(ServersOf(job).empty());
  job.trainer = R"({"parameter_servers": ["a:1", "b:2"], "x": 1})";
  EXPECT_EQ(ServersOf(job), (std::vector<std::string>{"a:1", "b:2"}));
  for (const char* odd : {"", "[]", R"({"parameter_servers": 3})"}) {
    job.trainer = odd;
    EXPECT_TRUE(ServersOf(job).empty()) << odd;
  }
}

}  // namespace
}  // namespace headrace::master
