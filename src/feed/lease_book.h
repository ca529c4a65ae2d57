// Which leases this process holds, and what is still to be said of their records.
#ifndef HEADRACE_FEED_LEASE_BOOK_H_
#define HEADRACE_FEED_LEASE_BOOK_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "feed/account.h"
#include "feed/message.h"
#include "ledger/interval_set.h"

namespace headrace::feed {

// Pure: knows neither queues nor sockets. Each range of a lease is read under a slot of its own;
// what comes back by slot is booked to the lease, merged, and told once.
//
// Ownership: owns all of its state.
// Thread safety: none.
// Units: ranges count records of the lease's file.
class LeaseBook {
 public:
  // Records to be read under a slot.
  struct Piece {
    std::int64_t slot = 0;
    ledger::Range records;
  };
  // Of the leases that are told of, or ended.
  struct Told {
    std::vector<message::Report> reports;
    std::vector<std::int64_t> closed;  // slots that are no more
  };

  // INVALID_ARGUMENT for a token that is held already, or ranges that are no records.
  Status Add(const message::Lease& lease, std::vector<Piece>* pieces);
  // Null: not held.
  const message::Lease* Find(std::uint64_t token) const;
  // 0: of no lease that is held.
  std::uint64_t TokenOf(std::int64_t slot) const;
  // In the order of tokens.
  std::vector<std::uint64_t> tokens() const;
  const std::set<std::int64_t>& SlotsOf(std::uint64_t token) const;
  // Records of which nothing was said so far: neither settled nor given back.
  ledger::Ranges Unsettled(std::uint64_t token) const;
  ledger::Ranges Unsettled(std::uint64_t token, std::int64_t slot) const;

  // What an account says. Ops whose names begin with "filter" filter, all others drop by name.
  // Slots of the past are ignored.
  void Settle(const Settled& settled);
  // These records of the slot were not read and will not be.
  void GiveBack(std::int64_t slot, const ledger::Ranges& records);
  // All that is unsettled goes back.
  void GiveBackAll(std::uint64_t token);
  // What is unsettled is to be read again, under new slots; the old ones are *closed.
  std::vector<Piece> Reslot(std::uint64_t token, std::vector<std::int64_t>* closed);
  // The lease ends with this error: what is unsettled will not be. Its slots, which are no more.
  std::vector<std::int64_t> Fail(std::uint64_t token, const std::string& error,
                                 std::int64_t culprit);
  // The lease ended without us. Its slots; none if it is not held.
  std::vector<std::int64_t> Forget(std::uint64_t token);

  // What is new since the last time. Leases that are done with are forgotten.
  Told Take();
  // Of one lease, even if there is nothing new.
  Told Take(std::uint64_t token, const std::vector<double>& metrics);

 private:
  struct Held {
    message::Lease lease;
    std::set<std::int64_t> slots;
    ledger::IntervalSet unsettled;
    // To be told.
    ledger::IntervalSet trained, filtered, returned;
    std::map<std::string, ledger::IntervalSet> dropped;
    bool failed = false;
    std::string error;
    std::int64_t culprit = -1;
    bool news = false;
  };
  struct SlotOf {
    std::uint64_t token = 0;
    ledger::Range records;
  };

  std::int64_t NewSlot(std::uint64_t token, ledger::Range records);
  template <class Book>
  void ForRuns(const std::vector<std::int64_t>& identities, Book book);
  void TakeOf(std::map<std::uint64_t, Held>::iterator held, const std::vector<double>& metrics,
              Told* told);

  std::map<std::uint64_t, Held> held_;  // by token
  std::map<std::int64_t, SlotOf> slots_;
  std::int64_t next_slot_ = 0;
};

}  // namespace headrace::feed

#endif  // HEADRACE_FEED_LEASE_BOOK_H_
