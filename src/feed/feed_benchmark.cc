// What the feed costs a record that is read, and a step of 128 records.
#include <benchmark/benchmark.h>

#include "feed/account.h"
#include "feed/range_queue.h"

namespace headrace::feed {
namespace {

constexpr std::int64_t kTask = 4096, kBatch = 128;

// A task's records are read, and with range(0) == 1 also applied.
void BM_Step(benchmark::State& state) {
  Account account;
  std::int64_t slot = 0, next = kTask;
  std::vector<std::int64_t> batch(kBatch);
  for (auto _ : state) {
    if (next == kTask) {
      account.Close(slot);
      account.Open(++slot, 0, kTask).IgnoreError();
      benchmark::DoNotOptimize(account.Take());
      next = 0;
    }
    for (std::int64_t& identity : batch) {
      identity = Identity::Make(slot, next++);
      account.Read(identity).IgnoreError();
    }
    if (state.range(0) == 1) account.Applied(batch.data(), batch.size()).IgnoreError();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * kBatch);
}
BENCHMARK(BM_Step)->ArgName("applied")->Arg(0)->Arg(1);

// What it costs a reader, a record, that ranges can be taken back from it.
void BM_Claim(benchmark::State& state) {
  constexpr std::int64_t kRange = std::int64_t{1} << 40;
  ReadLimit limit(0, kRange);
  std::int64_t next = 0, claimed = 0;
  for (auto _ : state) {
    if (next == claimed) claimed = limit.Claim();
    benchmark::DoNotOptimize(++next);
  }
}
BENCHMARK(BM_Claim);

}  // namespace
}  // namespace headrace::feed
