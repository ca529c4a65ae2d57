#include "ledger/interval_set.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <set>
#include <vector>

#include "ledger/codec.h"

namespace headrace::ledger {
namespace {

TEST(IntervalSet, NeighboursMerge) {
  IntervalSet set;
  set.Add({0, 5});
  set.Add({10, 15});
  EXPECT_EQ(set.All(), (Ranges{{0, 5}, {10, 15}}));
  set.Add({5, 10});
  EXPECT_EQ(set.All(), (Ranges{{0, 15}}));
  set.Remove({3, 4});
  EXPECT_EQ(set.All(), (Ranges{{0, 3}, {4, 15}}));
  EXPECT_EQ(set.size(), 14);
  EXPECT_EQ(set.Gaps({-1, 16}), (Ranges{{-1, 0}, {3, 4}, {15, 16}}));
  EXPECT_TRUE(set.Gaps({1, 1}).empty());
}

TEST(IntervalSet, AgreesWithASetOfNumbers) {
  constexpr int kLine = 60;
  for (int seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    IntervalSet set;
    Ranges ranges{{0, kLine}};
    std::set<int> members, list;
    for (int i = 0; i < kLine; ++i) list.insert(i);
    for (int step = 0; step < 60; ++step) {
      const int begin = static_cast<int>(random() % kLine);
      const int end = begin + static_cast<int>(random() % 12);
      const Range range{begin, std::min(end, kLine)};
      const bool add = random() % 3 != 0;
      add ? set.Add(range) : set.Remove(range);
      for (std::int64_t i = range.begin; i < range.end; ++i) {
        add ? (void)members.insert(static_cast<int>(i)) : (void)members.erase(static_cast<int>(i));
      }
      ASSERT_EQ(set.size(), static_cast<std::int64_t>(members.size())) << "seed " << seed;
      if (random() % 8 == 0) {
        Subtract(&ranges, range);
        for (std::int64_t i = range.begin; i < range.end; ++i) list.erase(static_cast<int>(i));
      }
      ASSERT_EQ(Size(ranges), static_cast<std::int64_t>(list.size()));
      std::int64_t in = 0, in_list = 0;
      for (std::int64_t i = range.begin; i < range.end; ++i) {
        in += members.count(static_cast<int>(i)) != 0;
        in_list += list.count(static_cast<int>(i)) != 0;
      }
      ASSERT_EQ(set.SizeWithin(range), in);
      ASSERT_EQ(Size(set.Slice(range)), in);
      ASSERT_EQ(Size(set.Gaps(range)), range.size() - in);
      ASSERT_EQ(set.Covers(range), in == range.size());
      ASSERT_EQ(set.Overlaps(range), in > 0);
      ASSERT_EQ(Size(Intersect(ranges, range)), in_list);
      ASSERT_EQ(Covers(ranges, range), in_list == range.size());
      // No two intervals touch.
      const Ranges all = set.All();
      for (std::size_t i = 1; i < all.size(); ++i) ASSERT_LT(all[i - 1].end, all[i].begin);
    }
    Encoder encoder;
    encoder(set);
    Decoder decoder("set", encoder.bytes());
    IntervalSet read;
    decoder(read);
    ASSERT_TRUE(decoder.Finish().ok());
    ASSERT_EQ(read.All(), set.All());
    ASSERT_EQ(read.size(), set.size());
  }
}

TEST(IntervalSet, BytesOutOfOrderAreRefused) {
  const std::vector<Ranges> wrong = {
      {{5, 6}, {1, 2}}, {{1, 3}, {3, 4}}, {{4, 4}}, {{-1, 1}}, {{INT64_MIN, 0}}};
  for (const Ranges& bad : wrong) {
    Encoder encoder;
    encoder(bad);
    Decoder decoder("set", encoder.bytes());
    IntervalSet read;
    decoder(read);
    EXPECT_EQ(decoder.Finish().code(), Code::kDataLoss);
  }
}

}  // namespace
}  // namespace headrace::ledger
