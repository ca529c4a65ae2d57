// A training process for tests: "trains" by appending "PATH INDEX" lines to a file.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "feed/client.h"
#include "feed/testing.h"

namespace headrace::worker {
namespace {

using feed::Client;
using feed::Orders;
using feed::testing::FakeTrainer;

struct Flags {
  std::string out;
  int step_ms = 0;
  std::size_t batch = 8, shuffle = 1;
  std::int64_t kill_at = -1;  // SIGKILL to itself at this step
  std::int64_t exit_at = -1;  // exit code 3 at this step
  bool silent = false;        // never connects
  bool deaf = false;          // ignores TERM and a drain
};

void Write(int file, const std::vector<FakeTrainer::Record>& records) {
  std::string lines;
  for (const auto& [path, index] : records) lines += path + " " + std::to_string(index) + "\n";
  if (write(file, lines.data(), lines.size()) != static_cast<ssize_t>(lines.size())) std::abort();
}

// Stands still as long as it is told to, and saves when it is told to.
Status Obey(Client* client) {
  while (client->attention() && !client->draining()) {
    std::uint64_t version = 0;
    const Orders orders = client->current_orders(&version);
    Status status = client->Held(orders.hold);
    if (!status.ok() || orders.hold == 0) return status;
    if (orders.save.has_value()) {
      std::filesystem::create_directories(orders.save->directory);
      std::ofstream(orders.save->directory + "/position") << orders.save->position;
      status = client->Saved(*orders.save, Status(), std::chrono::milliseconds(1), 1);
      if (!status.ok()) return status;
    }
    while (!client->attention()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return {};
}

int Train(const Flags& flags) {
  if (flags.deaf) signal(SIGTERM, SIG_IGN);
  if (flags.silent) {
    for (;;) pause();
  }
  const char* socket = std::getenv("HEADRACE_FEED");
  if (socket == nullptr) return 4;
  Client::Options connect;
  connect.socket = socket;
  connect.program = "fake_trainer";
  connect.report_every = std::chrono::milliseconds(20);
  std::unique_ptr<Client> client;
  Status status = Client::Connect(connect, &client);
  if (status.ok() && client->welcome().model != feed::ModelKind::kNone) {
    status = client->Restored(0, "", "");
  }
  if (!status.ok()) {
    std::fprintf(stderr, "fake_trainer: %s\n", status.ToString().c_str());
    return 1;
  }
  const int file = open(flags.out.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
  FakeTrainer::Options options;
  options.batch = flags.batch;
  options.shuffle = flags.shuffle;
  options.before_iterator = [&] { return Obey(client.get()); };
  FakeTrainer* running = nullptr;
  options.on_batch = [&](const auto& records) {
    if (running->steps() == flags.kill_at) kill(getpid(), SIGKILL);
    if (running->steps() == flags.exit_at) {
      std::fprintf(stderr, "ValueError: the third step is cursed\n");
      _exit(3);
    }
    Write(file, records);
    std::this_thread::sleep_for(std::chrono::milliseconds(flags.step_ms));
  };
  options.between_steps = [&] { Obey(client.get()).IgnoreError(); };
  client->Start();
  FakeTrainer trainer(client.get(), options);
  running = &trainer;
  status = trainer.Run();
  while (flags.deaf) pause();
  const Status said = client->Bye("", status);
  if (status.ok() && said.ok()) return 0;
  std::fprintf(stderr, "fake_trainer: %s\n", (status.ok() ? said : status).ToString().c_str());
  return 1;
}

int Main(int argc, char** argv) {
  CLI::App app("A training process for tests.", "fake_trainer");
  Flags flags;
  app.add_option("--out", flags.out);
  app.add_option("--step_ms", flags.step_ms);
  app.add_option("--batch", flags.batch);
  app.add_option("--shuffle", flags.shuffle);
  app.add_option("--kill_at", flags.kill_at);
  app.add_option("--exit_at", flags.exit_at);
  app.add_flag("--silent", flags.silent);
  app.add_flag("--deaf", flags.deaf);
  CLI11_PARSE(app, argc, argv);
  return Train(flags);
}

}  // namespace
}  // namespace headrace::worker

int main(int argc, char** argv) {
  return headrace::worker::Main(argc, argv);
}
