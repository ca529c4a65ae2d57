// Leasing, renewing, expiring, the tail.
#include <gtest/gtest.h>

#include "ledger/testing.h"

namespace headrace::ledger {
namespace {

using testing::Master;
using testing::SmallJob;

TEST(Leases, ComeInOrderWithTokensThatGrow) {
  Master master;
  const Effects got = master.Ask(1, 5);
  ASSERT_EQ(got.answer, Answer::kLeases);
  ASSERT_EQ(got.grants.size(), 2u);
  EXPECT_EQ(got.grants[0].ranges, (Ranges{{0, 10}}));
  EXPECT_EQ(got.grants[1].ranges, (Ranges{{10, 20}}));
  EXPECT_LT(got.grants[0].token, got.grants[1].token);
  EXPECT_EQ(got.grants[0].deadline_ms, 1000);
}

TEST(Leases, FlushThenDone) {
  Master master;
  const Grant one = master.Lease(1), two = master.Lease(2);
  EXPECT_EQ(master.Ask(1).answer, Answer::kFlush);
  EXPECT_EQ(master.Ask(3).answer, Answer::kWait);
  EXPECT_FALSE(master.effects.changed);
  ASSERT_TRUE(master.Finish(1, one).ok());
  EXPECT_EQ(master.Ask(1).answer, Answer::kWait);
  EXPECT_EQ(master.ledger.verdict(), Verdict::kRunning);
  ASSERT_TRUE(master.Finish(2, two).ok());
  EXPECT_EQ(master.Ask(1).answer, Answer::kDone);
  EXPECT_EQ(master.ledger.verdict(), Verdict::kDone);
}

TEST(Leases, ExpireUnlessRenewed) {
  Master master;
  const Grant one = master.Lease(1), two = master.Lease(2);
  master.now = 600;
  const Effects renewed = master.Must(Renew{1, {one.token, two.token, 99}});
  EXPECT_EQ(renewed.unknown, (std::vector<std::uint64_t>{two.token, 99}));
  EXPECT_TRUE(master.TickAt(999).ended.empty());
  const Effects ticked = master.TickAt(1000);
  ASSERT_EQ(ticked.ended.size(), 1u);
  EXPECT_EQ(ticked.ended[0].token, two.token);
  EXPECT_EQ(ticked.ended[0].reason, EndReason::kExpired);
  const Grant again = master.Lease(3);
  EXPECT_EQ(again.ranges, two.ranges);
  EXPECT_GT(again.token, two.token);
}

TEST(Leases, LateReportIsRefusedAndChangesNothing) {
  Master master;
  const Grant grant = master.Lease(1);
  master.TickAt(5000);
  const std::uint64_t digest = master.ledger.Digest();
  const Status status = master.Finish(1, grant);
  EXPECT_EQ(status.code(), Code::kAborted);
  EXPECT_FALSE(master.effects.changed);
  EXPECT_EQ(master.ledger.Digest(), digest);
}

TEST(Leases, OnlyWhatIsNotAcknowledgedComesBack) {
  Master master;
  const Grant grant = master.Lease(1);
  ASSERT_TRUE(master.Trained(1, grant, {3, 5}).ok());
  master.Must(Disconnect{1});
  const Effects got = master.Ask(2, 3);
  // What was handed back comes after pieces of the same task, each once.
  ASSERT_EQ(got.grants.size(), 3u);
  EXPECT_EQ(got.grants[0].ranges, (Ranges{{0, 3}}));
  EXPECT_EQ(got.grants[1].ranges, (Ranges{{5, 10}}));
  EXPECT_EQ(got.grants[2].ranges, (Ranges{{10, 20}}));
  EXPECT_EQ(master.ledger.Coverage()[0].possibly_repeated, (Ranges{{0, 3}, {5, 10}}));
}

TEST(Leases, RestartGivesTimeToReconnect) {
  Master master;
  master.Lease(1);
  master.now = 50000;
  master.Must(Restart());
  EXPECT_TRUE(master.TickAt(50999).ended.empty());
  EXPECT_EQ(master.TickAt(51000).ended.size(), 1u);
}

TEST(Leases, TimeNeverGoesBack) {
  Master master;
  master.now = 5000;
  master.Lease(1);
  master.now = 10;
  EXPECT_EQ(master.Lease(2).deadline_ms, 6000);
}

TEST(Leases, RepeatedRequestGetsTheSameLeases) {
  Master master;
  Request request{1, 7, 1, 1, true, false};
  const Grant first = master.Must(request).grants.at(0);
  const Effects again = master.Must(request);
  ASSERT_EQ(again.grants.size(), 1u);
  EXPECT_EQ(again.grants[0].token, first.token);
  EXPECT_FALSE(again.changed);
  request.request = 6;
  EXPECT_EQ(master.Try(request).code(), Code::kAborted);
}

TEST(Leases, BadRequestsAreRefused) {
  Master master;
  EXPECT_EQ(master.Try(Request{9, 1, 1, 1, true, false}).code(), Code::kNotFound);
  EXPECT_EQ(master.Try(Request{1, 1, 2, 1, true, false}).code(), Code::kAborted);
  EXPECT_EQ(master.Try(Request{1, 1, 1, 0, true, false}).code(), Code::kInvalidArgument);
  Ledger none;
  Effects effects;
  EXPECT_EQ(none.Apply(Tick{1}, &effects).code(), Code::kFailedPrecondition);
  EXPECT_EQ(master.Try(CreateJob{SmallJob()}).code(), Code::kFailedPrecondition);
}

TEST(Tail, StragglerIsRecalledOnceAndHandsBack) {
  Master master;
  const Grant one = master.Lease(1);
  ASSERT_TRUE(master.Finish(2, master.Lease(2)).ok());
  EXPECT_TRUE(master.Ask(2).recalls.empty()) << "too young";
  master.now = 100;
  ASSERT_EQ(master.Ask(2).recalls.size(), 1u);
  EXPECT_TRUE(master.Ask(2).recalls.empty());
  EXPECT_EQ(master.Must(Renew{1, {one.token}}).recalls.size(), 1u);
  Report report = Master::ReportOf(1, one, End::kOpen);
  report.returned = {{6, 10}};
  master.Must(report);
  EXPECT_EQ(master.Lease(2).ranges, (Ranges{{6, 10}}));
  EXPECT_TRUE(master.Trained(1, one, {0, 6}, End::kFinished).ok());
}

TEST(Tail, BackupAndOriginalCountOnce) {
  JobSpec spec = SmallJob();
  spec.train_backup = true;
  spec.task_records = 20;
  Master master(spec);
  const Grant one = master.Lease(1);
  ASSERT_TRUE(master.Trained(1, one, {0, 5}).ok());
  master.now = 100;
  const Grant backup = master.Lease(2);
  EXPECT_TRUE(backup.backup);
  EXPECT_EQ(backup.ranges, (Ranges{{5, 20}}));
  EXPECT_TRUE(master.Ask(3).grants.empty()) << "one backup is enough";
  ASSERT_TRUE(master.Trained(2, backup, {5, 12}).ok());
  ASSERT_TRUE(master.Trained(1, one, {5, 20}, End::kFinished).ok());
  ASSERT_EQ(master.effects.ended.size(), 2u);
  EXPECT_EQ(master.Finish(2, backup).code(), Code::kAborted);
  EXPECT_EQ(master.ledger.Totals().trained, 20);
  EXPECT_EQ(master.ledger.Coverage()[0].possibly_repeated, (Ranges{{5, 20}}));
  EXPECT_EQ(master.ledger.verdict(), Verdict::kDone);
}

TEST(Tail, LostBackupGivesNothingBackWhileTheOriginalHoldsIt) {
  JobSpec spec = SmallJob();
  spec.train_backup = true;
  spec.task_records = 20;
  Master master(spec);
  const Grant one = master.Lease(1);
  master.now = 100;
  master.Lease(2);
  master.Must(Disconnect{2});
  EXPECT_TRUE(master.ledger.main().Waiting(master.ledger.line(0)).empty());
  master.Must(Disconnect{1});
  EXPECT_EQ(master.Lease(3).ranges, one.ranges);
}

TEST(Epochs, NextBeginsWhenTheQueueIsEmpty) {
  JobSpec spec = SmallJob();
  spec.epochs = 2;
  Master loose(spec);
  EXPECT_EQ(loose.Ask(1, 9).grants.size(), 4u);
  spec.strict_epochs = true;
  Master strict(spec);
  const Effects got = strict.Ask(1, 9);
  ASSERT_EQ(got.grants.size(), 2u);
  EXPECT_EQ(strict.Ask(1).answer, Answer::kFlush);
  for (const Grant& grant : got.grants) ASSERT_TRUE(strict.Finish(1, grant).ok());
  EXPECT_EQ(strict.Lease(1).epoch, 1);
}

}  // namespace
}  // namespace headrace::ledger
