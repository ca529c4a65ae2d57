// A million tasks are cheap.
#include <gtest/gtest.h>
#include <malloc.h>

#include <chrono>
#include <iostream>

#include "ledger/testing.h"

namespace headrace::ledger {
namespace {

using testing::Master;

std::int64_t HeapBytes() {
  return static_cast<std::int64_t>(::mallinfo2().uordblks);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // heap figures are the sanitizer's own
#else
constexpr bool kSanitized = false;
#endif

// Every task leased and reported, out of order; the peak of memory and the rate are printed.
void RunAll(JobSpec spec, const char* what) {
  const std::int64_t before = HeapBytes();
  Master master(std::move(spec));
  const std::int64_t tasks = master.ledger.line(0).tasks();
  std::int64_t peak = 0, operations = 0;
  const auto start = std::chrono::steady_clock::now();
  Effects effects;
  for (std::uint64_t request = 1;; ++request) {
    const Request ask{1 + request % 3, request, 1, 8, true, false};
    ASSERT_TRUE(master.ledger.Apply(ask, &effects).ok());
    if (effects.answer != Answer::kLeases) break;
    const std::vector<Grant> grants = effects.grants;
    for (auto grant = grants.rbegin(); grant != grants.rend(); ++grant) {
      Report report = Master::ReportOf(ask.worker, *grant, End::kFinished);
      report.acknowledged = {{grant->ranges[0], Outcome::kTrained, ""}};
      ASSERT_TRUE(master.ledger.Apply(report, &effects).ok());
    }
    operations += 2 * static_cast<std::int64_t>(grants.size());
    if (request % 16384 == 0) peak = std::max(peak, HeapBytes() - before);
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_EQ(operations, 2 * tasks);
  EXPECT_EQ(effects.answer, Answer::kDone);
  std::cout << what << ": " << peak / tasks << " bytes a task at most, "
            << static_cast<std::int64_t>(static_cast<double>(operations) / seconds)
            << " tasks leased or reported a second\n";
  EXPECT_TRUE(kSanitized || peak <= 200 * tasks);
}

std::int64_t Tasks() {
  return kSanitized ? 20000 : 1000000;
}

TEST(Scale, OneLargeFile) {
  JobSpec spec;
  spec.files = {{"large.rec", Tasks() * 100}};
  spec.task_records = 100;
  RunAll(std::move(spec), "one file");
}

TEST(Scale, ManySmallFiles) {
  JobSpec spec;
  for (std::int64_t i = 0; i < Tasks(); ++i) {
    spec.files.push_back({"data/part-" + std::to_string(i) + ".rec", 3});
  }
  RunAll(std::move(spec), "a file a task");
}

TEST(Scale, CreatingAMillionTasksTakesNoMemory) {
  const std::int64_t before = HeapBytes();
  JobSpec spec;
  spec.files = {{"large.rec", 1000000000}};
  spec.task_records = 1000;
  spec.epochs = 10;
  const Master master(std::move(spec));
  EXPECT_TRUE(kSanitized || HeapBytes() - before < 10000);
  EXPECT_EQ(master.ledger.line(0).tasks(), 1000000);
}

}  // namespace
}  // namespace headrace::ledger
