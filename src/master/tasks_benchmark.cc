// P7: tasks leased and durably completed a second, over loopback gRPC, by clients that each have
// one call outstanding.
//
//   master_tasks_benchmark [--clients N] [SECONDS] [JOURNAL_FOLDER]
//
// One call a task, as workers do: it reports the task before and asks for the next. Prints one JSON
// object. Exit status: 0 measured, 1 failed, 2 usage.
#include <grpcpp/grpcpp.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "headrace/control.grpc.pb.h"
#include "master/dispatcher.h"
#include "master/metrics.h"
#include "master/server.h"
#include "master/service.h"
#include "proto/version.h"

namespace headrace::master {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kChannels = 4;

// A worker with one call outstanding at any time.
class Worker {
 public:
  Worker(v1::Control::Stub* stub, int index, const std::atomic<bool>* stop)
      : stub_(*stub), stop_(*stop) {
    v1::JoinRequest join;
    join.set_name("worker-" + std::to_string(index));
    join.set_key(static_cast<std::uint64_t>(index) + 1);
    v1::JoinReply joined;
    grpc::ClientContext context;
    v1::Introduce("benchmark", &context);
    const grpc::Status status = stub_.Join(&context, join, &joined);
    if (!status.ok()) std::abort();
    request_.set_worker(joined.worker());
    request_.set_incarnation(joined.incarnation());
    request_.set_max_tasks(1);
    request_.set_main(true);
  }
  void Start() { Next(); }
  void Wait() {
    std::unique_lock<std::mutex> lock(mu_);
    ended_cv_.wait(lock, [this] { return ended_; });
  }
  const std::vector<double>& latencies_ms() const { return latencies_ms_; }

 private:
  void Next() {
    context_ = std::make_unique<grpc::ClientContext>();
    v1::Introduce("benchmark", context_.get());
    request_.set_request(request_.request() + 1);
    begin_ = Clock::now();
    stub_.async()->Exchange(context_.get(), &request_, &reply_,
                            [this](const grpc::Status& status) { Answered(status); });
  }
  void Answered(const grpc::Status& status) {
    if (!status.ok() || reply_.refused_size() > 0) {
      std::fprintf(stderr, "%s\n", status.error_message().c_str());
      std::abort();
    }
    if (request_.reports_size() > 0) {
      latencies_ms_.push_back(
          std::chrono::duration<double, std::milli>(Clock::now() - begin_).count());
    }
    request_.clear_reports();
    if (stop_ || reply_.grants_size() == 0) {
      std::lock_guard<std::mutex> lock(mu_);
      ended_ = true;
      ended_cv_.notify_all();
      return;
    }
    v1::Report* report = request_.add_reports();
    report->set_token(reply_.grants(0).token());
    report->set_end(v1::LEASE_END_FINISHED);
    v1::Acknowledged* what = report->add_acknowledged();
    *what->mutable_range() = reply_.grants(0).ranges(0);
    what->set_outcome(v1::OUTCOME_TRAINED);
    Next();
  }

  v1::Control::Stub& stub_;
  const std::atomic<bool>& stop_;
  std::unique_ptr<grpc::ClientContext> context_;
  v1::ExchangeRequest request_;
  v1::ExchangeReply reply_;
  Clock::time_point begin_;
  std::vector<double> latencies_ms_;
  std::mutex mu_;
  std::condition_variable ended_cv_;
  bool ended_ = false;
};

int Main(int clients, double seconds, const std::filesystem::path& folder) {
  spdlog::set_level(spdlog::level::warn);  // not a line for each client
  Job job;
  job.name = "benchmark";
  for (int i = 0; i < 1000; ++i) {
    job.spec.files.push_back({"data/part-" + std::to_string(i) + ".rec", 100'000'000});
  }
  job.spec.task_records = 1000;
  Dispatcher::Options options;
  options.now_ms = [] {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  };
  const std::filesystem::path path =
      folder / ("headrace-benchmark-" + std::to_string(options.now_ms()));
  std::unique_ptr<Dispatcher> dispatcher;
  Status status = Dispatcher::Open(job, path, options, &dispatcher);
  Metrics metrics;
  std::unique_ptr<Server> server;
  std::unique_ptr<Service> service;
  if (status.ok()) {
    service = std::make_unique<Service>(dispatcher.get(), &metrics);
    status = Server::Start({}, service.get(), &server);
  }
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    return 1;
  }
  std::vector<std::unique_ptr<v1::Control::Stub>> stubs;
  for (int i = 0; i < kChannels; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    stubs.push_back(v1::Control::NewStub(grpc::CreateCustomChannel(
        server->address(), grpc::InsecureChannelCredentials(), arguments)));
  }
  std::atomic<bool> stop{false};
  std::vector<std::unique_ptr<Worker>> workers;
  for (int i = 0; i < clients; ++i) {
    workers.push_back(std::make_unique<Worker>(stubs[i % kChannels].get(), i, &stop));
  }
  const journal::JournalFigures before = dispatcher->journal_figures();
  const auto begin = Clock::now();
  for (auto& worker : workers) worker->Start();
  while (std::chrono::duration<double>(Clock::now() - begin).count() < seconds) {
    timespec tick{0, 100'000'000};
    nanosleep(&tick, nullptr);
    dispatcher->Tick();
  }
  stop = true;
  for (auto& worker : workers) worker->Wait();
  const double took = std::chrono::duration<double>(Clock::now() - begin).count();
  const journal::JournalFigures after = dispatcher->journal_figures();
  std::vector<double> latencies;
  for (auto& worker : workers) {
    latencies.insert(latencies.end(), worker->latencies_ms().begin(), worker->latencies_ms().end());
  }
  std::sort(latencies.begin(), latencies.end());
  server->Shutdown(std::chrono::seconds(1));
  dispatcher.reset();
  if (latencies.empty()) {
    std::fprintf(stderr, "no task was done in %g s\n", seconds);
    return 1;
  }
  // As after a restart: how long until the state of all these tasks is there again.
  const auto reopening = Clock::now();
  status = Dispatcher::Open(job, path, options, &dispatcher);
  const double reopened = std::chrono::duration<double>(Clock::now() - reopening).count();
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    return 1;
  }
  dispatcher.reset();
  const auto tasks = static_cast<double>(latencies.size());
  const auto quantile = [&](double q) {
    return latencies[static_cast<std::size_t>(q * (tasks - 1))];
  };
  std::printf(
      "{\"clients\": %d, \"tasks_per_s\": %.0f, \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"tasks\": "
      "%.0f, "
      "\"event_bytes_per_task\": %.1f, \"file_bytes_per_task\": %.1f, \"events_per_sync\": %.1f, "
      "\"reopened_s\": %.3f}\n",
      clients, tasks / took, quantile(0.5), quantile(0.99), tasks,
      static_cast<double>(after.bytes - before.bytes) / tasks,
      static_cast<double>(std::filesystem::file_size(path)) / tasks,
      static_cast<double>(after.events - before.events) /
          static_cast<double>(after.commits - before.commits),
      reopened);
  std::filesystem::remove(path);
  return 0;
}

}  // namespace

constexpr int kMaxClients = 100'000;

}  // namespace headrace::master

int main(int argc, char** argv) {
  int clients = 64;
  double seconds = 10;
  std::filesystem::path folder = std::filesystem::temp_directory_path();
  CLI::App app("Tasks leased and durably done a second by the master on loopback.");
  app.add_option("--clients", clients, "simulated workers, one call outstanding each")
      ->check(CLI::Range(1, headrace::master::kMaxClients))
      ->capture_default_str();
  app.add_option("seconds", seconds)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("journal_folder", folder, "default: the folder of temporary files")
      ->check(CLI::ExistingDirectory);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return headrace::master::Main(clients, seconds, folder);
}
