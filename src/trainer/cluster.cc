#include "trainer/cluster.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/reach.h"
#include "tensorflow/core/distributed_runtime/server_lib.h"
#include "tensorflow/core/protobuf/cluster.pb.h"
#include "tensorflow/core/protobuf/tensorflow_server.pb.h"
#include "tensorflow/core/public/session_options.h"
#include "tensorflow/runtime/convert.h"

namespace headrace::trainer {
namespace {

constexpr char kServers[] = "ps", kWorker[] = "worker";
constexpr char kScheme[] = "grpc://";

}  // namespace

Status StartServer(const std::string& host, int port, std::string* address) {
  tensorflow::ServerDef def;
  def.set_protocol("grpc");
  def.set_job_name("headrace");
  auto* job = def.mutable_cluster()->add_job();
  job->set_name(def.job_name());
  (*job->mutable_tasks())[0] = absl::StrCat(host, ":", port);
  std::unique_ptr<tensorflow::ServerInterface> server;
  if (absl::Status status = tensorflow::NewServer(def, &server); !status.ok()) {
    return FromAbsl(
        absl::Status(status.code(), absl::StrCat("no TensorFlow server can listen on port ", port,
                                                 ": ", status.message(), "; is the port in use?")));
  }
  auto* const running = server.release();  // its destructor ends the process
  *address = std::string(absl::StripPrefix(running->target(), kScheme));
  return FromAbsl(running->Start());
}

Status Cluster::Join(const std::vector<std::string>& servers, std::uint64_t number,
                     std::chrono::milliseconds deadline, std::unique_ptr<Cluster>* cluster) {
  std::string host, own;
  if (Status status = Reach(servers, deadline, &host); !status.ok()) return status;
  if (Status status = StartServer(host, 0, &own); !status.ok()) return status;
  cluster->reset(new Cluster(servers, number, std::move(own)));
  return Status();
}

Status Cluster::Reach(const std::vector<std::string>& servers, std::chrono::milliseconds deadline,
                      std::string* own_host) {
  for (const std::string& server : servers) {
    if (Status status = headrace::Reach(server, deadline, own_host); !status.ok()) {
      return Status(status.code(), "parameter server: " + status.message());
    }
  }
  return Status();
}

Status Cluster::Reach(std::chrono::milliseconds deadline) const {
  std::string host;
  return Reach(servers_, deadline, &host);
}

absl::Status Cluster::NewSession(tensorflow::ConfigProto config,
                                 std::unique_ptr<tensorflow::Session>* session) const {
  tensorflow::SessionOptions options;
  options.target = kScheme + own_;
  options.config = std::move(config);
  // Without it every session would have variables of its own.
  options.config.mutable_experimental()->set_share_session_state_in_clusterspec_propagation(true);
  auto* parameter_servers = options.config.mutable_cluster_def()->add_job();
  parameter_servers->set_name(kServers);
  for (int i = 0; i < servers(); ++i) (*parameter_servers->mutable_tasks())[i] = servers_[i];
  auto* worker = options.config.mutable_cluster_def()->add_job();
  worker->set_name(kWorker);
  (*worker->mutable_tasks())[static_cast<int>(number_)] = own_;
  session->reset(tensorflow::NewSession(options));
  if (*session == nullptr) return absl::InternalError("TensorFlow made no session");
  return absl::OkStatus();
}

std::string Cluster::ServerDevice(int server) {
  return absl::StrCat("/job:", kServers, "/replica:0/task:", server, "/device:CPU:0");
}

std::string Cluster::WorkerDevice() {
  return absl::StrCat("/job:", kWorker);
}

}  // namespace headrace::trainer
