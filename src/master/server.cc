#include "master/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>

#include "headrace/control.grpc.pb.h"

namespace headrace::master {
namespace {

constexpr int kMaxMessageBytes = 256 << 20;  // positions of long jobs

Status ReadPem(const std::string& path, std::string* text) {
  std::ifstream file(path, std::ios::binary);
  if (file) text->assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  if (file && !text->empty()) return {};
  return {Code::kNotFound, "TLS: " + path + " cannot be read, or is empty"};
}

Status ReadPair(const TlsFiles& files, grpc::SslServerCredentialsOptions::PemKeyCertPair* pair,
                std::string* ca) {
  if (files.cert.empty() != files.key.empty()) {
    return {Code::kInvalidArgument, "TLS: give --tls_cert and --tls_key together"};
  }
  Status status;
  if (!files.cert.empty()) status = ReadPem(files.cert, &pair->cert_chain);
  if (status.ok() && !files.key.empty()) status = ReadPem(files.key, &pair->private_key);
  if (status.ok() && !files.ca.empty()) status = ReadPem(files.ca, ca);
  return status;
}

// gRPC only logs why; so the address is tried once more.
std::string WhyNot(const std::string& host, int port) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  const int resolved = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (resolved != 0) return gai_strerror(resolved);
  std::string why = "the address cannot be used";
  const int fd = socket(found->ai_family, SOCK_STREAM, 0);
  if (fd >= 0) {
    if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 1) != 0) {
      why = std::generic_category().message(errno);
    }
    close(fd);
  }
  freeaddrinfo(found);
  return why;
}

}  // namespace

Status ServerCredentials(const TlsFiles& files, std::shared_ptr<grpc::ServerCredentials>* made) {
  grpc::SslServerCredentialsOptions::PemKeyCertPair pair;
  std::string ca;
  Status status = ReadPair(files, &pair, &ca);
  if (!status.ok()) return status;
  if (files.cert.empty()) {
    if (!files.ca.empty()) {
      return {Code::kInvalidArgument, "TLS: --tls_ca needs --tls_cert and --tls_key"};
    }
    *made = grpc::InsecureServerCredentials();
    return {};
  }
  grpc::SslServerCredentialsOptions options(
      ca.empty() ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                 : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = ca;
  options.pem_key_cert_pairs.push_back(pair);
  *made = grpc::SslServerCredentials(options);
  return {};
}

Status ClientCredentials(const TlsFiles& files, std::shared_ptr<grpc::ChannelCredentials>* made) {
  grpc::SslServerCredentialsOptions::PemKeyCertPair pair;
  std::string ca;
  Status status = ReadPair(files, &pair, &ca);
  if (!status.ok()) return status;
  if (files.cert.empty() && files.ca.empty()) {
    *made = grpc::InsecureChannelCredentials();
    return {};
  }
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = ca;
  options.pem_cert_chain = pair.cert_chain;
  options.pem_private_key = pair.private_key;
  *made = grpc::SslCredentials(options);
  return {};
}

Status Server::Start(const Options& options, grpc::Service* service,
                     std::unique_ptr<Server>* server) {
  std::shared_ptr<grpc::ServerCredentials> credentials;
  Status status = ServerCredentials(options.tls, &credentials);
  if (!status.ok()) return status;
  const bool v6 = options.host.find(':') != std::string::npos;
  const std::string host = v6 ? "[" + options.host + "]" : options.host;

  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  int port = 0;
  builder.AddListeningPort(host + ":" + std::to_string(options.port), credentials, &port);
  builder.RegisterService(service);
  auto made = std::make_unique<Server>();
  made->server_ = builder.BuildAndStart();
  if (made->server_ == nullptr || port == 0) {
    return {Code::kUnavailable, "cannot listen at " + host + ":" + std::to_string(options.port) +
                                    ": " + WhyNot(options.host, options.port)};
  }
  // Beside "", the server as a whole, which answers by itself.
  made->server_->GetHealthCheckService()->SetServingStatus(v1::Control::service_full_name(), true);
  made->address_ = host + ":" + std::to_string(port);
  *server = std::move(made);
  return {};
}

void Server::Shutdown(std::chrono::milliseconds grace) {
  server_->Shutdown(std::chrono::system_clock::now() + grace);
  server_->Wait();
}

}  // namespace headrace::master
