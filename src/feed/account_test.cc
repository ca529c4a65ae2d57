#include "feed/account.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <thread>

namespace headrace::feed {
namespace {

using Identities = std::vector<std::int64_t>;
using Dropped = std::map<std::string, Identities>;

class AccountTest : public ::testing::Test {
 protected:
  void Read(const Identities& identities) {
    for (const auto identity : identities) Expect(account_.Read(identity));
  }
  static void Expect(const Status& status) { EXPECT_TRUE(status.ok()) << status.ToString(); }
  static void ExpectRefused(const Status& status, const std::string& text) {
    EXPECT_EQ(status.code(), Code::kInternal);
    EXPECT_NE(status.message().find(text), std::string::npos) << status.ToString();
  }

  Account account_;
};

TEST(IdentityTest, HoldsSlotAndIndex) {
  for (const std::int64_t slot : {std::int64_t{0}, std::int64_t{7}, Identity::kMaxSlot}) {
    for (const std::int64_t index : {std::int64_t{0}, std::int64_t{9}, Identity::kMaxIndex}) {
      const std::int64_t identity = Identity::Make(slot, index);
      EXPECT_GE(identity, 0);
      EXPECT_EQ(Identity::Slot(identity), slot);
      EXPECT_EQ(Identity::Index(identity), index);
    }
  }
}

TEST_F(AccountTest, TrainedWhenItsStepWasApplied) {
  Read({3, 1, 2});
  EXPECT_TRUE(account_.Take().empty());
  Expect(account_.Applied({3, 1}));
  EXPECT_EQ(account_.Take().trained, (Identities{1, 3}));
  EXPECT_TRUE(account_.Take().empty());
  EXPECT_EQ(account_.outstanding(), 1u);
}

TEST_F(AccountTest, DroppedByName) {
  Read({1, 2, 3});
  Expect(account_.Drop(2, "filter:1"));
  Expect(account_.Drop(1, "take"));
  Expect(account_.Applied({3}));
  const Settled settled = account_.Take();
  EXPECT_EQ(settled.trained, Identities{3});
  EXPECT_EQ(settled.dropped, (Dropped{{"filter:1", {2}}, {"take", {1}}}));
}

TEST_F(AccountTest, SplitRecordsAreSettledWithTheirLastPart) {
  Read({5});
  Expect(account_.Split(5));
  Expect(account_.Part(5));
  Expect(account_.Part(5));
  // The first part may be used before the last one is made.
  Expect(account_.Applied({5}));
  Expect(account_.Part(5));
  Expect(account_.PartsEnd(5, "flat_map:1"));
  EXPECT_TRUE(account_.Take().empty());
  Expect(account_.Drop(5, "filter:2"));
  EXPECT_TRUE(account_.Take().empty());
  Expect(account_.Applied({5}));
  const Settled settled = account_.Take();
  EXPECT_EQ(settled.trained, Identities{5});
  EXPECT_TRUE(settled.dropped.empty());
}

TEST_F(AccountTest, PartsOfOneRecordInOneStep) {
  Read({5});
  Expect(account_.Split(5));
  Expect(account_.Part(5));
  Expect(account_.Part(5));
  Expect(account_.PartsEnd(5, "flat_map:1"));
  Expect(account_.Applied({5, 5}));
  EXPECT_EQ(account_.Take().trained, Identities{5});
}

TEST_F(AccountTest, ARecordWithoutPartsIsDropped) {
  Read({5, 6});
  Expect(account_.Split(5));
  Expect(account_.PartsEnd(5, "flat_map:1"));
  EXPECT_EQ(account_.Take().dropped, (Dropped{{"flat_map:1", {5}}}));
}

TEST_F(AccountTest, AllPartsDropped) {
  Read({5});
  Expect(account_.Split(5));
  Expect(account_.Part(5));
  Expect(account_.Part(5));
  Expect(account_.PartsEnd(5, "flat_map:1"));
  Expect(account_.Drop(5, "filter:2"));
  Expect(account_.Drop(5, "take:3"));
  EXPECT_EQ(account_.Take().dropped, (Dropped{{"filter:2", {5}}}));
}

TEST_F(AccountTest, WhatIsLeftAtTheEnd) {
  Read({1, 2, 3});
  Expect(account_.Split(3));
  Expect(account_.Part(3));
  Expect(account_.Applied({1, 3}));
  account_.End("batch(drop_remainder)");
  const Settled settled = account_.Take();
  EXPECT_EQ(settled.trained, (Identities{1, 3}));
  EXPECT_EQ(settled.dropped, (Dropped{{"batch(drop_remainder)", {2}}}));
  EXPECT_EQ(account_.outstanding(), 0u);
  Read({1, 2, 3});  // leased again
}

TEST_F(AccountTest, WhatDoesNotFitIsRefusedAndChangesNothing) {
  Read({1, 2});
  ExpectRefused(account_.Read(1), "read again");
  ExpectRefused(account_.Read(-1), "negative");
  ExpectRefused(account_.Applied({1, 9}), "used by a step");
  ExpectRefused(account_.Applied({1, 1}), "used by a step");
  ExpectRefused(account_.Drop(9, "filter"), "dropped");
  ExpectRefused(account_.Split(9), "split");
  ExpectRefused(account_.Part(1), "split");
  ExpectRefused(account_.PartsEnd(1, ""), "split");
  Expect(account_.Split(1));
  ExpectRefused(account_.Split(1), "again");
  ExpectRefused(account_.Applied({1}), "used by a step");
  EXPECT_TRUE(account_.Take().empty());
  EXPECT_EQ(account_.outstanding(), 2u);
  Expect(account_.Applied({2}));
}

TEST_F(AccountTest, ManyThreads) {
  constexpr int kThreads = 4, kRecords = 2000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      for (int i = 0; i < kRecords; ++i) {
        const std::int64_t identity = Identity::Make(t, i);
        Expect(account_.Read(identity));
        if (random() % 3 == 0) {
          Expect(account_.Drop(identity, "filter"));
        } else {
          Expect(account_.Applied({identity}));
        }
      }
    });
  }
  Settled all;
  const auto collect = [&] {
    const Settled some = account_.Take();
    all.trained.insert(all.trained.end(), some.trained.begin(), some.trained.end());
    for (const auto& [op, list] : some.dropped) {
      all.dropped[op].insert(all.dropped[op].end(), list.begin(), list.end());
    }
  };
  for (int i = 0; i < 50; ++i) collect();
  for (std::thread& thread : threads) thread.join();
  collect();
  EXPECT_EQ(account_.outstanding(), 0u);
  Identities seen = all.trained;
  seen.insert(seen.end(), all.dropped["filter"].begin(), all.dropped["filter"].end());
  std::sort(seen.begin(), seen.end());
  ASSERT_EQ(seen.size(), std::size_t{kThreads * kRecords});
  EXPECT_EQ(std::adjacent_find(seen.begin(), seen.end()), seen.end());
}

TEST(AccountsTest, OneOfAName) {
  std::shared_ptr<Account> account, other;
  ASSERT_TRUE(Accounts::Get().Open("job", &account).ok());
  EXPECT_EQ(Accounts::Get().Open("job", &other).code(), Code::kAlreadyExists);
  EXPECT_EQ(Accounts::Get().Find("job"), account);
  Accounts::Get().Close("job");
  EXPECT_EQ(Accounts::Get().Find("job"), nullptr);
  ASSERT_TRUE(Accounts::Get().Open("job", &other).ok());
  Accounts::Get().Close("job");
}

TEST(AccountDeliveryTest, WhatWasDeliveredOutlivesItsIterator) {
  Account account;
  ASSERT_TRUE(account.Open(3, 0, 10).ok());
  std::vector<std::int64_t> identities;
  for (int i = 0; i < 4; ++i) {
    identities.push_back(Identity::Make(3, i));
    ASSERT_TRUE(account.Read(identities.back()).ok());
  }
  // Record 0 makes two elements, of which one is delivered.
  ASSERT_TRUE(account.Split(identities[0]).ok());
  ASSERT_TRUE(account.Part(identities[0]).ok());
  ASSERT_TRUE(account.Part(identities[0]).ok());
  ASSERT_TRUE(account.PartsEnd(identities[0], "flat_map").ok());
  ASSERT_TRUE(account.Deliver(identities.data(), 2).ok());
  account.End("batch");
  EXPECT_EQ(account.Take().dropped["batch"],
            (std::vector<std::int64_t>{identities[2], identities[3]}));
  EXPECT_EQ(account.outstanding(), 2u);
  EXPECT_EQ(account.in_hand(), 2u);
  EXPECT_EQ(account.Unread(3), 6);
  EXPECT_EQ(account.Unread(4), 0);
  ASSERT_TRUE(account.Applied(identities.data(), 2).ok());
  const Settled settled = account.Take();
  EXPECT_EQ(settled.trained, (std::vector<std::int64_t>{identities[0], identities[1]}));
  EXPECT_TRUE(settled.dropped.empty());
  EXPECT_EQ(account.outstanding(), 0u);
  EXPECT_EQ(account.in_hand(), 0u);
  EXPECT_EQ(account.Deliver(&identities[2], 1).code(), Code::kInternal);
}

}  // namespace
}  // namespace headrace::feed
