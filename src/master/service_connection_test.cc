// Who is connected to a master: watchers, TLS, the port.
#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "master/service_testing.h"

namespace headrace::master {
namespace {

using testing::Caller;
using testing::EvaluatingJob;
using testing::FakeWorker;
using testing::ServiceTest;
using testing::SmallJob;
using testing::World;

TEST_F(ServiceTest, WatchPushesOrdersUntilTheWorkerLeaves) {
  StartMaster(SmallJob(ModelKind::kShared));
  auto one = NewCaller(), two = NewCaller();
  FakeWorker a("w-0", one.get(), &world), b("w-1", two.get(), &world);
  ASSERT_TRUE(a.Turn());
  ASSERT_TRUE(b.Turn());
  grpc::ClientContext context;
  v1::Introduce("test", &context);
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  v1::WatchRequest request;
  request.set_worker(b.number());
  auto stream = two->Stub()->Watch(&context, request);
  v1::Orders orders;
  ASSERT_TRUE(stream->Read(&orders));
  EXPECT_EQ(orders.hold(), 0u);
  const std::uint64_t version = orders.version();
  while (a.orders().hold() == 0) ASSERT_TRUE(a.Turn());
  ASSERT_TRUE(stream->Read(&orders));
  EXPECT_EQ(orders.hold(), a.orders().hold());
  EXPECT_GT(orders.version(), version);
  b.Leave("");
  while (stream->Read(&orders)) {
  }
  EXPECT_TRUE(stream->Finish().ok());

  grpc::ClientContext unknown;
  v1::Introduce("test", &unknown);
  request.set_worker(99);
  auto none = two->Stub()->Watch(&unknown, request);
  EXPECT_FALSE(none->Read(&orders));
  EXPECT_EQ(none->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

// Breaks the stream off when it has had orders, and `meanwhile` has run.
void WatchAndGoAway(Caller* caller, std::uint64_t worker, const std::function<void()>& meanwhile) {
  grpc::ClientContext context;
  v1::Introduce("test", &context);
  v1::WatchRequest request;
  request.set_worker(worker);
  auto stream = caller->Stub()->Watch(&context, request);
  v1::Orders orders;
  ASSERT_TRUE(stream->Read(&orders));
  meanwhile();
  context.TryCancel();
  EXPECT_FALSE(stream->Finish().ok());
}

TEST_F(ServiceTest, AWatcherThatGoesAwayIsForgotten) {
  StartMaster(SmallJob(ModelKind::kShared));
  auto one = NewCaller();
  FakeWorker a("w-0", one.get(), &world);
  ASSERT_TRUE(a.Turn());
  for (int i = 0; i < 20; ++i) WatchAndGoAway(one.get(), a.number(), [] {});
  RunAll({&a});
  ExpectDone();
}

class GoneTest : public ServiceTest, public ::testing::WithParamInterface<ModelKind> {};

// As when a process is killed: nobody waits for its leases to expire.
TEST_P(GoneTest, AWorkerWhoseConnectionBreaks) {
  const ModelKind model = GetParam();
  StartMaster(SmallJob(model));
  auto one = NewCaller(), two = NewCaller();
  FakeWorker a("w-0", one.get(), &world), b("w-1", two.get(), &world);
  const auto leases = [&] {
    std::int64_t held = 0;
    const v1::JobStatus status = GetStatus();
    for (const v1::WorkerStatus& worker : status.workers()) {
      if (worker.worker() == a.number()) held = worker.leases();
    }
    return held;
  };
  while (a.lease_count() == 0) ASSERT_TRUE(a.Turn());
  // Whoever watches again, or says something, is there.
  const auto pass = [&](std::int64_t ms) {
    master->now_ms += ms;
    master->dispatcher->Tick();
  };
  WatchAndGoAway(one.get(), a.number(), [] {});
  while (master->dispatcher->watchers(a.number()) > 0) std::this_thread::yield();
  WatchAndGoAway(one.get(), a.number(), [&] {
    pass(Dispatcher::kGoneMs);
    EXPECT_GT(leases(), 0);
  });
  while (master->dispatcher->watchers(a.number()) > 0) std::this_thread::yield();
  pass(Dispatcher::kGoneMs - 1);
  EXPECT_GT(leases(), 0);
  ASSERT_TRUE(a.Turn());
  pass(1);
  EXPECT_GT(leases(), 0) << "it has just said something";
  pass(Dispatcher::kGoneMs - 1);
  EXPECT_EQ(leases(), 0);
  EXPECT_EQ(master->dispatcher->late().fenced, model == ModelKind::kShared ? 1 : 0);
  ASSERT_TRUE(a.Turn()) << "it is told to join again";
  EXPECT_EQ(a.number(), 0u);
  RunAll({&a, &b});
  ExpectDone();
  EXPECT_EQ(a.refused(), 0);
}

INSTANTIATE_TEST_SUITE_P(Models, GoneTest, ::testing::Values(ModelKind::kNone, ModelKind::kShared));

TEST_F(ServiceTest, TlsKeepsOutWhoHasNoCertificate) {
  const std::string folder = folder_.string();
  const auto make = [&](const std::string& name) {
    return std::system(("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
                        "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout " +
                        folder + "/" + name + ".key -out " + folder + "/" + name +
                        ".crt 2>/dev/null")
                           .c_str());
  };
  ASSERT_EQ(make("job"), 0) << "the openssl command is needed";
  ASSERT_EQ(make("other"), 0);
  StartMaster(SmallJob());
  Metrics metrics;
  Service service(master->dispatcher.get(), &metrics);
  Server::Options options;
  options.tls = {folder + "/job.crt", folder + "/job.key", folder + "/job.crt"};
  std::unique_ptr<Server> server;
  const Status started = Server::Start(options, &service, &server);
  ASSERT_TRUE(started.ok()) << started.ToString();
  const auto ask = [&](const TlsFiles& files) {
    std::shared_ptr<grpc::ChannelCredentials> credentials;
    EXPECT_TRUE(ClientCredentials(files, &credentials).ok());
    auto stub = v1::Control::NewStub(grpc::CreateChannel(server->address(), credentials));
    grpc::ClientContext context;
    v1::Introduce("test", &context);
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    v1::JobStatus reply;
    return stub->GetStatus(&context, v1::GetStatusRequest(), &reply);
  };
  EXPECT_TRUE(ask(options.tls).ok()) << ask(options.tls).error_message();
  EXPECT_FALSE(ask({}).ok());
  EXPECT_FALSE(ask({"", "", folder + "/job.crt"}).ok());
  EXPECT_FALSE(ask({folder + "/other.crt", folder + "/other.key", folder + "/job.crt"}).ok());
  EXPECT_FALSE(ask({folder + "/job.crt", folder + "/job.key", folder + "/other.crt"}).ok());
  server->Shutdown(std::chrono::seconds(1));

  std::shared_ptr<grpc::ServerCredentials> credentials;
  EXPECT_EQ(ServerCredentials({"only.crt", "", ""}, &credentials).code(), Code::kInvalidArgument);
  EXPECT_EQ(ServerCredentials({"no.crt", "no.key", ""}, &credentials).code(), Code::kNotFound);
}

// Before its call has any effect.
TEST_F(ServiceTest, ACallerOfAnotherVersionIsRefused) {
  StartMaster(SmallJob());
  auto caller = NewCaller();
  const std::string own = std::to_string(v1::kControlProtocol);
  const auto expect = [&](const grpc::Status& status, const std::string& theirs) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
    EXPECT_EQ(status.error_message().find("some-worker "), theirs.empty() ? std::string::npos : 0);
    EXPECT_NE(status.error_message().find((theirs.empty() ? "the caller speaks no named version"
                                                          : " speaks version " + theirs) +
                                          " of the control protocol, headrace-master "),
              std::string::npos)
        << status.error_message();
    EXPECT_NE(status.error_message().find(" speaks version " + own +
                                          ": install the same version of headrace on all machines"),
              std::string::npos)
        << status.error_message();
  };
  const auto call = [&](const auto& introduce, const std::string& theirs) {
    grpc::ClientContext joining;
    introduce(&joining);
    v1::JoinRequest join;
    join.set_name("w-0");
    join.set_key(7);
    v1::JoinReply joined;
    expect(caller->Stub()->Join(&joining, join, &joined), theirs);
    grpc::ClientContext asking;
    introduce(&asking);
    v1::Job job;
    expect(caller->Stub()->GetJob(&asking, {}, &job), theirs);
    grpc::ClientContext watching;
    introduce(&watching);
    watching.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    v1::WatchRequest watch;
    watch.set_worker(1);
    v1::Orders orders;
    const auto stream = caller->Stub()->Watch(&watching, watch);
    EXPECT_FALSE(stream->Read(&orders));
    expect(stream->Finish(), theirs);
  };
  for (const int protocol : {v1::kControlProtocol - 1, v1::kControlProtocol + 1}) {
    call([&](grpc::ClientContext* context) { v1::Introduce("some-worker", context, protocol); },
         std::to_string(protocol));
  }
  call([](grpc::ClientContext*) {}, "");
  EXPECT_EQ(GetStatus().workers_size(), 0);
  EXPECT_EQ(Join(caller.get(), "w-0").worker(), 1u);
}

// Debian has no generated code for gRPC's own services: one is a string, the other a number, on the
// wire as in these messages.
using HealthStub =
    grpc::TemplatedGenericStub<google::protobuf::StringValue, google::protobuf::Int32Value>;

TEST_F(ServiceTest, TheHealthServiceAnswers) {
  constexpr int kServing = 1;
  StartMaster(SmallJob());
  HealthStub stub(grpc::CreateChannel(master->address(), grpc::InsecureChannelCredentials()));
  const auto check = [&](const std::string& service, int* health) {
    grpc::ClientContext context;  // without a version: whoever probes needs not know of it
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    google::protobuf::StringValue request;
    request.set_value(service);
    grpc::CompletionQueue queue;
    const auto call =
        stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", request, &queue);
    call->StartCall();
    google::protobuf::Int32Value reply;
    grpc::Status status;
    call->Finish(&reply, &status, &queue);
    void* tag = nullptr;
    bool ok = false;
    EXPECT_TRUE(queue.Next(&tag, &ok));
    *health = reply.value();
    return status;
  };
  int health = 0;
  const grpc::Status status = check("", &health);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(health, kServing);
  health = 0;
  EXPECT_TRUE(check("headrace.v1.Control", &health).ok());
  EXPECT_EQ(health, kServing);
  EXPECT_EQ(check("no.such.Service", &health).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ServiceTest, ReflectionNamesTheServices) {
  StartMaster(SmallJob());
  grpc::GenericStub stub(
      grpc::CreateChannel(master->address(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
  grpc::CompletionQueue queue;
  void* tag = nullptr;
  bool ok = false;
  const auto next = [&] { return queue.Next(&tag, &ok) && ok; };
  const auto stream = stub.PrepareCall(
      &context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  stream->StartCall(&queue);
  ASSERT_TRUE(next());
  grpc::Slice list_services("\x3a\x01*");  // field 7, one byte
  stream->Write(grpc::ByteBuffer(&list_services, 1), &queue);
  ASSERT_TRUE(next());
  grpc::ByteBuffer reply;
  stream->Read(&reply, &queue);
  ASSERT_TRUE(next());
  grpc::Slice bytes;
  ASSERT_TRUE(reply.DumpToSingleSlice(&bytes).ok());
  const std::string text(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
  for (const char* service : {"headrace.v1.Control", "grpc.health.v1.Health"}) {
    EXPECT_NE(text.find(service), std::string::npos) << text;
  }
  context.TryCancel();
  grpc::Status status;
  stream->Finish(&status, &queue);
  EXPECT_TRUE(queue.Next(&tag, &ok));
}

TEST_F(ServiceTest, APortInUseIsNamed) {
  StartMaster(SmallJob());
  Metrics metrics;
  Service service(master->dispatcher.get(), &metrics);
  Server::Options options;
  const std::string address = master->address();
  options.port = std::stoi(address.substr(address.find(':') + 1));
  std::unique_ptr<Server> server;
  const Status status = Server::Start(options, &service, &server);
  EXPECT_EQ(status.message(), "cannot listen at " + address + ": Address already in use");
}

}  // namespace
}  // namespace headrace::master
