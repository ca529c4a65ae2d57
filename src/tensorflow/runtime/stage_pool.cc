#include "tensorflow/runtime/stage_pool.h"

#include <map>
#include <mutex>
#include <tuple>
#include <utility>

#include "tensorflow/core/platform/cpu_info.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/platform/threadpool_interface.h"

namespace headrace {
namespace {

int ThreadsOrCores(int threads) {
  return threads > 0 ? threads : tensorflow::port::MaxParallelism();
}

std::unique_ptr<tensorflow::thread::ThreadPool> MakePool(const std::string& name, int threads) {
  return std::make_unique<tensorflow::thread::ThreadPool>(
      tensorflow::Env::Default(), tensorflow::ThreadOptions(), name, threads,
      /*low_latency_hint=*/false);
}

// What kernels expect for work inside of one op.
class IntraOpPool : public tensorflow::thread::ThreadPoolInterface {
 public:
  explicit IntraOpPool(std::unique_ptr<tensorflow::thread::ThreadPool> pool)
      : pool_(std::move(pool)) {}

  void Schedule(std::function<void()> task) override { pool_->Schedule(std::move(task)); }
  void ScheduleWithHint(std::function<void()> task, int start, int limit) override {
    pool_->ScheduleWithHint(std::move(task), start, limit);
  }
  int NumThreads() const override { return pool_->NumThreads(); }
  int CurrentThreadId() const override { return pool_->CurrentThreadId(); }

 private:
  const std::unique_ptr<tensorflow::thread::ThreadPool> pool_;
};

}  // namespace

std::shared_ptr<StagePool> StagePool::Get(const StageThreadPool& config) {
  static std::mutex* const mu = new std::mutex;
  static auto* const pools =
      new std::map<std::tuple<std::string, int, int>, std::weak_ptr<StagePool>>;
  std::lock_guard<std::mutex> lock(*mu);
  auto& entry = (*pools)[{config.name, config.inter_op_threads, config.intra_op_threads}];
  std::shared_ptr<StagePool> pool = entry.lock();
  if (pool == nullptr) {
    pool = std::make_shared<StagePool>(config);
    entry = pool;
  }
  return pool;
}

StagePool::StagePool(const StageThreadPool& config)
    : inter_op_(MakePool(config.name.empty() ? "hr_stage" : config.name,
                         ThreadsOrCores(config.inter_op_threads))),
      intra_op_(
          std::make_unique<IntraOpPool>(MakePool(config.name.empty() ? "hr_stage_op" : config.name,
                                                 ThreadsOrCores(config.intra_op_threads)))) {}

}  // namespace headrace
