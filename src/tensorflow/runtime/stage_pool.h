// Thread pools that stages run their ops on, apart from the training step's.
#ifndef HEADRACE_TENSORFLOW_RUNTIME_STAGE_POOL_H_
#define HEADRACE_TENSORFLOW_RUNTIME_STAGE_POOL_H_

#include <functional>
#include <memory>
#include <string>

#include "tensorflow/core/platform/threadpool.h"
#include "tensorflow/stage_options.h"

namespace headrace {

// Threads for ops beside each other (inter-op) and inside of one op (intra-op). The threads carry
// the pool's name, as far as the kernel keeps it (15 bytes with TensorFlow's prefix). Ownership:
// shared; pools with the same name and sizes in a process are one. Thread safety: every method may
// run concurrently.
class StagePool {
 public:
  static std::shared_ptr<StagePool> Get(const StageThreadPool& config);

  explicit StagePool(const StageThreadPool& config);

  void Schedule(std::function<void()> task) const { inter_op_->Schedule(std::move(task)); }
  tensorflow::thread::ThreadPoolInterface* intra_op() const { return intra_op_.get(); }

 private:
  const std::unique_ptr<tensorflow::thread::ThreadPool> inter_op_;
  const std::unique_ptr<tensorflow::thread::ThreadPoolInterface> intra_op_;
};

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_RUNTIME_STAGE_POOL_H_
