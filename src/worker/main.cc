// headrace-worker: feeds a training process with the records that the master leases to it, and
// looks after it.
#include <grpc/support/log.h>
#include <pthread.h>
#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "master/server.h"
#include "worker/agent.h"
#include "worker/grpc_master.h"
#include "worker/metrics.h"
#include "worker/socket_folder.h"

namespace headrace::worker {
namespace {

constexpr int kFailed = 1, kUsage = 2;

struct Flags {
  std::string master;
  headrace::master::TlsFiles tls;
  int metrics_port = 0;
  double hello_timeout_s = 120, master_timeout_s = 60, drain_timeout_s = 60, grace_s = 10;
  double step_timeout_s = -1;
  Agent::Options agent;
};

void LogForGrpc(gpr_log_func_args* args) {
  if (args->severity == GPR_LOG_SEVERITY_ERROR) spdlog::debug("gRPC: {}", args->message);
}

std::chrono::milliseconds Milliseconds(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

sigset_t Signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGCHLD, SIGUSR1}) sigaddset(&signals, signal);
  return signals;
}

// Hands signals to the agent until this goes.
class SignalThread {
 public:
  explicit SignalThread(Agent* agent) : thread_([agent] { Run(agent); }) {}
  ~SignalThread() {
    pthread_kill(thread_.native_handle(), SIGUSR1);
    thread_.join();
  }

 private:
  static void Run(Agent* agent) {
    const sigset_t signals = Signals();
    for (int signal = 0; sigwait(&signals, &signal) == 0 && signal != SIGUSR1;) {
      if (signal == SIGCHLD) {
        agent->ChildChanged();
      } else {
        spdlog::info("got signal {}", signal == SIGTERM ? "TERM" : "INT");
        agent->Stop();
      }
    }
  }

  std::thread thread_;
};

int Fail(const Status& status) {
  std::fprintf(stderr, "headrace-worker: %s\n", status.message().c_str());
  return kFailed;
}

int Work(Flags flags) {
  Status status = Child::CheckCommand(flags.agent.command[0]);
  if (!status.ok()) return Fail(status);
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  status = headrace::master::ClientCredentials(flags.tls, &credentials);
  if (!status.ok()) return Fail(status);
  SocketFolder folder;
  if (flags.agent.socket_folder.empty()) {
    status = folder.Make();
    if (!status.ok()) return Fail(status);
    flags.agent.socket_folder = folder.path();
  }
  for (const std::string& path : {flags.agent.socket_folder, flags.agent.log_folder}) {
    if (path.empty() || std::filesystem::is_directory(path)) continue;
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) return Fail({Code::kUnavailable, path + ": " + error.message()});
  }
  Metrics metrics(flags.agent.name);
  if (flags.metrics_port != 0) {
    status = metrics.Expose(flags.metrics_port);
    if (!status.ok()) return Fail(status);
  }
  flags.agent.hello_timeout = Milliseconds(flags.hello_timeout_s);
  flags.agent.master_timeout = Milliseconds(flags.master_timeout_s);
  flags.agent.drain_timeout = Milliseconds(flags.drain_timeout_s);
  flags.agent.grace = Milliseconds(flags.grace_s);
  flags.agent.step_timeout = Milliseconds(flags.step_timeout_s);
  GrpcMaster master(flags.master, credentials, &metrics);
  Child::BecomeReaper();
  Agent agent(flags.agent, &master, &metrics);
  const SignalThread signals(&agent);
  return agent.Run();
}

int Main(int argc, char** argv) {
  CLI::App app(
      "Joins a job, starts COMMAND as its training process, feeds it with leased records, and "
      "starts it again when it crashes.",
      "headrace-worker");
  Flags flags;
  app.add_option("--master", flags.master, "address of the master, host:port")->required();
  app.add_option("--name", flags.agent.name, "of this worker's place in the job: worker-0")
      ->required();
  app.add_option("--socket_dir", flags.agent.socket_folder,
                 "folder for the socket to the training process; default: a new one");
  app.add_option("--log_dir", flags.agent.log_folder,
                 "folder for NAME.log with the output of COMMAND; default: passed through");
  app.add_option("--max_restarts", flags.agent.max_restarts,
                 "starts again in a row without progress, before it gives up")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--hello_timeout_s", flags.hello_timeout_s,
                 "for COMMAND to connect, before it is killed and started again")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--master_timeout_s", flags.master_timeout_s,
                 "for the master to be reached at the start; later it is waited for")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--drain_timeout_s", flags.drain_timeout_s,
                 "for COMMAND to leave after SIGTERM, before it is killed")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--grace_s", flags.grace_s, "between TERM and KILL for COMMAND")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option(
         "--step_timeout_s", flags.step_timeout_s,
         "for COMMAND to take no record, finish no step and wait for nobody while it holds "
         "leases, before it is killed and started again; 0: for ever; default: as the job says")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--metrics_port", flags.metrics_port, "Prometheus at this port; 0: none")
      ->capture_default_str()
      ->check(CLI::Range(0, 65535));
  app.add_option("--tls_cert", flags.tls.cert, "certificate (PEM)");
  app.add_option("--tls_key", flags.tls.key, "its key (PEM)");
  app.add_option("--tls_ca", flags.tls.ca, "the master must have a certificate of this (PEM)");
  app.add_option("command", flags.agent.command, "COMMAND and its arguments, behind --")
      ->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  spdlog::set_default_logger(spdlog::stderr_logger_mt(flags.agent.name));
  spdlog::set_pattern("%Y-%m-%d %H:%M:%S.%e %n %l: %v");
  spdlog::flush_on(spdlog::level::info);
  gpr_set_log_function(LogForGrpc);
  // Before any thread is started: they inherit it.
  const sigset_t signals = Signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return Work(std::move(flags));
}

}  // namespace
}  // namespace headrace::worker

int main(int argc, char** argv) {
  return headrace::worker::Main(argc, argv);
}
