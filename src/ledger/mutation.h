// Planted bugs, for the simulation's own test. In the shipped library Mutant() is constant false;
// only the test target compiles the ledger with HEADRACE_LEDGER_MUTATIONS.
#ifndef HEADRACE_LEDGER_MUTATION_H_
#define HEADRACE_LEDGER_MUTATION_H_

namespace headrace::ledger {

enum class Mutation {
  kNone,
  kShuffleNotOneToOne,
  kLastTaskOfEpochSkipped,
  kStrictBarrierIgnored,
  kAckNotRemovedFromLease,
  kAckForgotten,
  kFilteredCountedAsTrained,
  kDropCreditedToNoOp,
  kFinishWithRecordsLeft,
  kReleaseLosesRanges,
  kReleaseReturnsWholeTask,
  kExpiryLosesRanges,
  kExpiryReturnsWholeTask,
  kExpiryKeepsLease,
  kNoExpiry,
  kDisconnectKeepsLeases,
  kRenewalForgotten,
  kRenewalNotJournaled,
  kTokenReused,
  kDuplicateRequestServedTwice,
  kDoneTooEarly,
  kNoFlush,
  kBackupNotTrimmed,
  kBackupRepeatNotNamed,
  kLossRepeatNotNamed,
  kHalvingLosesRecord,
  kHalvingOverlaps,
  kQuarantinedNotAccounted,
  kQuarantinedPutBack,
  kQuarantineLimitOffByOne,
  kRewindKeepsLeases,
  kRewindKeepsAccount,
  kRewindKeepsCursor,
  kRewindKeepsIncarnation,
  kEvaluationCountedTwice,
  kFinalEvaluationForgotten,
  kReturnedNotSerialized,
  kCount,
};

#ifdef HEADRACE_LEDGER_MUTATIONS
extern Mutation active_mutation;
inline bool Mutant(Mutation mutation) {
  return active_mutation == mutation;
}
#else
constexpr bool Mutant(Mutation) {
  return false;
}
#endif

}  // namespace headrace::ledger

#endif  // HEADRACE_LEDGER_MUTATION_H_
