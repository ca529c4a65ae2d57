// A training process for tests: "trains" by appending "PATH INDEX" lines to a file, or, if the
// job's model is shared, to the model that FakeServers hold.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "feed/client.h"
#include "feed/testing.h"
#include "worker/testing/fake_servers.h"

namespace headrace::worker {
namespace {

using feed::Client;
using feed::Orders;
using feed::testing::FakeTrainer;
using testing::FakeServers;

struct Flags {
  std::string out;
  int step_ms = 0;
  std::size_t batch = 8, shuffle = 1;
  std::int64_t kill_at = -1;       // SIGKILL to itself at this step
  std::int64_t kill_on = -1;       // SIGKILL to itself at a step with this record of a file
  std::int64_t exit_at = -1;       // exit code 3 at this step
  std::int64_t hang_at = -1;       // its training thread goes no further than this step
  bool silent = false;             // never connects
  int protocol = feed::kProtocol;  // another one: says hello with it, and leaves when it is refused
  bool deaf = false;               // ignores TERM and a drain
  // Of shared models: the servers' folder, where checkpoints and the final model are.
  std::string servers, checkpoints, model;
  int restore_ms = 0;
  std::int64_t pause_at = -1;  // STOP to itself with this step in its hands
  bool kill_at_restore = false, kill_at_delivery = false;
  bool fail_at_delivery = false;
  std::string
      times;  // gets when it was ready, and when its first step began: ms of the steady clock
  std::string once;  // only the process that makes this file kills or stops itself
};

// Whether this process is the one that fails.
bool Fails(const Flags& flags) {
  if (flags.once.empty()) return true;
  return open(flags.once.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0666) >= 0;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string Lines(const std::vector<FakeTrainer::Record>& records) {
  std::string lines;
  for (const auto& [path, index] : records) lines += path + " " + std::to_string(index) + "\n";
  return lines;
}

void Write(int file, const std::vector<FakeTrainer::Record>& records) {
  const std::string lines = Lines(records);
  if (write(file, lines.data(), lines.size()) != static_cast<ssize_t>(lines.size())) std::abort();
}

int SayHelloOnly(const std::string& path, int protocol) {
  std::unique_ptr<feed::LineSocket> socket;
  if (!feed::LineSocket::Connect(path, feed::testing::kPatience, &socket).ok()) return 5;
  feed::message::Hello hello;
  hello.protocol = protocol;
  hello.program = "fake-trainer";
  std::string answer;
  if (!socket->Send(feed::Encode(feed::ToAgent(hello))).ok()) return 6;
  return socket->Receive(&answer, feed::testing::kPatience).ok() ? 1 : 7;
}

// The name of the checkpoint with the largest step, the latest of them; empty: there is none.
std::string NewestCheckpoint(const std::string& folder) {
  std::pair<std::int64_t, std::int64_t> newest{-1, -1};
  std::string found;
  if (folder.empty() || !std::filesystem::exists(folder)) return found;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    long long step = 0, time = 0;
    const std::string name = entry.path().filename();
    if (std::sscanf(name.c_str(), "step-%lld-%lld", &step, &time) != 2) continue;
    if (name.find("unfinished") != std::string::npos) continue;
    if (newest >= std::pair<std::int64_t, std::int64_t>(step, time)) continue;
    newest = {step, time};
    found = entry.path();
  }
  return found;
}

void Save(const feed::SaveOrder& order, const FakeServers* servers) {
  const std::string unfinished = order.directory + ".unfinished-" + std::to_string(getpid());
  std::filesystem::create_directories(unfinished);
  std::ofstream(unfinished + "/position", std::ios::binary) << order.position;
  std::ofstream(unfinished + "/step") << order.step;
  if (servers != nullptr) std::ofstream(unfinished + "/model") << servers->Model();
  std::filesystem::rename(unfinished, order.directory);
}

// Until it has the job's model, of this generation.
Status Attach(Client* client, const Flags& flags, FakeServers* servers, std::int64_t* generation) {
  std::int64_t expected = 0;
  for (;;) {
    feed::Attached attached;
    Status status = client->Attach(servers->Generation(), expected, &attached);
    if (!status.ok()) return status;
    *generation = attached.generation;
    if (attached.what == feed::Attached::What::kReady) return {};
    if (attached.what == feed::Attached::What::kLook) {
      expected = attached.generation;
      continue;
    }
    const std::string checkpoint = NewestCheckpoint(flags.checkpoints);
    servers->Write(ReadFile(checkpoint + "/model"));
    std::this_thread::sleep_for(std::chrono::milliseconds(flags.restore_ms));
    if (flags.kill_at_restore && Fails(flags)) kill(getpid(), SIGKILL);
    servers->Publish(attached.generation);
    const std::int64_t step = std::strtoll(ReadFile(checkpoint + "/step").c_str(), nullptr, 10);
    return client->Restored(step, ReadFile(checkpoint + "/position"), checkpoint,
                            attached.generation);
  }
}

Status Deliver(const Flags& flags, FakeServers* servers, std::uint64_t worker) {
  if (flags.kill_at_delivery && Fails(flags)) kill(getpid(), SIGKILL);
  const std::string unfinished = flags.model + ".unfinished-" + std::to_string(worker);
  std::ofstream(unfinished) << servers->Model();
  if (std::rename(unfinished.c_str(), flags.model.c_str()) != 0) {
    return {Code::kUnavailable, "the model cannot be written"};
  }
  servers->Delivered(worker);
  return {};
}

// Stands still as long as it is told to, and saves when it is told to.
Status Obey(Client* client, const FakeServers* servers, std::uint64_t* saved) {
  while (client->attention() && !client->draining()) {
    std::uint64_t version = 0;
    const Orders orders = client->current_orders(&version);
    Status status = client->Held(orders.hold);
    if (!status.ok() || orders.hold == 0) return status;
    if (orders.save.has_value() && std::exchange(*saved, orders.hold) != orders.hold) {
      Save(*orders.save, servers);
      status = client->Saved(*orders.save, Status(), std::chrono::milliseconds(1), 1);
      if (!status.ok()) return status;
    }
    while (!client->attention()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return {};
}

void NoteTime(const std::string& path) {
  if (path.empty()) return;
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  std::ofstream(path, std::ios::app)
      << std::chrono::duration_cast<std::chrono::milliseconds>(now).count() << std::endl;
}

int Train(const Flags& flags) {
  if (flags.deaf) signal(SIGTERM, SIG_IGN);
  if (flags.silent) {
    for (;;) pause();
  }
  const char* socket = std::getenv("HEADRACE_FEED");
  if (socket == nullptr) return 4;
  if (flags.protocol != feed::kProtocol) return SayHelloOnly(socket, flags.protocol);
  Client::Options connect;
  connect.socket = socket;
  connect.program = "fake_trainer";
  connect.report_every = std::chrono::milliseconds(20);
  std::unique_ptr<FakeServers> servers;
  if (!flags.servers.empty()) servers = std::make_unique<FakeServers>(flags.servers);
  std::uint64_t number = 0;
  connect.on_fence = [&](const std::vector<std::uint64_t>& workers) {
    servers->Fence(workers, number);
    return Status();
  };
  std::unique_ptr<Client> client;
  std::int64_t generation = 0;
  Status status = Client::Connect(connect, &client);
  if (status.ok()) number = client->welcome().number;
  if (status.ok() && client->welcome().model == feed::ModelKind::kLocal) {
    status = client->Restored(0, "", "");
  }
  if (status.ok() && client->welcome().model == feed::ModelKind::kShared) {
    status = Attach(client.get(), flags, servers.get(), &generation);
  }
  if (!status.ok()) {
    std::fprintf(stderr, "fake_trainer: %s\n", status.ToString().c_str());
    if (client == nullptr || !client->draining()) return 1;
    return client->Bye("", Status()).ok() ? 0 : 1;  // told to leave while it waited
  }
  NoteTime(flags.times);
  const int file = open(flags.out.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
  FakeTrainer::Options options;
  options.batch = flags.batch;
  options.shuffle = flags.shuffle;
  std::uint64_t saved = 0;
  options.before_iterator = [&] { return Obey(client.get(), servers.get(), &saved); };
  FakeTrainer* running = nullptr;
  bool hangs = false, began = false;
  options.on_batch = [&](const auto& records) {
    if (!std::exchange(began, true)) NoteTime(flags.times);
    if (running->steps() == flags.kill_at && Fails(flags)) kill(getpid(), SIGKILL);
    for (const auto& record : records) {
      if (record.second == flags.kill_on) kill(getpid(), SIGKILL);
    }
    if (running->steps() == flags.pause_at && Fails(flags)) kill(getpid(), SIGSTOP);
    while (running->steps() == flags.hang_at && (hangs || (hangs = Fails(flags)))) pause();
    if (running->steps() == flags.exit_at) {
      std::fprintf(stderr, "ValueError: the third step is cursed\n");
      _exit(3);
    }
    if (servers == nullptr) {
      Write(file, records);
    } else if (const Status applied = servers->Apply(Lines(records), number, generation);
               !applied.ok()) {
      client->Bye("", applied).IgnoreError();
      _exit(1);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(flags.step_ms));
  };
  options.between_steps = [&] { Obey(client.get(), servers.get(), &saved).IgnoreError(); };
  client->Start();
  FakeTrainer trainer(client.get(), options);
  running = &trainer;
  status = trainer.Run();
  while (flags.deaf) pause();
  const bool delivers = status.ok() && servers != nullptr && client->deliver();
  if (delivers) status = Deliver(flags, servers.get(), number);
  if (status.ok() && flags.fail_at_delivery && client->deliver() && Fails(flags)) {
    status = Status(Code::kResourceExhausted, "no room for the model");
  }
  const Status said = client->Bye(delivers ? flags.model : "", status);
  if (status.ok() && said.ok()) {
    std::fprintf(stderr, "fake_trainer: a last line, as programs have one\n");
    return 0;
  }
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
  app.add_option("--kill_on", flags.kill_on);
  app.add_option("--exit_at", flags.exit_at);
  app.add_option("--hang_at", flags.hang_at);
  app.add_flag("--silent", flags.silent);
  app.add_option("--protocol", flags.protocol);
  app.add_flag("--deaf", flags.deaf);
  app.add_option("--servers", flags.servers);
  app.add_option("--checkpoints", flags.checkpoints);
  app.add_option("--model", flags.model);
  app.add_option("--restore_ms", flags.restore_ms);
  app.add_option("--pause_at", flags.pause_at);
  app.add_flag("--kill_at_restore", flags.kill_at_restore);
  app.add_flag("--kill_at_delivery", flags.kill_at_delivery);
  app.add_flag("--fail_at_delivery", flags.fail_at_delivery);
  app.add_option("--times", flags.times);
  app.add_option("--once", flags.once);
  CLI11_PARSE(app, argc, argv);
  return Train(flags);
}

}  // namespace
}  // namespace headrace::worker

int main(int argc, char** argv) {
  return headrace::worker::Main(argc, argv);
}
