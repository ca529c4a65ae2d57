// Applies the gradients of synchronous training: a client in the first parameter server's process,
// so that no worker's death can interrupt a step.
#ifndef HEADRACE_TRAINER_SHARED_APPLIER_H_
#define HEADRACE_TRAINER_SHARED_APPLIER_H_

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"
#include "tensorflow/core/public/session.h"
#include "trainer/cluster.h"
#include "trainer/exported_job.h"
#include "trainer/shared/model_servers.h"
#include "trainer/shared/push.h"
#include "trainer/shared/rounds.h"

namespace headrace::trainer {

// Ownership: owns its sessions; borrows the cluster.
// Thread safety: one thread.
// Errors: if a step fails on the way, the model is part of it and part not: it is declared lost (no
// generation), and everybody who waits is told so.
class Applier {
 public:
  static Status Open(const Cluster& cluster, const std::string& exported,
                     std::int64_t grads_to_wait, std::unique_ptr<Applier>* applier);

  // Waits for one push and does what is due. An error: this process cannot go on.
  Status Serve();

 private:
  Applier(const Cluster& cluster, std::int64_t grads_to_wait)
      : cluster_(cluster), rounds_(grads_to_wait) {}

  // Takes up the model of this generation, if it is the servers'.
  Status TakeUp(std::int64_t generation);
  bool IsThere(std::int64_t generation);
  Status Step(const std::vector<Push>& pushes);
  Status Lose(const Status& why);
  using Feeds = std::vector<std::pair<std::string, tensorflow::Tensor>>;
  Status Run(const char* target, const Feeds& feeds);
  Status Answer(const Push& push, Decision decision);

  const Cluster& cluster_;
  ExportedJob job_;
  tensorflow::MetaGraphDef exported_;
  Rounds rounds_;
  std::unique_ptr<ModelServers> servers_;
  std::unique_ptr<tensorflow::Session> mail_;   // queues
  std::unique_ptr<tensorflow::Session> model_;  // of one generation; nullptr: there is none
  std::set<std::string> answers_;               // queues that are in the mail's graph
};

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_SHARED_APPLIER_H_
