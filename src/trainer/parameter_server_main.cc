// headrace-ps: a parameter server: holds variables for the trainers of a job, and updates them.
//
// A plain TensorFlow server. Exit codes: 0 told to leave, 1 failed, 2 wrong usage.
#include <CLI/CLI.hpp>
#include <csignal>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "trainer/cluster.h"
#include "trainer/directory.h"
#include "trainer/op_library.h"
#include "trainer/shared/applier.h"

namespace headrace::trainer {
namespace {

struct Flags {
  int index = 0;
  std::string host = "127.0.0.1";
  int port = 0;
  std::string port_file;
  std::vector<std::string> op_libraries;
  std::string exported;
  std::vector<std::string> others;
  std::int64_t grads_to_wait = 1;
};

// Synchronous training: the first server applies the gradients. own: its address.
Status Apply(const Flags& flags, const std::string& own) {
  std::unique_ptr<Cluster> cluster;
  std::vector<std::string> servers{own};
  servers.insert(servers.end(), flags.others.begin(), flags.others.end());
  if (Status status = Cluster::Join(servers, kApplierNumber, kServersComeBack, &cluster);
      !status.ok()) {
    return status;
  }
  std::unique_ptr<Applier> applier;
  Status status = Applier::Open(*cluster, flags.exported, flags.grads_to_wait, &applier);
  while (status.ok()) status = applier->Serve();
  return status;
}

void ApplyOrEnd(const Flags& flags, const std::string& own) {
  const Status status = Apply(flags, own);
  std::cerr << "headrace-ps " << flags.index
            << ": gradients can no longer be applied: " << status.ToString() << std::endl;
  std::_Exit(1);  // whoever started it starts it again, and the model is restored
}

Status Serve(const Flags& flags, const sigset_t& ends) {
  for (const std::string& library : flags.op_libraries) {
    if (Status status = LoadOpLibrary(library); !status.ok()) return status;
  }
  std::string address;
  if (Status status = StartServer(flags.host, flags.port, &address); !status.ok()) return status;
  std::cerr
      << "headrace-ps " << flags.index << ": serves at " << address
      << "; it listens on every network interface, unencrypted, and runs whatever it is sent, as "
         "TensorFlow's servers do: keep its port inside a network that you trust"
      << std::endl;
  if (!flags.port_file.empty()) {
    // By a rename, so that whoever waits for it reads all of it.
    const std::string unfinished = flags.port_file + ".new";
    if (Status status = WriteFile(unfinished, address + "\n"); !status.ok()) return status;
    std::filesystem::rename(unfinished, flags.port_file);
  }
  // It ends with the process.
  if (!flags.exported.empty()) std::thread(ApplyOrEnd, flags, address).detach();
  int signal = 0;
  sigwait(&ends, &signal);
  // TensorFlow's servers have no way to end while sessions are theirs; nothing here is worth
  // keeping: checkpoints are the model's memory.
  std::cerr << "headrace-ps " << flags.index << ": leaves" << std::endl;
  std::_Exit(0);
}

int Main(int argc, char** argv) {
  CLI::App app("A parameter server: holds the variables of a job's model.");
  Flags flags;
  app.add_option("--index", flags.index, "Its place among the job's parameter servers; for people.")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--host", flags.host, "Under which the trainers find this machine.")
      ->capture_default_str();
  app.add_option("--port", flags.port, "To listen on; 0: any that is free.")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  app.add_option("--port_file", flags.port_file, "Gets host:port as soon as it listens.");
  app.add_option("--load_op_library", flags.op_libraries, "A library of ops that the model uses.");
  auto* const exported = app.add_option(
      "--exported", flags.exported,
      "Synchronous training, first server only: the exported job, whose gradients it applies.");
  app.add_option("--others", flags.others, "With --exported: the job's other servers, in order.")
      ->delimiter(',')
      ->needs(exported);
  app.add_option("--grads_to_wait", flags.grads_to_wait,
                 "With --exported: gradients that a step takes, while so many trainers work.")
      ->check(CLI::PositiveNumber)
      ->needs(exported)
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  // Before there are threads, so that all of them leave these signals to sigwait().
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  const Status status = Serve(flags, ends);
  if (status.ok()) return 0;
  std::cerr << "headrace-ps: " << status.ToString() << std::endl;
  return 1;
}

}  // namespace
}  // namespace headrace::trainer

int main(int argc, char** argv) {
  return headrace::trainer::Main(argc, argv);
}
