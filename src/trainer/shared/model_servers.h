// The parameter servers of a job: whose model they hold, and who may write it.
#ifndef HEADRACE_TRAINER_SHARED_MODEL_SERVERS_H_
#define HEADRACE_TRAINER_SHARED_MODEL_SERVERS_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/status.h"
#include "tensorflow/core/public/session.h"
#include "trainer/cluster.h"
#include "trainer/shared/rounds.h"

namespace headrace::trainer {

// Ownership: owns a session of its own in the cluster, which must outlive it.
// Thread safety: every method may run concurrently.
// Errors: of TensorFlow; UNAVAILABLE and ABORTED if a server is gone.
class ModelServers {
 public:
  // number: of this process.
  static Status Open(const Cluster& cluster, std::uint64_t number,
                     std::unique_ptr<ModelServers>* servers);
  ~ModelServers();

  // Of the model that all of them hold; 0: there is none, or they do not hold the same.
  Status Generation(std::int64_t* generation);
  // From now on only who claimed last writes a model there (kRestore). No trainer updates what is
  // there until it is published. Errors: ABORTED if there is a newer claim.
  Status Claim(std::int64_t generation);
  // The model of the claim is complete.
  Status Publish(std::int64_t generation);
  // No update of these training processes comes into effect after this has returned.
  Status Fence(const std::vector<std::uint64_t>& workers);

  // Synchronous training: an applier with these takes pushes at the first server.
  struct Applier {
    std::int64_t fingerprint = 0;  // of the job's gradients; 0: there is none
    std::int64_t grads_to_wait = 0;
  };
  Status Announce(const Applier& applier);
  Status FindApplier(Applier* applier);

  // Synchronous training: says something to the applier.
  Status Tell(const Push& push);
  // Fence() there: the applier knows of no push of these that it may still apply.
  Status FenceAtApplier(const std::vector<std::uint64_t>& workers, std::int64_t generation);

 private:
  ModelServers(std::uint64_t number, int servers, std::unique_ptr<tensorflow::Session> session)
      : number_(number), servers_(servers), session_(std::move(session)) {}
  absl::Status Read(const std::string& variable, std::vector<std::int64_t>* values);
  absl::Status Write(const std::string& variable, std::int64_t value);

  const std::uint64_t number_;
  const int servers_;
  const std::unique_ptr<tensorflow::Session> session_;
};

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_SHARED_MODEL_SERVERS_H_
