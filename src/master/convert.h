// Between the control plane's messages and the pure core's types.
#ifndef HEADRACE_MASTER_CONVERT_H_
#define HEADRACE_MASTER_CONVERT_H_

#include <cstdint>

#include "base/status.h"
#include "headrace/control.pb.h"
#include "ledger/ledger.h"
#include "master/coordinator.h"

namespace headrace::master {

// INVALID_ARGUMENT for a value that no enumeration has.
Status ToLedger(const v1::Report& report, std::uint64_t worker, std::int64_t now_ms,
                ledger::Report* event);

void Fill(const ledger::Grant& grant, const ledger::JobSpec& spec, v1::Grant* message);
void Fill(const Orders& orders, v1::Orders* message);
void Fill(const Measured& measured, v1::JobStatus* message);
// Of a master that ends with this exit code: what holds when nothing of the job runs any more. A
// job that is neither over nor stopped is "interrupted".
void Conclude(int exit_code, v1::JobStatus* message);
v1::Answer ToProto(ledger::Answer answer);
v1::ModelKind ToProto(ModelKind kind);
v1::JobState ToProto(JobState state);

// The account. A text for each verdict as in JobStatus.verdict.
const char* VerdictText(ledger::Verdict verdict);
void Fill(const ledger::CoverageTotals& totals, v1::Totals* message);
void Fill(const ledger::Ledger& ledger, bool totals_only, v1::Ledger* message);

}  // namespace headrace::master

#endif  // HEADRACE_MASTER_CONVERT_H_
