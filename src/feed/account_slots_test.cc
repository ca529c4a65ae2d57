// Accounts with slots that were opened; account_test.cc has those without.
#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <random>

#include "feed/account.h"

namespace headrace::feed {
namespace {

using Identities = std::vector<std::int64_t>;
using Dropped = std::map<std::string, Identities>;

class AccountSlotsTest : public ::testing::Test {
 protected:
  static void Expect(const Status& status) { EXPECT_TRUE(status.ok()) << status.ToString(); }
  static void ExpectRefused(const Status& status, const std::string& text) {
    EXPECT_EQ(status.code(), Code::kInternal);
    EXPECT_NE(status.message().find(text), std::string::npos) << status.ToString();
  }
  static std::int64_t At(std::int64_t slot, std::int64_t index) {
    return Identity::Make(slot, index);
  }

  Account account_;
};

TEST_F(AccountSlotsTest, AsWithoutSlots) {
  Expect(account_.Open(3, 1000, 5000));
  for (const std::int64_t index : {1000, 2047, 2048, 4999}) Expect(account_.Read(At(3, index)));
  EXPECT_EQ(account_.outstanding(), 4u);
  Expect(account_.Split(At(3, 2048)));
  ExpectRefused(account_.Split(At(3, 2048)), "again");
  ExpectRefused(account_.Applied({At(3, 1000), At(3, 2048)}), "used by a step");
  Expect(account_.Part(At(3, 2048)));
  Expect(account_.Part(At(3, 2048)));
  Expect(account_.PartsEnd(At(3, 2048), "flat_map:1"));
  Expect(account_.Drop(At(3, 2047), "filter:1"));
  Expect(account_.Applied({At(3, 4999), -1, At(3, 2048), At(3, 2048), At(3, 1000)}));
  const Settled settled = account_.Take();
  EXPECT_EQ(settled.trained, (Identities{At(3, 1000), At(3, 2048), At(3, 4999)}));
  EXPECT_EQ(settled.dropped, (Dropped{{"filter:1", {At(3, 2047)}}}));
  EXPECT_EQ(account_.outstanding(), 0u);
}

TEST_F(AccountSlotsTest, WhatDoesNotFitIsRefusedAndChangesNothing) {
  Expect(account_.Open(0, 10, 20));
  EXPECT_EQ(account_.Open(0, 10, 20).code(), Code::kInvalidArgument);
  EXPECT_EQ(account_.Open(1, 5, 5).code(), Code::kInvalidArgument);
  EXPECT_EQ(account_.Open(-1, 5, 6).code(), Code::kInvalidArgument);
  ExpectRefused(account_.Read(At(0, 9)), "[10, 20)");
  ExpectRefused(account_.Read(At(0, 20)), "[10, 20)");
  Expect(account_.Read(At(0, 10)));
  Expect(account_.Read(At(0, 11)));
  ExpectRefused(account_.Read(At(0, 10)), "read again before");
  ExpectRefused(account_.Applied({At(0, 10), At(0, 10)}), "used by a step");
  ExpectRefused(account_.Applied({At(0, 10), At(0, 12)}), "used by a step");
  ExpectRefused(account_.Part(At(0, 10)), "split");
  EXPECT_TRUE(account_.Take().empty());
  Expect(account_.Applied({At(0, 10), At(0, 11)}));
  ExpectRefused(account_.Read(At(0, 10)), "after it was settled");
  ExpectRefused(account_.Drop(At(0, 10), "filter"), "dropped");
}

TEST_F(AccountSlotsTest, OfAClosedSlotAllIsIgnored) {
  Expect(account_.Open(0, 0, 10));
  Expect(account_.Open(1, 0, 10));
  for (const int index : {0, 1, 2}) Expect(account_.Read(At(0, index)));
  Expect(account_.Read(At(1, 0)));
  Expect(account_.Split(At(0, 1)));
  Expect(account_.Applied({At(0, 2)}));
  account_.Close(0);
  EXPECT_EQ(account_.outstanding(), 1u);
  Expect(account_.Read(At(0, 5)));
  Expect(account_.Part(At(0, 1)));
  Expect(account_.PartsEnd(At(0, 1), "x"));
  Expect(account_.Drop(At(0, 0), "x"));
  Expect(account_.Applied({At(0, 0), At(1, 0)}));
  EXPECT_EQ(account_.Take().trained, (Identities{At(0, 2), At(1, 0)}));
  EXPECT_EQ(account_.outstanding(), 0u);
  // Slots that nobody opened stay free.
  Expect(account_.Read(At(7, 5)));
  Expect(account_.Applied({At(7, 5)}));
}

TEST_F(AccountSlotsTest, SaysWhenASlotIsFinished) {
  int finished = 0;
  account_.OnFinished([&] {
    ++finished;
    EXPECT_EQ(account_.outstanding(), 0u) << "called with the lock held, or too early";
  });
  Expect(account_.Open(0, 0, 3));
  for (const int index : {0, 1}) Expect(account_.Read(At(0, index)));
  Expect(account_.Applied({At(0, 0), At(0, 1)}));
  EXPECT_EQ(finished, 0);
  account_.GiveBack(0, 1);
  EXPECT_EQ(finished, 1);
  Expect(account_.Open(1, 0, 2));
  for (const int index : {0, 1}) Expect(account_.Read(At(1, index)));
  account_.End("batch");
  EXPECT_EQ(finished, 2);
  Expect(account_.Open(2, 0, 1));
  Expect(account_.Read(At(2, 0)));
  Expect(account_.Drop(At(2, 0), "filter"));
  EXPECT_EQ(finished, 3);
}

TEST_F(AccountSlotsTest, TheEndSettlesEverySlot) {
  Expect(account_.Open(0, 0, 3000));
  Expect(account_.Open(1, 5, 6));
  for (int index = 0; index < 3000; index += 2) Expect(account_.Read(At(0, index)));
  Expect(account_.Read(At(1, 5)));
  Expect(account_.Split(At(0, 4)));
  Expect(account_.Part(At(0, 4)));
  Expect(account_.Applied({At(0, 4)}));
  account_.End("batch");
  const Settled settled = account_.Take();
  EXPECT_EQ(settled.trained, Identities{At(0, 4)});
  EXPECT_EQ(settled.dropped.at("batch").size(), 1500u);
  EXPECT_EQ(account_.outstanding(), 0u);
}

// The same random calls with slots and without give the same.
TEST_F(AccountSlotsTest, AgreesWithTheHashTable) {
  std::mt19937 random(5);
  Account hashed;
  constexpr int kSlots = 3, kRecords = 2500;
  for (int slot = 0; slot < kSlots; ++slot) Expect(account_.Open(slot, 0, kRecords));
  std::vector<std::pair<std::int64_t, int>> unread;
  Identities live;  // elements
  Identities all(kSlots * kRecords);
  std::iota(all.begin(), all.end(), 0);
  std::shuffle(all.begin(), all.end(), random);
  const auto both = [&](auto call) {
    const Status a = call(&account_), b = call(&hashed);
    EXPECT_EQ(a.code(), b.code()) << a.ToString() << " / " << b.ToString();
    return a.ok();
  };
  const auto pick = [&] {
    const std::size_t i = random() % live.size();
    std::swap(live[i], live.back());
    const std::int64_t identity = live.back();
    live.pop_back();
    return identity;
  };
  Settled from_slots, from_hash;
  const auto take = [](Account* account, Settled* all_of) {
    Settled some = account->Take();
    all_of->trained.insert(all_of->trained.end(), some.trained.begin(), some.trained.end());
    for (auto& [op, list] : some.dropped) {
      auto& to = all_of->dropped[op];
      to.insert(to.end(), list.begin(), list.end());
    }
    return some.trained.size();
  };
  while (!all.empty() || !live.empty()) {
    const unsigned what = random() % 8;
    if (what < 3 && !all.empty()) {
      const std::int64_t identity = At(all.back() % kSlots, all.back() / kSlots);
      all.pop_back();
      both([&](Account* a) { return a->Read(identity); });
      live.push_back(identity);
    } else if (what == 3 && !live.empty()) {
      const std::int64_t identity = pick();
      const int parts = static_cast<int>(random() % 3);
      both([&](Account* a) { return a->Split(identity); });
      for (int i = 0; i < parts; ++i) {
        both([&](Account* a) { return a->Part(identity); });
        live.push_back(identity);
      }
      both([&](Account* a) { return a->PartsEnd(identity, "flat_map"); });
    } else if (what == 4 && !live.empty()) {
      const std::int64_t identity = pick();
      both([&](Account* a) { return a->Drop(identity, "filter"); });
    } else if (!live.empty()) {
      Identities batch;
      while (!live.empty() && batch.size() < 7) batch.push_back(pick());
      if (random() % 50 == 0) {
        Identities wrong = batch;
        wrong.push_back(At(kSlots - 1, kRecords - 1));
        wrong.push_back(wrong.back());
        wrong.push_back(wrong.back());
        wrong.push_back(wrong.back());
        if (!both([&](Account* a) { return a->Applied(wrong); })) {
          both([&](Account* a) { return a->Applied(batch); });
        }
      } else {
        both([&](Account* a) { return a->Applied(batch); });
      }
    }
    EXPECT_EQ(account_.outstanding(), hashed.outstanding());
    if (random() % 100 == 0) {
      EXPECT_EQ(take(&account_, &from_slots), take(&hashed, &from_hash));
    }
  }
  take(&account_, &from_slots);
  take(&hashed, &from_hash);
  EXPECT_EQ(from_slots.trained, from_hash.trained);
  EXPECT_EQ(from_slots.dropped, from_hash.dropped);
  EXPECT_EQ(account_.outstanding(), 0u);
}

}  // namespace
}  // namespace headrace::feed
