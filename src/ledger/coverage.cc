// Snapshots and the account for people.
#include "ledger/coverage.h"

#include <utility>

#include "ledger/codec.h"
#include "ledger/ledger.h"
#include "ledger/mutation.h"

namespace headrace::ledger {

template <class A>
void Ledger::Fields(A& a) {
  a(created_, spec_, main_, bad_, evaluation_bad_, quarantine_, rounds_, final_round_,
    last_round_ms_, leases_, workers_, next_token_, now_ms_, step_, incarnation_, failure_);
}

namespace {
constexpr std::uint64_t kSnapshotVersion = 3;
}  // namespace

std::string Ledger::Snapshot() const {
  Encoder encoder;
  encoder(kSnapshotVersion, *this);
  return encoder.Take();
}

Status Ledger::Restore(std::string_view bytes, Ledger* ledger) {
  Decoder decoder("ledger snapshot", bytes);
  std::uint64_t version = 0;
  decoder(version);
  if (decoder.ok() && version != kSnapshotVersion) {
    return {Code::kUnimplemented, "ledger snapshot of version " + std::to_string(version) +
                                      ", this program reads version " +
                                      std::to_string(kSnapshotVersion) +
                                      "; use the headrace that wrote it, or a newer one"};
  }
  Ledger restored;
  decoder(restored);
  Status status = decoder.Finish();
  if (status.ok() && restored.created_) status = Validate(restored.spec_);
  if (!status.ok()) return status;
  restored.MakeLines();
  for (const auto& [number, round] : restored.rounds_) {
    if (round.state != RoundState::kDone) restored.open_rounds_.insert(number);
  }
  *ledger = std::move(restored);
  return {};
}

std::uint64_t Ledger::Digest() const {
  return Fingerprint(Snapshot());
}

Verdict Ledger::verdict() const {
  if (!failure_.empty()) return Verdict::kFailed;
  if (!created_ || !main_.Complete(line_) || !open_rounds_.empty()) return Verdict::kRunning;
  return quarantine_.empty() ? Verdict::kDone : Verdict::kDoneWithQuarantined;
}

std::vector<FileCoverage> Ledger::Coverage() const {
  std::vector<FileCoverage> result;
  const Account& account = main_.account;
  for (std::int64_t epoch = 0; epoch < line_.epochs(); ++epoch) {
    for (std::int64_t file = 0; file < line_.files(); ++file) {
      const Range range = line_.File(epoch, file);
      const auto local = [&](const IntervalSet& set) {
        Ranges ranges = set.Slice(range);
        for (Range& part : ranges) part = {part.begin - range.begin, part.end - range.begin};
        return ranges;
      };
      FileCoverage one;
      one.epoch = epoch;
      one.file = file;
      one.records = range.size();
      one.filtered = account.filtered.SizeWithin(range);
      one.quarantined = account.quarantined.SizeWithin(range);
      const std::int64_t done = account.done.SizeWithin(range);
      one.trained = done - one.filtered - one.quarantined;
      for (const auto& [op, records] : account.dropped) {
        const std::int64_t dropped = records.SizeWithin(range);
        if (dropped > 0) one.dropped[op] = dropped;
        one.trained -= dropped;
      }
      one.pending = one.records - done;
      one.possibly_repeated = local(account.repeated);
      one.trained_before_rewind = local(account.rewound);
      result.push_back(std::move(one));
    }
  }
  return result;
}

CoverageTotals Ledger::Totals() const {
  const Account& account = main_.account;
  CoverageTotals totals;
  totals.records = line_.all().size();
  totals.filtered = account.filtered.size();
  totals.quarantined = account.quarantined.size();
  totals.trained = account.done.size() - totals.filtered - totals.quarantined;
  for (const auto& [op, records] : account.dropped) {
    totals.dropped[op] = records.size();
    totals.trained -= records.size();
  }
  totals.pending = totals.records - account.done.size();
  totals.possibly_repeated = account.repeated.size();
  totals.trained_before_rewind = account.rewound.size();
  totals.quarantined_in_evaluation = evaluation_bad_.size();
  return totals;
}

}  // namespace headrace::ledger
