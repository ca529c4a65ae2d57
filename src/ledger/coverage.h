// The account for people and for the exit status.
#ifndef HEADRACE_LEDGER_COVERAGE_H_
#define HEADRACE_LEDGER_COVERAGE_H_

#include <cstdint>
#include <map>
#include <string>

#include "ledger/interval_set.h"

namespace headrace::ledger {

enum class Verdict : std::uint8_t {
  kRunning,
  kDone,                 // every record of every epoch is accounted for
  kDoneWithQuarantined,  // the same, and some of them are in quarantine
  kFailed,
};

struct QuarantineEntry {
  bool evaluation = false;  // a record of JobSpec::evaluation_files
  std::int64_t epoch = 0;   // in which it was found; it is left out of later ones too
  std::int64_t file = 0;
  std::int64_t index = 0;
  std::string error;

  template <class A>
  void Fields(A& a) {
    a(evaluation, epoch, file, index, error);
  }
};

// One file in one epoch. Ranges count records of the file.
struct FileCoverage {
  std::int64_t epoch = 0;
  std::int64_t file = 0;
  std::int64_t records = 0;
  // These and `pending` add up to `records`.
  std::int64_t trained = 0;  // evaluated, predicted
  std::int64_t filtered = 0;
  std::map<std::string, std::int64_t> dropped;  // by op
  std::int64_t quarantined = 0;
  std::int64_t pending = 0;
  Ranges possibly_repeated;      // may be in the model more than once
  Ranges trained_before_rewind;  // trained more than once, in the model once
};

struct CoverageTotals {
  std::int64_t records = 0, trained = 0, filtered = 0, quarantined = 0, pending = 0;
  std::map<std::string, std::int64_t> dropped;
  std::int64_t possibly_repeated = 0, trained_before_rewind = 0;
  // Records of JobSpec::evaluation_files, beside a training: none of the above.
  std::int64_t quarantined_in_evaluation = 0;
};

}  // namespace headrace::ledger

#endif  // HEADRACE_LEDGER_COVERAGE_H_
