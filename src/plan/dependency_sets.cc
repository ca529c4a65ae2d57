#include "plan/dependency_sets.h"

#include <algorithm>

namespace headrace::plan {

DependencySets::DependencySets(int universe)
    : universe_(universe), words_(std::max(1, (universe + 63) / 64)) {
  Intern(std::vector<std::uint64_t>(words_, 0));
}

int DependencySets::Singleton(int element) {
  std::vector<std::uint64_t> words(words_, 0);
  words[element / 64] = std::uint64_t{1} << (element % 64);
  return Intern(words);
}

int DependencySets::Union(int a, int b) {
  if (a == b || b == kEmpty) return a;
  if (a == kEmpty) return b;
  if (a > b) std::swap(a, b);
  const std::uint64_t key = (static_cast<std::uint64_t>(a) << 32) | static_cast<std::uint32_t>(b);
  if (const auto found = unions_.find(key); found != unions_.end()) return found->second;
  std::vector<std::uint64_t> words(Words(a), Words(a) + words_);
  for (int w = 0; w < words_; ++w) words[w] |= Words(b)[w];
  return unions_[key] = Intern(words);
}

int DependencySets::FirstOutside(int set, const std::vector<std::uint64_t>& mask) const {
  const std::uint64_t* own = Words(set);
  for (int w = 0; w < words_; ++w) {
    if (const std::uint64_t rest = own[w] & ~mask[w]) return w * 64 + __builtin_ctzll(rest);
  }
  return -1;
}

std::vector<int> DependencySets::Elements(int set) const {
  std::vector<int> elements;
  for (int w = 0; w < words_; ++w) {
    for (std::uint64_t rest = Words(set)[w]; rest != 0; rest &= rest - 1) {
      elements.push_back(w * 64 + __builtin_ctzll(rest));
    }
  }
  return elements;
}

int DependencySets::Intern(const std::vector<std::uint64_t>& words) {
  std::uint64_t hash = 0;
  for (std::uint64_t w : words) hash = (hash ^ w) * 0x9E3779B97F4A7C15u, hash ^= hash >> 29;
  const auto [first, last] = by_hash_.equal_range(hash);
  for (auto it = first; it != last; ++it) {
    if (std::equal(words.begin(), words.end(), Words(it->second))) return it->second;
  }
  bits_.insert(bits_.end(), words.begin(), words.end());
  std::size_t elements = 0;
  for (std::uint64_t w : words) elements += __builtin_popcountll(w);
  by_hash_.emplace(hash, size());
  sizes_.push_back(elements);
  return size() - 1;
}

}  // namespace headrace::plan
