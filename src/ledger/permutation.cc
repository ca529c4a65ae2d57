#include "ledger/permutation.h"

#include "ledger/mutation.h"

namespace headrace::ledger {
namespace {

std::uint64_t Mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

Permutation::Permutation(std::int64_t size, std::uint64_t seed, std::int64_t epoch)
    : size_(static_cast<std::uint64_t>(size)), bits_(1) {
  while (bits_ < 31 && (std::uint64_t{1} << (2 * bits_)) < size_) ++bits_;
  mask_ = (std::uint64_t{1} << bits_) - 1;
  for (int i = 0; i < kRounds; ++i) {
    keys_[i] = Mix(Mix(seed) + static_cast<std::uint64_t>(epoch) * 8 + static_cast<unsigned>(i));
  }
}

std::int64_t Permutation::At(std::int64_t index) const {
  auto x = static_cast<std::uint64_t>(index);
  do {
    std::uint64_t left = x >> bits_, right = x & mask_;
    for (const std::uint64_t key : keys_) {
      const std::uint64_t next = left ^ (Mix(right ^ key) & mask_);
      left = right;
      right = next;
    }
    x = (left << bits_) | right;
    if (Mutant(Mutation::kShuffleNotOneToOne)) x %= size_;
  } while (x >= size_);
  return static_cast<std::int64_t>(x);
}

}  // namespace headrace::ledger
