// The TensorFlow cluster of a job with parameter servers, as one of its processes sees it.
//
// TensorFlow's clusters are static, and workers come and go. So every server boots by itself, under
// a name of its own, and each session brings the cluster that it needs along: the parameter
// servers, and the server of the process that has the session.
#ifndef HEADRACE_TRAINER_CLUSTER_H_
#define HEADRACE_TRAINER_CLUSTER_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "tensorflow/core/protobuf/config.pb.h"
#include "tensorflow/core/public/session.h"

namespace headrace::trainer {

// A server that died is started again within seconds, on another machine within a minute.
inline constexpr std::chrono::seconds kServersComeBack{120};

// A server that knows only itself; it lasts as long as the process, since TensorFlow's cannot be
// stopped. host: under which the others find it; port 0: any that is free.
// It listens on all interfaces, without encryption, and runs what it is sent: TensorFlow has no
// other.
// *address: "host:port".
Status StartServer(const std::string& host, int port, std::string* address);

class Cluster {
 public:
  // Waits for each of `servers` ("host:port"), then starts this process's own server. number: no
  // other process of the job has it: a server forgets the sessions of one whose number comes again.
  // Errors: UNAVAILABLE, with the address, if one cannot be reached before the deadline.
  static Status Join(const std::vector<std::string>& servers, std::uint64_t number,
                     std::chrono::milliseconds deadline, std::unique_ptr<Cluster>* cluster);

  // Waits until every parameter server listens. Errors: as of Join().
  static Status Reach(const std::vector<std::string>& servers, std::chrono::milliseconds deadline,
                      std::string* own_host);
  Status Reach(std::chrono::milliseconds deadline) const;

  // A session in the cluster. Variables on the servers are everybody's.
  absl::Status NewSession(tensorflow::ConfigProto config,
                          std::unique_ptr<tensorflow::Session>* session) const;

  int servers() const { return static_cast<int>(servers_.size()); }
  static std::string ServerDevice(int server);
  // Any device of this process.
  static std::string WorkerDevice();

 private:
  Cluster(std::vector<std::string> servers, std::uint64_t number, std::string own)
      : servers_(std::move(servers)), number_(number), own_(std::move(own)) {}

  const std::vector<std::string> servers_;
  const std::uint64_t number_;
  const std::string own_;  // address
};

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_CLUSTER_H_
