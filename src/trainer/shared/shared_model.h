// A trainer's way to a model on parameter servers.
#ifndef HEADRACE_TRAINER_SHARED_SHARED_MODEL_H_
#define HEADRACE_TRAINER_SHARED_SHARED_MODEL_H_

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "feed/client.h"
#include "trainer/cluster.h"
#include "trainer/exported_job.h"
#include "trainer/settings.h"
#include "trainer/shared/fence.h"
#include "trainer/shared/model_servers.h"

namespace headrace::trainer {

// Thread safety: Fence() and TellLive() may run at any time after Attach() began, on any thread;
// the rest on one thread.
class SharedModel {
 public:
  // Waits for the servers, and for the applier of synchronous training, each until the deadline;
  // UNAVAILABLE names the one that does not answer.
  // number: of this training process. place: the worker's name, which its next process has, too.
  // Errors: FAILED_PRECONDITION if the applier is another job's, or takes another number of
  // gradients, or there is none.
  static Status Join(const Settings& settings, const ExportedJob& job, std::uint64_t number,
                     const std::string& place, std::chrono::milliseconds deadline,
                     std::unique_ptr<SharedModel>* model);

  // Agrees with the master on which model there is, and whether this process is to write it.
  Status Attach(feed::Client* client);
  // Whether it is. Then RestoreBy() comes before the first step.
  bool is_restorer() const { return is_restorer_; }
  // Writes the model with `restore`, for all trainers.
  Status RestoreBy(const std::function<Status()>& restore);

  // Nothing of these training processes comes into effect after this has returned.
  Status Fence(const std::vector<std::uint64_t>& workers);

  // Synchronous training: what the applier must know to wait for nobody in vain.
  bool synchronous() const { return synchronous_; }
  Status TellLive(std::int64_t workers);
  Status TellIdle();

  const Cluster& cluster() const { return *cluster_; }
  // After Attach().
  Writer writer() const { return {number_, generation_}; }

 private:
  SharedModel() = default;
  Status AwaitApplier(const Settings& settings, const ExportedJob& job,
                      std::chrono::milliseconds deadline);

  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<ModelServers> servers_;
  bool synchronous_ = false;
  std::uint64_t number_ = 0;
  std::string place_;
  std::atomic<std::int64_t> generation_{0};
  bool is_restorer_ = false;
};

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_SHARED_SHARED_MODEL_H_
