// headrace-master: serves one job to its workers, and ends with it.
#include <grpc/support/log.h>
#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <system_error>

#include "base/reach.h"
#include "master/convert.h"
#include "master/dispatcher.h"
#include "master/job.h"
#include "master/metrics.h"
#include "master/run.h"
#include "master/server.h"
#include "master/server_watch.h"
#include "master/service.h"
#include "master/text.h"

namespace headrace::master {
namespace {

constexpr int kFailed = 1, kUsage = 2;

struct Flags {
  std::string job, journal, port_file, status_file;
  Server::Options server;
  int metrics_port = 0;
  std::uint64_t snapshot_events = Dispatcher::Options().compact_events;
  RunOptions run;
};

int Fail(const Status& status) {
  std::fprintf(stderr, "headrace-master: %s\n", status.message().c_str());
  return kFailed;
}

std::int64_t WallClockMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// Appears complete, or not at all.
Status WriteByRename(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".tmp";
  {
    std::ofstream file(temporary, std::ios::trunc);
    file << text << std::flush;
    if (!file) {
      return {Code::kUnavailable, temporary + ": " + std::generic_category().message(errno)};
    }
  }
  if (std::rename(temporary.c_str(), path.c_str()) == 0) return {};
  return {Code::kUnavailable, path + ": " + std::generic_category().message(errno)};
}

void LogForGrpc(gpr_log_func_args* args) {
  if (args->severity == GPR_LOG_SEVERITY_ERROR) spdlog::debug("gRPC: {}", args->message);
}

// The last words, for who comes when the master has gone.
void WriteStatus(const std::string& path, int exit_code, Dispatcher* dispatcher) {
  auto said = std::make_shared<std::promise<v1::JobStatus>>();
  dispatcher->GetStatus(
      [said](const Status&, const v1::JobStatus& status) { said->set_value(status); });
  std::future<v1::JobStatus> answer = said->get_future();
  if (answer.wait_for(std::chrono::seconds(10)) != std::future_status::ready) {
    spdlog::error("the last status was not to be had within 10 s");
    return;
  }
  v1::JobStatus status = answer.get();
  Conclude(exit_code, &status);
  const Status written = WriteByRename(path, Json(status));
  if (!written.ok()) spdlog::error("{}", written.message());
}

int Serve(const Flags& flags) {
  Job job;
  Status status = ReadJobFile(flags.job, &job);
  if (!status.ok()) return Fail(status);
  ServerWatch::Options watching;
  watching.now_ms = WallClockMs;
  watching.reach = [](const std::string& address) {
    std::string own_host;
    return ReachOnce(address, std::chrono::seconds(1), &own_host);
  };
  const ServerWatch servers(ServersOf(job), watching);
  Dispatcher::Options options;
  options.now_ms = WallClockMs;
  options.servers = [&servers] { return servers.looks(); };
  options.compact_events = flags.snapshot_events;
  std::unique_ptr<Dispatcher> dispatcher;
  status = Dispatcher::Open(job, flags.journal, options, &dispatcher);
  if (!status.ok()) return Fail({status.code(), "journal: " + status.message()});

  Metrics metrics;
  Service service(dispatcher.get(), &metrics);
  std::unique_ptr<Server> server;
  status = Server::Start(flags.server, &service, &server);
  if (!status.ok()) return Fail(status);
  if (status.ok() && flags.metrics_port != 0) {
    status = metrics.Expose(flags.server.host + ":" + std::to_string(flags.metrics_port),
                            dispatcher.get());
  }
  if (status.ok() && !flags.port_file.empty()) {
    status = WriteByRename(flags.port_file, server->address() + "\n");
  }
  int code = kFailed;
  if (status.ok()) {
    spdlog::info("job {} ({}, model {}) at {}", job.name, Name(job.type), Name(job.model),
                 server->address());
    const bool loopback = flags.server.host == "localhost" || flags.server.host == "::1" ||
                          flags.server.host.rfind("127.", 0) == 0;
    if (!loopback && flags.server.tls.cert.empty()) {
      spdlog::warn(
          "{} can be reached from other machines, without TLS: whoever can connect commands "
          "this job; give --tls_cert, --tls_key and --tls_ca",
          server->address());
    }
    code = Run(dispatcher.get(), flags.run);
    if (!flags.status_file.empty()) WriteStatus(flags.status_file, code, dispatcher.get());
  } else {
    Fail(status);
  }
  dispatcher->Shutdown(/*finished=*/status.ok());
  server->Shutdown(std::chrono::milliseconds(500));
  return code;
}

int Main(int argc, char** argv) {
  CLI::App app("Serves one job to its workers: hands out records, and keeps account of them.",
               "headrace-master");
  Flags flags;
  app.add_option("--job", flags.job, "job file (JSON)")->required();
  app.add_option("--journal", flags.journal, "file for the job's state; made if missing")
      ->required();
  app.add_option("--host", flags.server.host, "address to listen at")->capture_default_str();
  app.add_option("--port", flags.server.port, "port; 0: any")
      ->capture_default_str()
      ->check(CLI::Range(0, 65535));
  app.add_option("--port_file", flags.port_file, "gets \"host:port\" once the master listens");
  app.add_option("--status_file", flags.status_file,
                 "gets the job's last status (JSON) when the master ends");
  app.add_option("--metrics_port", flags.metrics_port, "Prometheus at this port; 0: none")
      ->capture_default_str()
      ->check(CLI::Range(0, 65535));
  app.add_option("--tls_cert", flags.server.tls.cert, "certificate (PEM)");
  app.add_option("--tls_key", flags.server.tls.key, "its key (PEM)");
  app.add_option("--tls_ca", flags.server.tls.ca, "clients must have a certificate of this (PEM)");
  app.add_option("--worker_timeout_s", flags.run.worker_timeout_s,
                 "give up after so long without any worker")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--linger_s", flags.run.linger_s,
                 "once the job has ended, wait so long for workers to leave")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--snapshot_events", flags.snapshot_events,
                 "the journal starts over from a snapshot after so many events")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_flag("--stay", flags.run.stay, "go on answering when the job has ended");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  spdlog::set_default_logger(spdlog::stderr_logger_mt("headrace-master"));
  spdlog::set_pattern("%Y-%m-%d %H:%M:%S.%e %n %l: %v");
  gpr_set_log_function(LogForGrpc);
  BlockSignals();
  return Serve(flags);
}

}  // namespace
}  // namespace headrace::master

int main(int argc, char** argv) {
  return headrace::master::Main(argc, argv);
}
