// A seeded shuffle that is computed, not stored.
#ifndef HEADRACE_LEDGER_PERMUTATION_H_
#define HEADRACE_LEDGER_PERMUTATION_H_

#include <cstdint>

namespace headrace::ledger {

// A permutation of [0, size), fixed by (size, seed, epoch) for all time and on all machines; the
// journal relies on it.
//
// Algorithm: let b be the least number, at least 1, with 4^b >= size. A number of 2b bits is split
// into halves (L, R) of b bits, and five rounds (L, R) := (R, L xor (Mix(R xor K[i]) mod 2^b)) are
// applied; a result of `size` or more goes through the same rounds again until it is below `size`
// (cycle walking, fewer than 4 times on average). K[i] = Mix(Mix(seed) + epoch * 8 + i), and Mix is
// the finalizer of SplitMix64 after adding 0x9e3779b97f4a7c15.
// Thread safety: immutable.
class Permutation {
 public:
  // Requires: 0 < size <= 2^62.
  Permutation(std::int64_t size, std::uint64_t seed, std::int64_t epoch);
  std::int64_t At(std::int64_t index) const;

 private:
  static constexpr int kRounds = 5;
  std::uint64_t size_, mask_, keys_[kRounds];
  int bits_;
};

}  // namespace headrace::ledger

#endif  // HEADRACE_LEDGER_PERMUTATION_H_
