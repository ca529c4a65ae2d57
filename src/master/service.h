// The control plane over gRPC: each call goes to the dispatcher, no thread waits for an answer.
#ifndef HEADRACE_MASTER_SERVICE_H_
#define HEADRACE_MASTER_SERVICE_H_

#include "headrace/control.grpc.pb.h"
#include "master/dispatcher.h"
#include "master/metrics.h"

namespace headrace::master {

// Borrows both; the server that it is registered with ends before they do.
class Service final : public v1::Control::CallbackService {
 public:
  Service(Dispatcher* dispatcher, Metrics* metrics)
      : dispatcher_(*dispatcher), metrics_(*metrics) {}

  grpc::ServerUnaryReactor* Join(grpc::CallbackServerContext* context,
                                 const v1::JoinRequest* request, v1::JoinReply* reply) override;
  grpc::ServerUnaryReactor* Exchange(grpc::CallbackServerContext* context,
                                     const v1::ExchangeRequest* request,
                                     v1::ExchangeReply* reply) override;
  grpc::ServerWriteReactor<v1::Orders>* Watch(grpc::CallbackServerContext* context,
                                              const v1::WatchRequest* request) override;
  grpc::ServerUnaryReactor* Attach(grpc::CallbackServerContext* context,
                                   const v1::AttachRequest* request,
                                   v1::AttachReply* reply) override;
  grpc::ServerUnaryReactor* Restored(grpc::CallbackServerContext* context,
                                     const v1::RestoredRequest* request,
                                     v1::RestoredReply* reply) override;
  grpc::ServerUnaryReactor* Saved(grpc::CallbackServerContext* context,
                                  const v1::SavedRequest* request, v1::SavedReply* reply) override;
  grpc::ServerUnaryReactor* Leave(grpc::CallbackServerContext* context,
                                  const v1::LeaveRequest* request, v1::LeaveReply* reply) override;
  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const v1::GetStatusRequest* request,
                                      v1::JobStatus* reply) override;
  grpc::ServerUnaryReactor* GetJob(grpc::CallbackServerContext* context,
                                   const v1::GetJobRequest* request, v1::Job* reply) override;
  grpc::ServerUnaryReactor* GetLedger(grpc::CallbackServerContext* context,
                                      const v1::GetLedgerRequest* request,
                                      v1::Ledger* reply) override;
  grpc::ServerUnaryReactor* Checkpoint(grpc::CallbackServerContext* context,
                                       const v1::CheckpointRequest* request,
                                       v1::CheckpointReply* reply) override;
  grpc::ServerUnaryReactor* Stop(grpc::CallbackServerContext* context,
                                 const v1::StopRequest* request, v1::StopReply* reply) override;

 private:
  // Gives `call` what to call with the answer.
  template <class Reply, class Call>
  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context, const char* method,
                                  Reply* reply, Call call);

  Dispatcher& dispatcher_;
  Metrics& metrics_;
};

}  // namespace headrace::master

#endif  // HEADRACE_MASTER_SERVICE_H_
