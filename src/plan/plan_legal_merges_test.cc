// Interned sets and the largest legal merges, against enumeration.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "plan/legal_merges.h"
#include "plan/random_graph.h"

namespace headrace::plan {
namespace {

using testing::ElementsAre;

TEST(DependencySets, EqualSetsHaveEqualIds) {
  DependencySets sets(200);
  const int a = sets.Singleton(3), b = sets.Singleton(150);
  const int ab = sets.Union(a, b);
  EXPECT_EQ(sets.Union(b, a), ab);
  EXPECT_EQ(sets.Union(ab, a), ab);
  EXPECT_EQ(sets.Union(DependencySets::kEmpty, a), a);
  EXPECT_EQ(sets.Singleton(150), b);
  EXPECT_THAT(sets.Elements(ab), ElementsAre(3, 150));
  EXPECT_EQ(sets.Size(ab), 2u);
  std::vector<std::uint64_t> mask(sets.words(), 0);
  EXPECT_EQ(sets.FirstOutside(ab, mask), 3);
  mask[0] = 8;
  EXPECT_EQ(sets.FirstOutside(ab, mask), 150);
  EXPECT_EQ(sets.FirstOutside(a, mask), -1);
}

// Sets as bit masks over at most 6 sources. A random structure as a graph would give it: values
// flow from sets to larger sets, and every set whose values go nowhere crosses.
struct Uses {
  int sources = 0;
  std::vector<unsigned> own;  // by source
  std::set<unsigned> crosses;
  std::set<std::pair<unsigned, unsigned>> feeds;
};

Uses RandomUses(Random& random) {
  Uses uses;
  uses.sources = 2 + static_cast<int>(random() % 5);
  std::vector<unsigned> values;
  for (int i = 0; i < uses.sources; ++i) {
    unsigned own = 1u << i;
    if (i > 0 && random() % 8 == 0) {
      const unsigned awaited = uses.own[random() % i];
      uses.feeds.emplace(awaited, own | awaited);
      own |= awaited;
    }
    uses.own.push_back(own);
    values.push_back(own);
  }
  const std::uint64_t nodes = random() % 8;
  for (std::uint64_t n = 0; n < nodes; ++n) {
    const unsigned a = values[random() % values.size()], b = values[random() % values.size()];
    if (a != (a | b)) uses.feeds.emplace(a, a | b);
    if (b != (a | b)) uses.feeds.emplace(b, a | b);
    values.push_back(a | b);
  }
  for (unsigned value : values) {
    bool feeds = false;
    for (const auto& [from, to] : uses.feeds) feeds |= from == value;
    if (!feeds || random() % 10 == 0) uses.crosses.insert(value);
  }
  return uses;
}

bool Legal(const Uses& uses, unsigned merged) {
  for (int i = 0; i < uses.sources; ++i) {
    if (((merged >> i) & 1) && (uses.own[i] & ~merged)) return false;
  }
  for (unsigned set : uses.crosses) {
    if ((set & ~merged) == 0 && set != merged) return false;
  }
  for (const auto& [from, to] : uses.feeds) {
    if ((from & ~merged) == 0 && from != merged && (to & ~merged) != 0) return false;
  }
  // Sources that nothing brings together are no merge.
  if ((merged & (merged - 1)) == 0) return true;
  for (unsigned own : uses.own) {
    if (own == merged) return true;
  }
  for (const auto& [from, to] : uses.feeds) {
    if (to == merged) return true;
  }
  return false;
}

TEST(LegalMerges, AreTheLargestOfAllSets) {
  const std::uint64_t seed = TestSeed();
  std::cout << "seed " << seed << " (HEADRACE_TEST_SEED)\n";
  int merges = 0, nested = 0;
  for (int i = 0; i < 20000; ++i) {
    Random random(seed + i);
    const Uses uses = RandomUses(random);
    DependencySets sets(uses.sources);
    const auto id = [&](unsigned mask) {
      int set = DependencySets::kEmpty;
      for (int s = 0; s < uses.sources; ++s) {
        if ((mask >> s) & 1) set = sets.Union(set, sets.Singleton(s));
      }
      return set;
    };
    SetUses input;
    for (unsigned own : uses.own) input.own.push_back(id(own));
    std::vector<std::pair<int, int>> feeds;
    for (const auto& [from, to] : uses.feeds) feeds.emplace_back(id(from), id(to));
    std::vector<int> crosses;
    for (unsigned set : uses.crosses) crosses.push_back(id(set));
    input.crosses.resize(sets.size());
    input.feeds.resize(sets.size());
    for (int set : crosses) input.crosses[set] = 1;
    for (const auto& [from, to] : feeds) input.feeds[from].push_back(to);
    const std::vector<int> groups = LargestLegalMerges(sets, input);

    for (int s = 0; s < uses.sources; ++s) {
      unsigned largest = 0;
      int legal = 0;
      for (unsigned merged = 1; merged < (1u << uses.sources); ++merged) {
        if (!((merged >> s) & 1) || !Legal(uses, merged)) continue;
        ++legal;
        // Legal sets with a common source are nested, so the larger one contains the other.
        ASSERT_TRUE((largest & ~merged) == 0 || (merged & ~largest) == 0) << "case " << i;
        if ((largest & ~merged) == 0) largest = merged;
      }
      unsigned found = 0;
      for (int t = 0; t < uses.sources; ++t) {
        if (groups[s] >= 0 && groups[t] == groups[s]) found |= 1u << t;
      }
      ASSERT_EQ(found, largest) << "case " << i << " source " << s;
      merges += (largest & (largest - 1)) != 0;
      nested += legal > 2;
    }
  }
  std::cout << merges << " merged sources, " << nested << " with several legal merges\n";
  EXPECT_GT(merges, 1000);
  EXPECT_GT(nested, 1000);
}

}  // namespace
}  // namespace headrace::plan
