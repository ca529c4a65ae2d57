// What became of the records of one line.
#ifndef HEADRACE_LEDGER_ACCOUNT_H_
#define HEADRACE_LEDGER_ACCOUNT_H_

#include <cstdint>
#include <map>
#include <string>

#include "ledger/interval_set.h"

namespace headrace::ledger {

// A record that is in `done` is in at most one of `filtered`, `dropped` and `quarantined`; in none
// of them, it was trained (evaluated, predicted). Not in `done`: still to do. The two notes at the
// end are no states.
struct Account {
  IntervalSet done;
  IntervalSet filtered;
  std::map<std::string, IntervalSet> dropped;  // by the op that dropped them
  IntervalSet quarantined;

  IntervalSet repeated;  // may have been applied to the model more than once
  IntervalSet rewound;   // trained before a rewind too: not part of the model as it is now

  template <class A>
  void Fields(A& a) {
    a(done, filtered, dropped, quarantined, repeated, rewound);
  }
};

}  // namespace headrace::ledger

#endif  // HEADRACE_LEDGER_ACCOUNT_H_
