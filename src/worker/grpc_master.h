// The master behind gRPC.
#ifndef HEADRACE_WORKER_GRPC_MASTER_H_
#define HEADRACE_WORKER_GRPC_MASTER_H_

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "headrace/control.grpc.pb.h"
#include "worker/master.h"
#include "worker/metrics.h"

namespace headrace::worker {

class GrpcMaster final : public Master {
 public:
  // `metrics` outlives this.
  GrpcMaster(const std::string& address,
             const std::shared_ptr<grpc::ChannelCredentials>& credentials, Metrics* metrics);

  Status Join(const v1::JoinRequest& request, v1::JoinReply* reply) override;
  Status Attach(const v1::AttachRequest& request, v1::AttachReply* reply) override;
  Status Restored(const v1::RestoredRequest& request, v1::RestoredReply* reply) override;
  Status Saved(const v1::SavedRequest& request, v1::SavedReply* reply) override;
  Status Exchange(const v1::ExchangeRequest& request, v1::ExchangeReply* reply) override;
  Status Leave(const v1::LeaveRequest& request, v1::LeaveReply* reply) override;
  Status Watch(std::uint64_t worker, const std::function<void(const v1::Orders&)>& on) override;
  void StopWatching(std::uint64_t worker) override;

 private:
  template <class Request, class Reply>
  using Method = grpc::Status (v1::Control::Stub::*)(grpc::ClientContext*, const Request&, Reply*);
  template <class Request, class Reply>
  Status Call(const char* name, Method<Request, Reply> method, const Request& request,
              Reply* reply);

  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::Control::Stub> stub_;
  Metrics* const metrics_;

  std::mutex mu_;
  std::map<std::uint64_t, grpc::ClientContext*> watches_;  // guarded by mu_, as is the next
  std::set<std::uint64_t> stopped_;
};

}  // namespace headrace::worker

#endif  // HEADRACE_WORKER_GRPC_MASTER_H_
