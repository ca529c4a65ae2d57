#include "master/service.h"

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "proto/version.h"

namespace headrace::master {
namespace {

grpc::Status ToGrpc(const Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return {static_cast<grpc::StatusCode>(status.code()), status.message()};
}

// One stream of orders. Lives until gRPC has done with it and the dispatcher has let it go.
class OrdersStream final : public grpc::ServerWriteReactor<v1::Orders>, public Dispatcher::Watcher {
 public:
  // `spoken`: not OK, then that is all that the caller gets.
  static OrdersStream* Start(Dispatcher* dispatcher, std::uint64_t worker, const Status& spoken) {
    auto stream = std::make_shared<OrdersStream>(dispatcher, worker);
    stream->self_ = stream;
    if (spoken.ok()) {
      dispatcher->Watch(worker, stream);
    } else {
      stream->End(spoken);
    }
    return stream.get();
  }
  OrdersStream(Dispatcher* dispatcher, std::uint64_t worker)
      : dispatcher_(*dispatcher), worker_(worker) {}

  void Send(const v1::Orders& orders) override {
    {
      std::lock_guard<std::mutex> lock(mu_);
      if (orders.version() <= newest_ || end_) return;
      newest_ = orders.version();
      next_ = orders;
    }
    Proceed();
  }
  void End(const Status& status) override {
    {
      std::lock_guard<std::mutex> lock(mu_);
      if (end_) return;
      end_ = ToGrpc(status);
    }
    Proceed();
  }
  void OnWriteDone(bool ok) override {
    {
      std::lock_guard<std::mutex> lock(mu_);
      writing_ = false;
      if (!ok && !end_) end_ = grpc::Status::CANCELLED;
    }
    Proceed();
  }
  void OnCancel() override { End(Status(Code::kCancelled, "the worker went away")); }
  void OnDone() override {
    dispatcher_.Unwatch(worker_, this);
    const std::shared_ptr<OrdersStream> self = std::move(self_);
  }

 private:
  // Writes the newest orders, or finishes, unless a write is under way.
  void Proceed() {
    std::unique_lock<std::mutex> lock(mu_);
    if (writing_ || finished_) return;
    if (next_) {
      writing_ = true;
      current_ = std::move(*next_);
      next_.reset();
      lock.unlock();
      StartWrite(&current_);
    } else if (end_) {
      finished_ = true;
      const grpc::Status status = *end_;
      lock.unlock();
      Finish(status);  // may end this object
    }
  }

  Dispatcher& dispatcher_;
  const std::uint64_t worker_;
  std::shared_ptr<OrdersStream> self_;

  std::mutex mu_;  // guards the following, current_ but while it is written
  std::uint64_t newest_ = 0;
  std::optional<v1::Orders> next_;
  v1::Orders current_;
  bool writing_ = false, finished_ = false;
  std::optional<grpc::Status> end_;
};

}  // namespace

template <class Reply, class Call>
grpc::ServerUnaryReactor* Service::Unary(grpc::CallbackServerContext* context, const char* method,
                                         Reply* reply, Call call) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (const Status spoken = v1::CheckCaller(context); !spoken.ok()) {
    reactor->Finish(ToGrpc(spoken));
    return reactor;
  }
  const auto begin = std::chrono::steady_clock::now();
  call([this, reactor, reply, method, begin](const Status& status, const Reply& answer) {
    if (status.ok()) *reply = answer;
    metrics_.Answered(method, status.code(), std::chrono::steady_clock::now() - begin);
    reactor->Finish(ToGrpc(status));
  });
  return reactor;
}

grpc::ServerUnaryReactor* Service::Join(grpc::CallbackServerContext* context,
                                        const v1::JoinRequest* request, v1::JoinReply* reply) {
  return Unary(context, "Join", reply,
               [&](auto done) { dispatcher_.Join(*request, std::move(done)); });
}

grpc::ServerUnaryReactor* Service::Exchange(grpc::CallbackServerContext* context,
                                            const v1::ExchangeRequest* request,
                                            v1::ExchangeReply* reply) {
  return Unary(context, "Exchange", reply,
               [&](auto done) { dispatcher_.Exchange(*request, std::move(done)); });
}

grpc::ServerWriteReactor<v1::Orders>* Service::Watch(grpc::CallbackServerContext* context,
                                                     const v1::WatchRequest* request) {
  return OrdersStream::Start(&dispatcher_, request->worker(), v1::CheckCaller(context));
}

grpc::ServerUnaryReactor* Service::Attach(grpc::CallbackServerContext* context,
                                          const v1::AttachRequest* request,
                                          v1::AttachReply* reply) {
  return Unary(context, "Attach", reply,
               [&](auto done) { dispatcher_.Attach(*request, std::move(done)); });
}

grpc::ServerUnaryReactor* Service::Restored(grpc::CallbackServerContext* context,
                                            const v1::RestoredRequest* request,
                                            v1::RestoredReply* reply) {
  return Unary(context, "Restored", reply,
               [&](auto done) { dispatcher_.Restored(*request, std::move(done)); });
}

grpc::ServerUnaryReactor* Service::Saved(grpc::CallbackServerContext* context,
                                         const v1::SavedRequest* request, v1::SavedReply* reply) {
  return Unary(context, "Saved", reply,
               [&](auto done) { dispatcher_.Saved(*request, std::move(done)); });
}

grpc::ServerUnaryReactor* Service::Leave(grpc::CallbackServerContext* context,
                                         const v1::LeaveRequest* request, v1::LeaveReply* reply) {
  return Unary(context, "Leave", reply,
               [&](auto done) { dispatcher_.Leave(*request, std::move(done)); });
}

grpc::ServerUnaryReactor* Service::GetStatus(grpc::CallbackServerContext* context,
                                             const v1::GetStatusRequest*, v1::JobStatus* reply) {
  return Unary(context, "GetStatus", reply,
               [&](auto done) { dispatcher_.GetStatus(std::move(done)); });
}

grpc::ServerUnaryReactor* Service::GetJob(grpc::CallbackServerContext* context,
                                          const v1::GetJobRequest*, v1::Job* reply) {
  return Unary(context, "GetJob", reply, [&](auto done) { dispatcher_.GetJob(std::move(done)); });
}

grpc::ServerUnaryReactor* Service::GetLedger(grpc::CallbackServerContext* context,
                                             const v1::GetLedgerRequest* request,
                                             v1::Ledger* reply) {
  return Unary(context, "GetLedger", reply,
               [&](auto done) { dispatcher_.GetLedger(request->totals_only(), std::move(done)); });
}

grpc::ServerUnaryReactor* Service::Checkpoint(grpc::CallbackServerContext* context,
                                              const v1::CheckpointRequest*,
                                              v1::CheckpointReply* reply) {
  return Unary(context, "Checkpoint", reply,
               [&](auto done) { dispatcher_.Checkpoint(std::move(done)); });
}

grpc::ServerUnaryReactor* Service::Stop(grpc::CallbackServerContext* context,
                                        const v1::StopRequest* request, v1::StopReply* reply) {
  return Unary(context, "Stop", reply,
               [&](auto done) { dispatcher_.Stop(*request, std::move(done)); });
}

}  // namespace headrace::master
