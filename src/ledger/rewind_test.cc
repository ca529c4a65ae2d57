#include <gtest/gtest.h>

#include "ledger/testing.h"

namespace headrace::ledger {
namespace {

using testing::Master;
using testing::SmallJob;

TEST(Rewind, WhatCameAfterTheCheckpointIsTrainedAgain) {
  Master master;
  ASSERT_TRUE(master.Finish(1, master.Lease(1)).ok());
  master.Must(Progress{5, 1});
  const std::string saved = Encode(master.ledger.TakePosition());
  const Grant second = master.Lease(1);
  ASSERT_TRUE(master.Trained(1, second, {10, 14}).ok());
  master.Must(Progress{9, 1});

  RewindTo rewind;
  ASSERT_TRUE(Decode(saved, &rewind.position).ok());
  const Effects effects = master.Must(rewind);
  ASSERT_EQ(effects.ended.size(), 1u);
  EXPECT_EQ(effects.ended[0].reason, EndReason::kRewound);
  EXPECT_EQ(master.ledger.incarnation(), 2);
  EXPECT_EQ(master.ledger.step(), 5);
  EXPECT_EQ(master.Trained(1, second, {14, 15}).code(), Code::kAborted);
  EXPECT_EQ(master.Try(Request{1, 100, 1, 1, true, false}).code(), Code::kAborted);

  const Grant again = master.Lease(2);
  EXPECT_EQ(again.ranges, (Ranges{{10, 20}}));
  EXPECT_GT(again.token, second.token);
  ASSERT_TRUE(master.Finish(2, again).ok());
  const FileCoverage file = master.ledger.Coverage()[0];
  EXPECT_EQ(file.trained, 20);
  EXPECT_TRUE(file.possibly_repeated.empty());
  EXPECT_EQ(file.trained_before_rewind, (Ranges{{10, 14}}));
}

TEST(Rewind, AModelThatIsLostEndsAllLeasesAndChangesNothingElse) {
  Master master;
  const Position begin = master.ledger.TakePosition();
  ASSERT_TRUE(master.Finish(1, master.Lease(1)).ok());
  const Grant second = master.Lease(2);
  ASSERT_TRUE(master.Trained(2, second, {10, 14}).ok());
  const Effects effects = master.Must(LoseModel());
  ASSERT_EQ(effects.ended.size(), 1u);
  EXPECT_EQ(effects.ended[0].reason, EndReason::kRewound);
  EXPECT_FALSE(effects.repeated);
  EXPECT_EQ(master.ledger.incarnation(), 2);
  EXPECT_EQ(master.ledger.Totals().trained, 14);
  EXPECT_EQ(master.Trained(2, second, {14, 20}).code(), Code::kAborted);
  EXPECT_EQ(master.Try(Request{1, 100, 1, 1, true, false}).code(), Code::kAborted);
  // Whose worker dies meanwhile has nothing to lose.
  EXPECT_FALSE(master.Must(Disconnect{2}).repeated);
  RewindTo rewind;
  rewind.position = begin;
  master.Must(rewind);
  EXPECT_EQ(master.ledger.incarnation(), 3);
  for (const std::uint64_t worker : {1, 3}) {
    ASSERT_TRUE(master.Finish(worker, master.Lease(worker)).ok());
  }
  EXPECT_EQ(master.ledger.verdict(), Verdict::kDone);
  EXPECT_EQ(master.ledger.Totals().possibly_repeated, 0);
  EXPECT_EQ(master.ledger.Totals().trained_before_rewind, 14);
}

TEST(Rewind, WhatMayBeRepeatedIsSaidEachTime) {
  Master master;
  for (int i = 0; i < 2; ++i) {
    const Grant grant = master.Lease(1);
    EXPECT_EQ(grant.ranges, (Ranges{{0, 10}}));
    EXPECT_TRUE(master.Must(Disconnect{1}).repeated);
    Join join;
    join.worker = 1;
    EXPECT_FALSE(master.Must(join).repeated);
  }
  EXPECT_EQ(master.ledger.Totals().possibly_repeated, 10);
}

TEST(Rewind, APositionOpensANewJobWithOtherTasksAndMoreEpochs) {
  Master old;
  ASSERT_TRUE(old.Finish(1, old.Lease(1)).ok());
  JobSpec spec = SmallJob();
  spec.task_records = 7;
  spec.epochs = 2;
  Master resumed(spec);
  RewindTo rewind;
  rewind.position = old.ledger.TakePosition();
  resumed.Must(rewind);
  const Effects got = resumed.Ask(1, 2);
  ASSERT_EQ(got.grants.size(), 2u);
  EXPECT_EQ(got.grants[0].ranges, (Ranges{{10, 14}}));
  EXPECT_EQ(got.grants[1].ranges, (Ranges{{14, 20}}));
}

TEST(Rewind, QuarantineOutlivesIt) {
  JobSpec spec = SmallJob();
  spec.max_attempts = 1;
  spec.max_quarantined = 1;
  Master master(spec);
  RewindTo rewind;
  rewind.position = master.ledger.TakePosition();
  ASSERT_TRUE(master.Failed(1, master.Lease(1), 3).ok());
  master.Must(rewind);
  const Effects got = master.Ask(1, 5);
  ASSERT_EQ(got.grants.size(), 3u);
  EXPECT_EQ(got.grants[0].ranges, (Ranges{{0, 3}}));
  EXPECT_EQ(got.grants[1].ranges, (Ranges{{4, 10}}));
  EXPECT_EQ(master.ledger.quarantine().size(), 1u);
}

TEST(Rewind, ARoundWhoseModelIsGoneWaitsForAnother) {
  JobSpec spec = SmallJob();
  spec.evaluation_files = {{"v.rec", 20}};
  spec.evaluation_task_records = 10;
  spec.evaluation_every_steps = 5;
  Master master(spec);
  RewindTo rewind;
  rewind.position = master.ledger.TakePosition();
  master.Must(Progress{6, 1});
  master.Must(PinEvaluation{1, 6});
  ASSERT_TRUE(master.Finish(1, master.Lease(1, true), {10}).ok());
  const Effects effects = master.Must(rewind);
  EXPECT_EQ(effects.evaluations_due, std::vector<std::int64_t>{1});
  master.Must(PinEvaluation{1, 7});
  for (int i = 0; i < 2; ++i) {
    const Grant grant = master.Lease(1, true);
    EXPECT_EQ(grant.model_version, 7);
    ASSERT_TRUE(master.Finish(1, grant, {10}).ok());
  }
  EXPECT_EQ(master.ledger.rounds().at(1).pool.metrics, std::vector<double>{20});
}

TEST(Rewind, ARoundOfTheRestoredModelGoesOn) {
  JobSpec spec = SmallJob();
  spec.evaluation_files = {{"v.rec", 20}};
  spec.evaluation_task_records = 10;
  spec.evaluation_every_steps = 5;
  Master master(spec);
  master.Must(Progress{6, 1});
  RewindTo rewind;
  rewind.position = master.ledger.TakePosition();
  master.Must(PinEvaluation{1, 6});
  ASSERT_TRUE(master.Finish(1, master.Lease(1, true), {10}).ok());
  master.Must(rewind);
  ASSERT_TRUE(master.Finish(1, master.Lease(1, true), {10}).ok());
  EXPECT_EQ(master.ledger.rounds().at(1).state, RoundState::kDone);
}

TEST(Rewind, PositionsThatDoNotFitAreRefused) {
  Master master;
  const std::uint64_t digest = master.ledger.Digest();
  const auto refused = [&](Code code, auto change) {
    RewindTo rewind;
    rewind.position = master.ledger.TakePosition();
    change(&rewind.position);
    EXPECT_EQ(master.Try(rewind).code(), code);
    EXPECT_EQ(master.ledger.Digest(), digest);
  };
  refused(Code::kInvalidArgument, [](Position* p) { p->files ^= 1; });
  refused(Code::kInvalidArgument, [](Position* p) { p->account.done.Add({19, 21}); });
  refused(Code::kDataLoss, [](Position* p) { p->account.filtered.Add({0, 1}); });
  refused(Code::kDataLoss, [](Position* p) {
    p->account.done.Add({0, 5});
    p->account.filtered.Add({0, 3});
    p->account.quarantined.Add({2, 4});
  });
}

}  // namespace
}  // namespace headrace::ledger
