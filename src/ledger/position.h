// The ledger's account at a checkpoint; stored beside the model, as one unit with it.
#ifndef HEADRACE_LEDGER_POSITION_H_
#define HEADRACE_LEDGER_POSITION_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "ledger/account.h"
#include "ledger/job.h"

namespace headrace::ledger {

// Valid for every job over the same files: task size, seed, number of workers and (upwards) epochs
// may differ from those of the job that wrote it.
struct Position {
  std::uint64_t files = 0;  // FilesFingerprint() of the job
  std::int64_t step = 0;
  Account account;

  template <class A>
  void Fields(A& a) {
    a(files, step, account);
  }
};

// Paths and record counts, in order.
std::uint64_t FilesFingerprint(const JobSpec& spec);

inline constexpr int kPositionVersion = 1;
std::string Encode(const Position& position);
Status Decode(std::string_view bytes, Position* position);

}  // namespace headrace::ledger

#endif  // HEADRACE_LEDGER_POSITION_H_
