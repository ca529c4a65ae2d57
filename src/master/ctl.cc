// headrace-ctl: asks a running master, or reads a journal at rest.
#include <google/protobuf/util/json_util.h>
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <thread>

#include "headrace/control.grpc.pb.h"
#include "master/convert.h"
#include "master/offsets.h"
#include "master/replay.h"
#include "master/server.h"
#include "master/text.h"
#include "proto/version.h"

namespace headrace::master {
namespace {

constexpr int kFailed = 1, kUsage = 2;
constexpr char kProgram[] = "headrace-ctl";

struct Flags {
  std::string master, format = "json", journal, status_file, reason;
  TlsFiles tls;
  double timeout_s = 10, watch_s = 0;
  bool totals = false, all = false, discard = false;
};

int Fail(const std::string& why) {
  std::fprintf(stderr, "headrace-ctl: %s\n", why.c_str());
  return kFailed;
}

void Print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

// One connection, and calls that wait for it.
class Client {
 public:
  explicit Client(const Flags& flags) : flags_(flags) {}

  Status Connect() {
    if (flags_.master.empty()) {
      return {Code::kInvalidArgument, "--master ADDR is needed"};
    }
    std::shared_ptr<grpc::ChannelCredentials> credentials;
    Status status = ClientCredentials(flags_.tls, &credentials);
    if (!status.ok()) return status;
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    // A master that is started again is found within a second.
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2000);  // for one attempt
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
    channel_ = grpc::CreateCustomChannel(flags_.master, credentials, arguments);
    stub_ = v1::Control::NewStub(channel_);
    return {};
  }

  // `call` is a method of the stub. 0: no limit for the answer, once connected.
  template <class Request, class Reply>
  Status Call(grpc::Status (v1::Control::Stub::*call)(grpc::ClientContext*, const Request&, Reply*),
              const Request& request, Reply* reply, bool limited = true) {
    const auto deadline = std::chrono::system_clock::now() +
                          std::chrono::milliseconds(static_cast<long>(flags_.timeout_s * 1000));
    if (!channel_->WaitForConnected(deadline)) {
      return {Code::kUnavailable, "the master at " + flags_.master + " cannot be reached within " +
                                      std::to_string(static_cast<int>(flags_.timeout_s)) + " s"};
    }
    grpc::ClientContext context;
    v1::Introduce(kProgram, &context);
    if (limited) context.set_deadline(deadline);
    const grpc::Status status = ((*stub_).*call)(&context, request, reply);
    if (status.ok()) return v1::CheckMaster(kProgram, context);
    const auto code = static_cast<Code>(status.error_code());
    return {code, "the master at " + flags_.master + " says " + CodeName(code) + ": " +
                      status.error_message()};
  }

 private:
  const Flags& flags_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Control::Stub> stub_;
};

// Prints once, or again and again until `last` says that no more will come.
int Repeat(const Flags& flags, const std::function<Status(std::string* text, bool* last)>& show) {
  while (true) {
    std::string text;
    bool last = false;
    const Status status = show(&text, &last);
    if (!status.ok()) return Fail(status.message());
    Print(text);
    if (flags.watch_s == 0 || last) return 0;
    std::this_thread::sleep_for(std::chrono::duration<double>(flags.watch_s));
  }
}

// Of a job that has ended, as its master left it.
int ShowLastStatus(const Flags& flags) {
  std::ifstream file(flags.status_file);
  std::stringstream content;
  content << file.rdbuf();
  v1::JobStatus status;
  if (!file || !google::protobuf::util::JsonStringToMessage(content.str(), &status).ok()) {
    return Fail(flags.status_file + ": there is no status of a job");
  }
  Print(flags.format == "json" ? Json(status) : Text(status));
  return 0;
}

int ShowStatus(const Flags& flags) {
  if (!flags.status_file.empty()) return ShowLastStatus(flags);
  Client client(flags);
  const Status status = client.Connect();
  if (!status.ok()) return Fail(status.message());
  return Repeat(flags, [&](std::string* text, bool* last) {
    v1::JobStatus reply;
    Status called = client.Call(&v1::Control::Stub::GetStatus, v1::GetStatusRequest(), &reply);
    *text = flags.format == "json" ? Json(reply) : Text(reply);
    *last = reply.state() == v1::JOB_STATE_DONE || reply.state() == v1::JOB_STATE_FAILED;
    return called;
  });
}

int ShowJob(const Flags& flags) {
  Client client(flags);
  Status status = client.Connect();
  v1::Job reply;
  if (status.ok()) {
    status = client.Call(&v1::Control::Stub::GetJob, v1::GetJobRequest(), &reply);
  }
  if (!status.ok()) return Fail(status.message());
  Print(flags.format == "json" ? Json(reply) : reply.name() + ": " + reply.type() + "\n");
  return 0;
}

// Of a journal that no master has open.
Status ReadJournal(const std::string& path, bool totals_only, v1::Ledger* ledger) {
  if (!std::filesystem::exists(path)) return {Code::kNotFound, path + ": no such file"};
  Replayed replayed;
  Status status = OpenJournal(path, "", &replayed);
  if (!status.ok()) return status;
  if (replayed.state.created_ms() == 0) {
    return {Code::kFailedPrecondition, path + " has no job yet"};
  }
  Fill(replayed.state.ledger(), totals_only, ledger);
  return {};
}

int ShowLedger(const Flags& flags) {
  const auto print = [&](v1::Ledger ledger) {
    FindOffsets(&ledger);
    return flags.format == "json" ? Json(ledger) : Text(ledger, flags.all);
  };
  if (!flags.journal.empty()) {
    v1::Ledger ledger;
    const Status status = ReadJournal(flags.journal, flags.totals, &ledger);
    if (!status.ok()) return Fail("journal: " + status.message());
    Print(print(ledger));
    return 0;
  }
  Client client(flags);
  const Status status = client.Connect();
  if (!status.ok()) return Fail(status.message());
  return Repeat(flags, [&](std::string* text, bool* last) {
    v1::GetLedgerRequest request;
    request.set_totals_only(flags.totals);
    v1::Ledger reply;
    Status called = client.Call(&v1::Control::Stub::GetLedger, request, &reply);
    *text = print(reply);
    *last = reply.verdict() != "running";
    return called;
  });
}

int TakeCheckpoint(const Flags& flags) {
  Client client(flags);
  Status status = client.Connect();
  v1::CheckpointReply reply;
  if (status.ok()) {
    status = client.Call(&v1::Control::Stub::Checkpoint, v1::CheckpointRequest(), &reply,
                         /*limited=*/false);
  }
  if (!status.ok()) return Fail(status.message());
  Print(flags.format == "json" ? Json(reply)
                               : "checkpoint of step " + std::to_string(reply.step()) + ": " +
                                     reply.directory() + "\n");
  return 0;
}

int StopJob(const Flags& flags) {
  Client client(flags);
  Status status = client.Connect();
  v1::StopRequest request;
  request.set_reason(flags.reason);
  request.set_discard(flags.discard);
  v1::StopReply reply;
  if (status.ok()) status = client.Call(&v1::Control::Stub::Stop, request, &reply);
  if (!status.ok()) return Fail(status.message());
  Print(flags.format == "json" ? Json(reply) : "the job is stopping\n");
  return 0;
}

int Main(int argc, char** argv) {
  CLI::App app("Asks the master of a job, and tells it to save or to stop.", "headrace-ctl");
  Flags flags;
  app.add_option("--master", flags.master, "host:port of the master");
  app.add_option("--tls_cert", flags.tls.cert, "certificate (PEM)");
  app.add_option("--tls_key", flags.tls.key, "its key (PEM)");
  app.add_option("--tls_ca", flags.tls.ca, "the master must have a certificate of this (PEM)");
  app.add_option("--timeout_s", flags.timeout_s, "longest wait for the master")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--format", flags.format, "json (one object a line) or text")
      ->capture_default_str()
      ->check(CLI::IsMember({"json", "text"}));
  app.require_subcommand(1);
  app.fallthrough();

  int code = 0;
  const auto add = [&](const char* name, const char* help, int (*run)(const Flags&)) {
    CLI::App* command = app.add_subcommand(name, help);
    command->callback([&flags, &code, run] { code = run(flags); });
    return command;
  };
  const auto watchable = [&](CLI::App* command) {
    command->add_option("--watch", flags.watch_s, "again every so many seconds, until it has ended")
        ->check(CLI::PositiveNumber);
  };
  CLI::App* status = add("status", "the job, its workers, what they wait for", ShowStatus);
  watchable(status);
  status->add_option("--status_file", flags.status_file,
                     "what a master that has ended left (--status_file of headrace-master)");
  add("job", "what the job is: name, type, model, what its workers are told", ShowJob);
  CLI::App* ledger = add("ledger", "what became of the records, file by file", ShowLedger);
  watchable(ledger);
  ledger->add_option("--journal", flags.journal, "read this journal, which no master has open");
  ledger->add_flag("--totals_only", flags.totals, "without the files");
  ledger->add_flag("--all", flags.all,
                   "as text: every range and every bad record, however many; json has them always");
  add("checkpoint", "take a checkpoint, and wait until it is saved", TakeCheckpoint);
  CLI::App* stop = add("stop", "checkpoint, then end the job; it can go on later", StopJob);
  stop->add_option("--reason", flags.reason, "for people");
  stop->add_flag("--discard", flags.discard, "without a checkpoint");
  gpr_set_log_function([](gpr_log_func_args*) {});
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  return code;
}

}  // namespace
}  // namespace headrace::master

int main(int argc, char** argv) {
  return headrace::master::Main(argc, argv);
}
