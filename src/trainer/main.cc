// headrace-trainer: trains, evaluates or predicts with an exported job; no Python in the process.
//
// Started by headrace-worker, whose socket it finds in HEADRACE_FEED. Exit codes: 0 done or told to
// leave, 1 failed, 2 wrong usage.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "feed/client.h"
#include "trainer/exported_job.h"
#include "trainer/failpoint.h"
#include "trainer/prediction_file.h"
#include "trainer/program.h"
#include "trainer/settings.h"
#include "trainer/shared/shared_model.h"
#include "trainer/trainer.h"

namespace headrace::trainer {
namespace {

int Exit(const Status& status) {
  if (status.ok()) return 0;
  std::cerr << "headrace-trainer: " << status.ToString() << std::endl;
  return 1;
}

Status Work(feed::Client* client, std::unique_ptr<SharedModel>* shared, Failpoint* failpoint,
            std::string* output) {
  Settings settings;
  if (Status status = ParseSettings(client->welcome().job, &settings); !status.ok()) return status;
  const std::uint64_t number = client->welcome().number;  // from 1
  if (number <= settings.die_at.size()) failpoint->Arm(settings.die_at[number - 1]);
  ExportedJob job;
  if (Status status = LoadExportedJob(settings.exported, &job); !status.ok()) return status;
  if (!settings.export_id.empty() && settings.export_id != job.id) {
    return Status(Code::kFailedPrecondition,
                  settings.exported + " holds another exported job (" + job.id +
                      ") than the one that the job was started with (" + settings.export_id +
                      "): the folder of the job must be the same on all machines");
  }
  if (!settings.parameter_servers.empty()) {
    const feed::Welcome& welcome = client->welcome();
    Status status =
        SharedModel::Join(settings, job, welcome.number, welcome.worker, kServersComeBack, shared);
    if (status.ok()) status = (*shared)->Attach(client);
    if (!status.ok()) return status;
  }
  std::unique_ptr<Program> program;
  if (Status status = Program::Load(job, settings, shared->get(), &program); !status.ok()) {
    return status;
  }
  Trainer trainer(job, settings, program.get(), shared->get(), client, failpoint);
  const Status status = trainer.Run(output);
  return status.ok() ? status : program->Explain(status);
}

Status Serve(const std::string& socket) {
  std::unique_ptr<SharedModel> shared;  // outlives the client, whose thread uses it
  Failpoint failpoint;                  // likewise
  feed::Client::Options options;
  options.socket = socket;
  options.program = "headrace-trainer";
  options.on_fence = [&shared](const std::vector<std::uint64_t>& workers) {
    return shared->Fence(workers);
  };
  options.on_live = [&shared](std::int64_t workers) { return shared->TellLive(workers); };
  options.on_lease = [&failpoint] { failpoint.Pass("leased"); };
  options.step_waits = Program::WaitsForOthers;
  std::unique_ptr<feed::Client> client;
  if (Status status = feed::Client::Connect(options, &client); !status.ok()) return status;
  std::string output;
  Status status = Work(client.get(), &shared, &failpoint, &output);
  const Status said = client->Bye(output, status);
  return status.ok() ? said : status;
}

Status Merge(const std::string& parts, const std::string& output) {
  std::vector<std::string> files;
  Status status = MergeParts(parts, output, &files);
  if (status.ok()) std::cout << nlohmann::json(files).dump() << std::endl;
  return status;
}

// No training process has such a number.
constexpr std::uint64_t kVisitor = 1'000'000'000;
constexpr std::chrono::seconds kServersAreThere{8};

// Whether the servers that run already are there, and can do what the job needs.
Status Check(const Settings& settings) {
  ExportedJob job;
  if (Status status = LoadExportedJob(settings.exported, &job); !status.ok()) return status;
  std::unique_ptr<SharedModel> shared;
  return SharedModel::Join(settings, job, kVisitor + static_cast<std::uint64_t>(getpid()),
                           "visitor", kServersAreThere, &shared);
}

int Main(int argc, char** argv) {
  CLI::App app("Runs an exported job for the agent that started it (HEADRACE_FEED).");
  std::string parts, output;
  auto* const merge = app.add_subcommand("merge", "Put the parts of predictions together.");
  merge->add_option("--parts", parts, "Directory of the parts.")->required();
  merge->add_option("--output", output, "Directory for the files.")->required();
  Settings checked;
  auto* const check = app.add_subcommand(
      "check", "Whether parameter servers that run already can serve an exported job.");
  check->add_option("--ps_addrs", checked.parameter_servers, "host:port,... of all, in order.")
      ->delimiter(',')
      ->required();
  check->add_option("--exported", checked.exported, "The exported job.")->required();
  check->add_flag("--synchronous", checked.synchronous, "The first one applies gradients.");
  check->add_option("--grads_to_wait", checked.grads_to_wait, "So many to a step.")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.require_subcommand(0, 1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (merge->parsed()) return Exit(Merge(parts, output));
  if (check->parsed()) return Exit(Check(checked));
  const char* const socket = std::getenv("HEADRACE_FEED");
  if (socket == nullptr || *socket == '\0') {
    std::cerr << "headrace-trainer: HEADRACE_FEED names no socket: headrace-worker starts this "
                 "program; people start `headrace train`"
              << std::endl;
    return 2;
  }
  return Exit(Serve(socket));
}

}  // namespace
}  // namespace headrace::trainer

int main(int argc, char** argv) {
  return headrace::trainer::Main(argc, argv);
}
