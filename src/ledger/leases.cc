#include "ledger/leases.h"

#include "ledger/mutation.h"

namespace headrace::ledger {

Lease* LeaseTable::Find(std::uint64_t token) {
  const auto it = leases_.find(token);
  return it == leases_.end() ? nullptr : &it->second;
}

const Lease* LeaseTable::Find(std::uint64_t token) const {
  const auto it = leases_.find(token);
  return it == leases_.end() ? nullptr : &it->second;
}

Lease* LeaseTable::Insert(Lease lease) {
  by_deadline_.emplace(lease.deadline_ms, lease.token);
  by_worker_.emplace(lease.worker, lease.token);
  const std::uint64_t token = lease.token;
  return &leases_.emplace_hint(leases_.end(), token, std::move(lease))->second;
}

void LeaseTable::Remove(std::uint64_t token) {
  const auto it = leases_.find(token);
  by_deadline_.erase({it->second.deadline_ms, token});
  by_worker_.erase({it->second.worker, token});
  leases_.erase(it);
}

void LeaseTable::SetDeadline(Lease* lease, std::int64_t deadline_ms) {
  if (Mutant(Mutation::kRenewalForgotten)) return;
  by_deadline_.erase({lease->deadline_ms, lease->token});
  lease->deadline_ms = deadline_ms;
  by_deadline_.emplace(deadline_ms, lease->token);
}

std::vector<std::uint64_t> LeaseTable::DueBy(std::int64_t now_ms) const {
  std::vector<std::uint64_t> tokens;
  for (const auto& [deadline_ms, token] : by_deadline_) {
    if (deadline_ms > now_ms) break;
    tokens.push_back(token);
  }
  return tokens;
}

std::vector<std::uint64_t> LeaseTable::HeldBy(std::uint64_t worker) const {
  std::vector<std::uint64_t> tokens;
  for (auto it = by_worker_.lower_bound({worker, 0}); it != by_worker_.end() && it->first == worker;
       ++it) {
    tokens.push_back(it->second);
  }
  return tokens;
}

bool LeaseTable::HoldsAny(std::uint64_t worker) const {
  const auto it = by_worker_.lower_bound({worker, 0});
  return it != by_worker_.end() && it->first == worker;
}

void LeaseTable::Index() {
  by_deadline_.clear();
  by_worker_.clear();
  for (const auto& [token, lease] : leases_) {
    by_deadline_.emplace(lease.deadline_ms, token);
    by_worker_.emplace(lease.worker, token);
  }
}

}  // namespace headrace::ledger
