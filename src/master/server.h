// Listens: the service, gRPC's health service and server reflection at one address.
#ifndef HEADRACE_MASTER_SERVER_H_
#define HEADRACE_MASTER_SERVER_H_

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>

#include "base/status.h"

namespace headrace::master {

struct TlsFiles {
  std::string cert, key;  // PEM; both or none
  std::string ca;         // given: the other side must have a certificate of it
};

// Errors: INVALID_ARGUMENT (half a pair), NOT_FOUND (a file that cannot be read).
Status ServerCredentials(const TlsFiles& files, std::shared_ptr<grpc::ServerCredentials>* made);
Status ClientCredentials(const TlsFiles& files, std::shared_ptr<grpc::ChannelCredentials>* made);

class Server {
 public:
  struct Options {
    std::string host = "127.0.0.1";
    int port = 0;  // 0: any
    TlsFiles tls;
  };
  // UNAVAILABLE with the reason if the address cannot be had. `service` outlives the server.
  static Status Start(const Options& options, grpc::Service* service,
                      std::unique_ptr<Server>* server);
  // Requires: calls that wait were answered, else they are cut off after `grace`.
  void Shutdown(std::chrono::milliseconds grace);

  // "host:port".
  const std::string& address() const { return address_; }

 private:
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

}  // namespace headrace::master

#endif  // HEADRACE_MASTER_SERVER_H_
