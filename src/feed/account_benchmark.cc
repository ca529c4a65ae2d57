// What accounting costs a record that is read, and a step of 128 records.
#include <benchmark/benchmark.h>

#include "feed/account.h"

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

}  // namespace
}  // namespace headrace::feed
