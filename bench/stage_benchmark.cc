// What the stage itself costs a step: handing 40 tensors over, with nothing to read and nothing to
// compute. Real time is per step; "CPU" is that of all threads of the process per step, put and
// take together. Run with --benchmark_repetitions and compare medians of one run only.
#include <benchmark/benchmark.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>

#include "stage/stage.h"

namespace headrace::stage {
namespace {

// Stands for 40 tensors: each a reference to a buffer of its own, as handed from op to op.
using Tensors = std::array<std::shared_ptr<const std::int64_t>, 40>;

// Makes an element of 40 references at each read; reads wait while the gate is closed.
class TensorsReader : public SourceReader {
 public:
  TensorsReader() {
    for (auto& buffer : buffers_) buffer = std::make_shared<const std::int64_t>(0);
  }
  ReadResult Read(Cancellation* cancel) override {
    bool stop = false;
    const bool listening = cancel->Listen([&] {
      std::lock_guard<std::mutex> lock(mu_);
      stop = true;
      cv_.notify_all();
    });
    {
      std::unique_lock<std::mutex> lock(mu_);
      cv_.wait(lock, [&] { return permits_ > 0 || stop; });
      --permits_;
    }
    if (listening) cancel->StopListening();
    return {Status(), std::make_shared<const Tensors>(buffers_), sizeof(Tensors)};
  }
  void Allow(std::int64_t reads) {
    std::lock_guard<std::mutex> lock(mu_);
    permits_ += reads;
    cv_.notify_all();
  }

 private:
  Tensors buffers_;
  std::mutex mu_;
  std::condition_variable cv_;
  std::int64_t permits_ = 0;
};

class PassOn : public StageBody {
 public:
  ReadResult Run(const std::vector<Payload>& inputs, const Runner*) override {
    return {Status(), inputs[0], sizeof(Tensors)};
  }
};

struct Rig {
  Rig(int capacity, int clients, bool body) {
    auto owned = std::make_unique<TensorsReader>();
    reader = owned.get();
    auto domain = std::make_shared<Domain>();
    source = std::make_shared<Source>(domain, "it", std::move(owned), Source::Mode::kAhead);
    StageConfig config;
    config.name = "stage";
    config.capacity = capacity;
    config.num_clients = clients;
    stage = std::make_unique<Stage>(domain, config, std::vector<Stage::Input>{{source, nullptr}},
                                    body ? std::make_unique<PassOn>() : nullptr);
  }
  ~Rig() {
    stage.reset();
    source->Close();
  }

  TensorsReader* reader;  // owned by the source
  std::shared_ptr<Source> source;
  std::unique_ptr<Stage> stage;
};

constexpr std::int64_t kUnlimited = std::int64_t{1} << 60;

// A take whose result is there. No other thread does anything, but for the source's: the first take
// of a round wakes it, and it finds that nothing may be read yet.
void TakeReady(benchmark::State& state) {
  Rig rig(static_cast<int>(state.range(0)), 1, /*body=*/false);
  const std::int64_t ahead = state.range(0) + 1;
  for (auto _ : state) {
    rig.reader->Allow(ahead);
    while (rig.stage->figures().depth < ahead) std::this_thread::yield();
    const auto begin = Clock::now();
    for (std::int64_t i = 0; i < ahead; ++i) {
      Status status;
      Taken taken;
      if (!rig.stage->TryTake(&status, &taken)) state.SkipWithError("not ready");
      benchmark::DoNotOptimize(taken);
    }
    const std::chrono::duration<double> took = Clock::now() - begin;
    state.SetIterationTime(took.count() / static_cast<double>(ahead));
  }
}
BENCHMARK(TakeReady)->ArgName("capacity")->Arg(1)->Arg(2)->Arg(4)->Arg(8)->Arg(16)->UseManualTime();

// One thread puts and one takes, both as fast as they can.
void PutAndTake(benchmark::State& state) {
  Rig rig(static_cast<int>(state.range(0)), 1, /*body=*/state.range(1) != 0);
  rig.reader->Allow(kUnlimited);
  for (auto _ : state) {
    Taken taken;
    if (!rig.stage->Take(&taken).ok()) state.SkipWithError("take failed");
    benchmark::DoNotOptimize(taken);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(PutAndTake)
    ->ArgNames({"capacity", "body"})
    ->ArgsProduct({{1, 2, 4, 8, 16}, {0, 1}})
    ->UseRealTime()
    ->MeasureProcessCPUTime();

// Every take waits for its put: two changes of thread a step.
void TakeThatWaits(benchmark::State& state) {
  Rig rig(1, 1, /*body=*/false);
  for (auto _ : state) {
    rig.reader->Allow(1);
    Taken taken;
    if (!rig.stage->Take(&taken).ok()) state.SkipWithError("take failed");
    benchmark::DoNotOptimize(taken);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(TakeThatWaits)->UseRealTime()->MeasureProcessCPUTime();

// Several consumers of one stage.
class Contended : public benchmark::Fixture {
 public:
  void SetUp(const benchmark::State& state) override {
    if (state.thread_index() != 0) return;
    rig_ = std::make_unique<Rig>(static_cast<int>(state.range(0)), state.threads(), /*body=*/false);
    rig_->reader->Allow(kUnlimited);
  }
  void TearDown(const benchmark::State& state) override {
    if (state.thread_index() == 0) rig_.reset();
  }

 protected:
  std::unique_ptr<Rig> rig_;
};

BENCHMARK_DEFINE_F(Contended, PutAndTake)(benchmark::State& state) {
  for (auto _ : state) {
    Taken taken;
    if (!rig_->stage->Take(&taken).ok()) state.SkipWithError("take failed");
    benchmark::DoNotOptimize(taken);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_REGISTER_F(Contended, PutAndTake)
    ->ArgName("capacity")
    ->Arg(1)
    ->Arg(4)
    ->Arg(16)
    ->Threads(2)
    ->Threads(4)
    ->UseRealTime()
    ->MeasureProcessCPUTime();

}  // namespace
}  // namespace headrace::stage
