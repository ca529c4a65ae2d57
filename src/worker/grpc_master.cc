#include "worker/grpc_master.h"

#include <grpcpp/channel.h>

#include <utility>

#include "proto/version.h"

namespace headrace::worker {

namespace {

using Clock = std::chrono::steady_clock;

// A master that stands still is tried again; it answers in milliseconds otherwise.
constexpr std::chrono::seconds kDeadline{10};
constexpr std::chrono::milliseconds kReconnect{500};
constexpr char kProgram[] = "headrace-worker";
constexpr int kMaxMessageBytes = 256 << 20;  // positions of long jobs

std::shared_ptr<grpc::Channel> Connect(
    const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2000);  // for one attempt
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30000);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

Status ToStatus(const grpc::Status& status) {
  if (status.ok()) return {};
  return {static_cast<Code>(status.error_code()), status.error_message()};
}

}  // namespace

GrpcMaster::GrpcMaster(const std::string& address,
                       const std::shared_ptr<grpc::ChannelCredentials>& credentials,
                       Metrics* metrics)
    : channel_(Connect(address, credentials)),
      stub_(v1::Control::NewStub(channel_)),
      metrics_(metrics) {}

template <class Request, class Reply>
Status GrpcMaster::Call(const char* name, Method<Request, Reply> method, const Request& request,
                        Reply* reply) {
  grpc::ClientContext context;
  v1::Introduce(kProgram, &context);
  context.set_deadline(std::chrono::system_clock::now() + kDeadline);
  const Clock::time_point began = Clock::now();
  Status status = ToStatus((stub_.get()->*method)(&context, request, reply));
  if (status.ok()) status = v1::CheckMaster(kProgram, context);
  metrics_->Called(name, status.code(), Clock::now() - began);
  if (status.code() == Code::kUnavailable) {
    // A channel makes progress only while somebody waits in it, and a call that fails does not.
    grpc::experimental::ChannelResetConnectionBackoff(channel_.get());
    channel_->WaitForConnected(std::chrono::system_clock::now() + kReconnect);
  }
  return status;
}

Status GrpcMaster::Join(const v1::JoinRequest& request, v1::JoinReply* reply) {
  return Call("Join", &v1::Control::Stub::Join, request, reply);
}
Status GrpcMaster::Attach(const v1::AttachRequest& request, v1::AttachReply* reply) {
  return Call("Attach", &v1::Control::Stub::Attach, request, reply);
}
Status GrpcMaster::Restored(const v1::RestoredRequest& request, v1::RestoredReply* reply) {
  return Call("Restored", &v1::Control::Stub::Restored, request, reply);
}
Status GrpcMaster::Saved(const v1::SavedRequest& request, v1::SavedReply* reply) {
  return Call("Saved", &v1::Control::Stub::Saved, request, reply);
}
Status GrpcMaster::Exchange(const v1::ExchangeRequest& request, v1::ExchangeReply* reply) {
  return Call("Exchange", &v1::Control::Stub::Exchange, request, reply);
}
Status GrpcMaster::Leave(const v1::LeaveRequest& request, v1::LeaveReply* reply) {
  return Call("Leave", &v1::Control::Stub::Leave, request, reply);
}

Status GrpcMaster::Watch(std::uint64_t worker, const std::function<void(const v1::Orders&)>& on) {
  grpc::ClientContext context;
  {
    std::lock_guard<std::mutex> lock(mu_);
    if (stopped_.count(worker) != 0) return {Code::kCancelled, "stopped"};
    watches_[worker] = &context;
  }
  v1::Introduce(kProgram, &context);
  v1::WatchRequest request;
  request.set_worker(worker);
  const auto stream = stub_->Watch(&context, request);
  v1::Orders orders;
  while (stream->Read(&orders)) on(orders);
  const grpc::Status status = stream->Finish();
  std::lock_guard<std::mutex> lock(mu_);
  watches_.erase(worker);
  return ToStatus(status);
}

void GrpcMaster::StopWatching(std::uint64_t worker) {
  std::lock_guard<std::mutex> lock(mu_);
  stopped_.insert(worker);
  const auto watch = watches_.find(worker);
  if (watch != watches_.end()) watch->second->TryCancel();
}

}  // namespace headrace::worker
