#include "ledger/line.h"

#include <gtest/gtest.h>

#include <set>

namespace headrace::ledger {
namespace {

TEST(Permutation, IsOneToOne) {
  for (std::int64_t size = 1; size <= 130; ++size) {
    for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
      const Permutation permutation(size, 7, epoch);
      std::set<std::int64_t> seen;
      for (std::int64_t i = 0; i < size; ++i) {
        const std::int64_t at = permutation.At(i);
        ASSERT_GE(at, 0);
        ASSERT_LT(at, size);
        ASSERT_TRUE(seen.insert(at).second) << size;
      }
    }
  }
}

// The journal relies on these: they may never change.
TEST(Permutation, IsFixedForAllTime) {
  const Permutation permutation(1000, 42, 3);
  std::vector<std::int64_t> first;
  for (int i = 0; i < 6; ++i) first.push_back(permutation.At(i));
  EXPECT_EQ(first, (std::vector<std::int64_t>{55, 86, 391, 646, 641, 636}));
}

TEST(Permutation, SeedAndEpochChangeIt) {
  int same_seed = 0, same_epoch = 0;
  for (int i = 0; i < 1000; ++i) {
    same_seed += Permutation(1000, 1, 0).At(i) == Permutation(1000, 2, 0).At(i);
    same_epoch += Permutation(1000, 1, 0).At(i) == Permutation(1000, 1, 1).At(i);
  }
  EXPECT_LT(same_seed, 20);
  EXPECT_LT(same_epoch, 20);
}

TEST(Line, TasksCoverEachEpochOnce) {
  const Line line({{"a", 0}, {"b", 25}, {"c", 0}, {"d", 10}, {"e", 1}, {"f", 0}}, 10, 2, true, 5);
  EXPECT_EQ(line.records(), 36);
  EXPECT_EQ(line.tasks(), 5);
  for (std::int64_t epoch = 0; epoch < 2; ++epoch) {
    IntervalSet seen;
    for (std::int64_t i = 0; i < line.tasks(); ++i) {
      const Range task = line.Task(epoch, i);
      EXPECT_FALSE(seen.Overlaps(task));
      EXPECT_EQ(line.Locate(task.begin).file, line.Locate(task.end - 1).file);
      EXPECT_EQ(line.Locate(task.begin).index % 10, 0);
      seen.Add(task);
    }
    EXPECT_EQ(seen.All(), (Ranges{line.Epoch(epoch)}));
  }
  const Line::Place last = line.Locate(71);
  EXPECT_EQ(last.epoch, 1);
  EXPECT_EQ(last.file, 4);
  EXPECT_EQ(last.index, 0);
}

TEST(JobSpec, IsChecked) {
  JobSpec spec;
  spec.files = {{"a", 10}};
  EXPECT_TRUE(Validate(spec).ok());
  const auto refused = [&](auto change, const char* field) {
    JobSpec bad = spec;
    change(&bad);
    const Status status = Validate(bad);
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_EQ(status.message().rfind(field, 0), 0u) << status.message();
  };
  refused([](JobSpec* s) { s->files = {{"a", 0}}; }, "files");
  refused([](JobSpec* s) { s->files = {{"a", -1}}; }, "files");
  refused([](JobSpec* s) { s->files = {{"a", INT64_MAX}, {"b", 5}}; }, "files");
  refused([](JobSpec* s) { s->task_records = 0; }, "task_records");
  refused([](JobSpec* s) { s->epochs = 0; }, "epochs");
  refused([](JobSpec* s) { s->epochs = INT64_MAX / 2; }, "files");
  refused([](JobSpec* s) { s->lease_ms = 0; }, "lease_ms");
  refused([](JobSpec* s) { s->evaluation_at_end = true; }, "evaluation_files");
  refused(
      [](JobSpec* s) {
        s->type = TaskType::kPredict;
        s->epochs = 2;
      },
      "epochs");
}

TEST(Line, AWholeFileIsOneTask) {
  const Line line({{"a", 25}, {"b", 25, true}, {"c", 0, true}, {"d", 3, true}}, 10, 2, false, 0);
  EXPECT_EQ(line.tasks(), 5);
  EXPECT_EQ(line.Task(0, 2), (Range{20, 25}));
  EXPECT_EQ(line.Task(0, 3), (Range{25, 50}));
  EXPECT_EQ(line.Task(0, 4), (Range{50, 53}));
  EXPECT_EQ(line.Task(1, 3), (Range{78, 103}));
}

}  // namespace
}  // namespace headrace::ledger
