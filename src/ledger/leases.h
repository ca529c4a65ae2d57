// The leases that are out.
#ifndef HEADRACE_LEDGER_LEASES_H_
#define HEADRACE_LEDGER_LEASES_H_

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "ledger/interval_set.h"

namespace headrace::ledger {

struct Lease {
  std::uint64_t token = 0;
  std::uint64_t worker = 0;
  std::int64_t work = 0;  // 0: the main work, else the number of an evaluation round
  Range range;            // as granted: the hull of its records on the line
  Ranges remaining;       // not accounted for
  std::int64_t attempts = 0, losses = 0;
  bool suspect = false;
  bool backup = false;
  bool recalled = false;
  std::uint64_t sibling = 0;  // the other lease of these records, or 0
  std::int64_t granted_ms = 0, deadline_ms = 0;

  template <class A>
  void Fields(A& a) {
    a(token, worker, work, range, remaining, attempts, losses, suspect, backup, recalled, sibling,
      granted_ms, deadline_ms);
  }
};

// Leases by token, with an order by deadline and by worker beside it.
// Thread safety: none.
class LeaseTable {
 public:
  Lease* Find(std::uint64_t token);
  const Lease* Find(std::uint64_t token) const;
  // Requires: the token is new. The pointer is valid until the lease is removed.
  Lease* Insert(Lease lease);
  void Remove(std::uint64_t token);
  void SetDeadline(Lease* lease, std::int64_t deadline_ms);

  std::vector<std::uint64_t> DueBy(std::int64_t now_ms) const;
  std::vector<std::uint64_t> HeldBy(std::uint64_t worker) const;
  bool HoldsAny(std::uint64_t worker) const;
  // By token, so the oldest first.
  const std::map<std::uint64_t, Lease>& all() const { return leases_; }

  template <class A>
  void Fields(A& a) {
    a(leases_);
    if constexpr (A::kReading) Index();
  }

 private:
  using Key = std::pair<std::int64_t, std::uint64_t>;
  void Index();

  std::map<std::uint64_t, Lease> leases_;
  std::set<Key> by_deadline_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> by_worker_;
};

}  // namespace headrace::ledger

#endif  // HEADRACE_LEDGER_LEASES_H_
