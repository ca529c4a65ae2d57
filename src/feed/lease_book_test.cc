#include "feed/lease_book.h"

#include <gtest/gtest.h>

namespace headrace::feed {
namespace {

using ledger::Range;
using ledger::Ranges;
using message::End;

class LeaseBookTest : public ::testing::Test {
 protected:
  std::vector<LeaseBook::Piece> Add(std::uint64_t token, const Ranges& ranges) {
    message::Lease lease;
    lease.token = token;
    lease.ranges = ranges;
    std::vector<LeaseBook::Piece> pieces;
    const Status status = book_.Add(lease, &pieces);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return pieces;
  }
  static std::vector<std::int64_t> Of(const LeaseBook::Piece& piece, std::int64_t begin,
                                      std::int64_t end) {
    std::vector<std::int64_t> identities;
    for (std::int64_t i = begin; i < end; ++i) identities.push_back(Identity::Make(piece.slot, i));
    return identities;
  }

  LeaseBook book_;
};

TEST_F(LeaseBookTest, TellsMergedRangesOnce) {
  const auto pieces = Add(5, {{0, 10}, {20, 30}});
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_NE(pieces[0].slot, pieces[1].slot);
  EXPECT_EQ(book_.TokenOf(pieces[1].slot), 5u);
  EXPECT_TRUE(book_.Take().reports.empty());
  Settled settled;
  settled.trained = Of(pieces[0], 0, 4);
  settled.dropped["filter:2"] = Of(pieces[0], 4, 6);
  settled.dropped["filter_none"] = Of(pieces[1], 29, 30);
  settled.dropped["take"] = Of(pieces[0], 6, 7);
  book_.Settle(settled);
  settled = {};
  settled.trained = Of(pieces[0], 7, 10);
  book_.Settle(settled);
  LeaseBook::Told told = book_.Take();
  ASSERT_EQ(told.reports.size(), 1u);
  const message::Report& report = told.reports[0];
  EXPECT_EQ(report.token, 5u);
  EXPECT_EQ(report.trained, (Ranges{{0, 4}, {7, 10}}));
  EXPECT_EQ(report.filtered, (Ranges{{4, 6}, {29, 30}}));
  EXPECT_EQ(report.dropped, (std::map<std::string, Ranges>{{"take", {{6, 7}}}}));
  EXPECT_EQ(report.end, End::kOpen);
  EXPECT_TRUE(book_.Take().reports.empty());
  EXPECT_EQ(book_.Unsettled(5), (Ranges{{20, 29}}));

  settled = {};
  settled.trained = Of(pieces[1], 20, 25);
  book_.Settle(settled);
  book_.GiveBack(pieces[1].slot, {{25, 29}});
  told = book_.Take();
  ASSERT_EQ(told.reports.size(), 1u);
  EXPECT_EQ(told.reports[0].returned, (Ranges{{25, 29}}));
  EXPECT_EQ(told.reports[0].end, End::kFinished);
  EXPECT_EQ(told.closed.size(), 2u);
  EXPECT_EQ(book_.Find(5), nullptr);
}

TEST_F(LeaseBookTest, NewSlotsForWhatIsUnsettled) {
  const auto pieces = Add(5, {{0, 10}});
  Settled settled;
  settled.trained = Of(pieces[0], 3, 5);
  book_.Settle(settled);
  std::vector<std::int64_t> closed;
  const auto again = book_.Reslot(5, &closed);
  EXPECT_EQ(closed, std::vector<std::int64_t>{pieces[0].slot});
  ASSERT_EQ(again.size(), 2u);
  EXPECT_EQ(again[0].records, (Range{0, 3}));
  EXPECT_EQ(again[1].records, (Range{5, 10}));
  // What comes late under the old slot is of the past.
  settled.trained = Of(pieces[0], 0, 3);
  book_.Settle(settled);
  EXPECT_EQ(ledger::Size(book_.Unsettled(5)), 8);
  settled.trained = Of(again[0], 0, 3);
  book_.Settle(settled);
  EXPECT_EQ(book_.Take().reports[0].trained, (Ranges{{0, 5}}));
}

TEST_F(LeaseBookTest, FailedAndForgotten) {
  const auto first = Add(5, {{0, 10}});
  const auto second = Add(6, {{0, 10}});
  Settled settled;
  settled.trained = Of(first[0], 0, 1);
  book_.Settle(settled);
  book_.Fail(5, "bad", 7);
  EXPECT_EQ(book_.Forget(6), std::vector<std::int64_t>{second[0].slot});
  const LeaseBook::Told told = book_.Take();
  ASSERT_EQ(told.reports.size(), 1u);
  EXPECT_EQ(told.reports[0].end, End::kFailed);
  EXPECT_EQ(told.reports[0].error, "bad");
  EXPECT_EQ(told.reports[0].culprit, 7);
  EXPECT_EQ(told.reports[0].trained, (Ranges{{0, 1}}));
  EXPECT_TRUE(book_.tokens().empty());
}

TEST_F(LeaseBookTest, RefusesWhatIsNoLease) {
  Add(5, {{0, 10}});
  std::vector<LeaseBook::Piece> pieces;
  message::Lease lease;
  lease.token = 5;
  EXPECT_EQ(book_.Add(lease, &pieces).code(), Code::kInvalidArgument);
  lease.token = 6;
  for (const Ranges& wrong : {Ranges{{5, 5}}, Ranges{{-1, 5}}, Ranges{{5, 9}, {8, 10}}}) {
    lease.ranges = wrong;
    EXPECT_EQ(book_.Add(lease, &pieces).code(), Code::kInvalidArgument);
  }
  lease.ranges = {};
  EXPECT_TRUE(book_.Add(lease, &pieces).ok());
  EXPECT_EQ(book_.Take().reports[0].end, End::kFinished) << "nothing is left of it";
}

}  // namespace
}  // namespace headrace::feed
