#include "trainer/shared/shared_model.h"

#include <utility>

#include "absl/log/log.h"
#include "ledger/codec.h"

namespace headrace::trainer {
Status SharedModel::Join(const Settings& settings, std::uint64_t number, const std::string& place,
                         std::unique_ptr<SharedModel>* model) {
  std::unique_ptr<SharedModel> joined(new SharedModel);
  joined->number_ = number;
  joined->place_ = place;
  joined->synchronous_ = settings.synchronous;
  if (Status status =
          Cluster::Join(settings.parameter_servers, number, kServersComeBack, &joined->cluster_);
      !status.ok()) {
    return status;
  }
  if (Status status = ModelServers::Open(*joined->cluster_, number, &joined->servers_);
      !status.ok()) {
    return status;
  }
  *model = std::move(joined);
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
  if (!synchronous_) return servers_->Fence(workers);
  return servers_->FenceAtApplier(workers, generation_);
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
