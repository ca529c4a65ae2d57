#include "trainer/shared/shared_model.h"

#include <thread>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/str_join.h"
#include "ledger/codec.h"
#include "trainer/shared/push.h"

namespace headrace::trainer {
namespace {

constexpr std::chrono::milliseconds kBetween{100};

}  // namespace

Status SharedModel::Join(const Settings& settings, const ExportedJob& job, std::uint64_t number,
                         const std::string& place, std::chrono::milliseconds deadline,
                         std::unique_ptr<SharedModel>* model) {
  std::unique_ptr<SharedModel> joined(new SharedModel);
  joined->number_ = number;
  joined->place_ = place;
  joined->synchronous_ = settings.synchronous;
  if (Status status =
          Cluster::Join(settings.parameter_servers, number, deadline, &joined->cluster_);
      !status.ok()) {
    return status;
  }
  if (Status status = ModelServers::Open(*joined->cluster_, number, &joined->servers_);
      !status.ok()) {
    return status;
  }
  if (joined->synchronous_) {
    if (Status status = joined->AwaitApplier(settings, job, deadline); !status.ok()) return status;
  }
  *model = std::move(joined);
  return Status();
}

Status SharedModel::AwaitApplier(const Settings& settings, const ExportedJob& job,
                                 std::chrono::milliseconds deadline) {
  const auto wrong = [&](const std::string& what) {
    return Status(Code::kFailedPrecondition,
                  "the first parameter server, " + settings.parameter_servers.front() + ", " +
                      what + ": for synchronous training start it with --exported " +
                      job.directory + " --grads_to_wait " + std::to_string(settings.grads_to_wait) +
                      " (and --others with the other servers)");
  };
  const auto until = std::chrono::steady_clock::now() + deadline;
  ModelServers::Applier found;
  for (;;) {
    if (Status status = servers_->FindApplier(&found); !status.ok()) return status;
    if (found.fingerprint != 0) break;
    if (std::chrono::steady_clock::now() >= until) return wrong("applies no gradients");
    std::this_thread::sleep_for(kBetween);
  }
  if (found.fingerprint != FingerprintOf(job)) {
    return wrong("applies the gradients of another model");
  }
  if (found.grads_to_wait != settings.grads_to_wait) {
    return wrong("takes " + std::to_string(found.grads_to_wait) + " gradients to a step");
  }
  return Status();
}

Status SharedModel::Attach(feed::Client* client) {
  std::int64_t expected = 0;
  while (true) {
    std::int64_t found = 0;
    if (Status status = servers_->Generation(&found); !status.ok()) return status;
    feed::Attached attached;
    if (Status status = client->Attach(found, expected, &attached); !status.ok()) return status;
    if (attached.what == feed::Attached::What::kLook) {
      expected = attached.generation;
      continue;
    }
    generation_ = attached.generation;
    is_restorer_ = attached.what == feed::Attached::What::kRestore;
    LOG(INFO) << "Headrace: model of generation " << generation_
              << (is_restorer_ ? ", which this process writes to the parameter servers"
                               : ", as the parameter servers have it");
    if (!synchronous_) return Status();
    const auto place = static_cast<std::int64_t>(ledger::Fingerprint(place_) >> 1);
    return servers_->Tell({Push::Kind::kJoin, number_, generation_, place});
  }
}

Status SharedModel::RestoreBy(const std::function<Status()>& restore) {
  if (Status status = servers_->Claim(generation_); !status.ok()) return status;
  if (Status status = restore(); !status.ok()) return status;
  return servers_->Publish(generation_);
}

Status SharedModel::Fence(const std::vector<std::uint64_t>& workers) {
  const Status status =
      synchronous_ ? servers_->FenceAtApplier(workers, generation_) : servers_->Fence(workers);
  if (status.ok()) {
    LOG(WARNING) << "Headrace: fenced off at the parameter servers: worker "
                 << absl::StrJoin(workers, ", ");
  }
  return status;
}

Status SharedModel::TellLive(std::int64_t workers) {
  if (!synchronous_) return Status();
  return servers_->Tell({Push::Kind::kLive, number_, generation_, workers});
}

Status SharedModel::TellIdle() {
  if (!synchronous_) return Status();
  return servers_->Tell({Push::Kind::kIdle, number_, generation_, 0});
}

}  // namespace headrace::trainer
