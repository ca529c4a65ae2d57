// The program itself: killed at any moment, without disk, with a damaged journal.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <iostream>
#include <limits>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/testing.h"
#include "journal/testing.h"
#include "master/testing.h"

namespace headrace::master {
namespace {

using headrace::testing::Report;
using headrace::testing::Scaled;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using testing::Caller;
using testing::FakeWorker;
using testing::World;

// A child process with its output in a file.
class Process {
 public:
  Process(std::vector<std::string> arguments, const std::string& log, rlim_t file_bytes = 0) {
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ != 0) return;
    const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    if (file_bytes != 0) {
      signal(SIGXFSZ, SIG_IGN);  // so that writing fails as on a full disk
      const rlimit limit{file_bytes, file_bytes};
      setrlimit(RLIMIT_FSIZE, &limit);
    }
    execv(argv[0], argv.data());
    _exit(127);
  }
  ~Process() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }
  void Signal(int signal) { kill(pid_, signal); }
  bool Ended(int* code) {
    int status = 0;
    if (pid_ <= 0 || waitpid(pid_, &status, WNOHANG) != pid_) return false;
    pid_ = 0;
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
  }
  // The exit code; -1 if it does not end in time.
  int Wait(milliseconds limit = milliseconds(30000)) {
    if (pid_ <= 0) return -1;
    pollfd end{static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)), POLLIN, 0};
    poll(&end, 1, static_cast<int>(limit.count()));
    close(end.fd);
    int code = -1;
    return Ended(&code) ? code : -1;
  }

 private:
  pid_t pid_ = 0;
};

class ProcessTest : public journal::testing::Test {
 protected:
  void WriteJob(std::int64_t records, const std::string& more = "") {
    std::ofstream(Path("job.json"))
        << R"({"version": 1, "name": "test", "type": "training-only", "task_records": 10,
               "files": [{"path": "a.rec", "records": )"
        << records << "}]" << more << "}";
  }
  std::vector<std::string> Command(std::vector<std::string> more = {}) const {
    const auto has = [&](const char* flag) {
      return std::find(more.begin(), more.end(), flag) != more.end();
    };
    std::vector<std::string> command = {HEADRACE_MASTER, "--job", Path("job.json")};
    for (const char* flag : {"journal", "port_file"}) {
      if (has((std::string("--") + flag).c_str())) continue;
      command.push_back(std::string("--") + flag);
      command.push_back(Path(flag));
    }
    command.insert(command.end(), more.begin(), more.end());
    return command;
  }
  Process Run(std::vector<std::string> more = {}, rlim_t file_bytes = 0) const {
    return Process(Command(std::move(more)), Path("log"), file_bytes);
  }
  // The address in the port file, which must be new; empty: the process has ended.
  std::string WaitForAddress(Process* process) const {
    const auto end = steady_clock::now() + milliseconds(20000);
    while (steady_clock::now() < end && process->Wait(milliseconds(2)) == -1) {
      const std::string address = Address();
      if (!address.empty()) return address;
    }
    return "";
  }
  std::string Address() const {
    const std::string text = journal::testing::ReadFile(Path("port_file"));
    return text.substr(0, text.find('\n'));
  }
  std::string Log() const { return journal::testing::ReadFile(Path("log")); }
  // What headrace-ctl prints.
  nlohmann::json Ctl(const std::string& arguments, int* code) const {
    const std::string out = Path("ctl");
    const std::string command = std::string(HEADRACE_CTL) + " " + arguments + " >" + out;
    const int status = std::system(command.c_str());
    *code = WEXITSTATUS(status);
    const std::string text = journal::testing::ReadFile(out);
    return nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  }
};

constexpr int kKilled = 128 + SIGKILL;

// Masters of one job that are killed one after the other, while two workers do it.
class KilledProcessTest : public ProcessTest {
 protected:
  // One master, from its start to its end: its exit code. Told how many there were before.
  using Life = std::function<int(int kills)>;

  // Until the job is done; the first `kills` masters live as `life` says. Nothing may be lost or
  // counted twice. A life is given so many tasks that half of them take the whole job.
  void DoTheJob(std::int64_t records, int kills, const Life& life) {
    World world;
    std::atomic<int> refused{0};
    std::mutex mu;
    std::condition_variable another_life;
    const std::int64_t tasks = records / 10;
    std::int64_t begun = 0, may_begin = 0;  // tasks
    const auto allow = [&](std::int64_t count) {
      std::lock_guard<std::mutex> lock(mu);
      may_begin = count;
      another_life.notify_all();
    };
    const auto work = [&](const std::string& name) {
      Caller caller([this] { return Address(); });
      FakeWorker worker(name, &caller, &world);
      worker.before_task = [&] {
        {
          std::unique_lock<std::mutex> lock(mu);
          ++begun;
          another_life.wait(lock, [&, turn = begun] { return turn <= may_begin; });
        }
        std::this_thread::sleep_for(milliseconds(15));  // the training
      };
      while (worker.Turn()) {
      }
      refused += worker.refused();
    };
    std::vector<std::future<void>> workers;
    int killed = 0, code = kKilled;
    {
      Process first = Run();
      ASSERT_NE(WaitForAddress(&first), "") << Log();
      for (const char* name : {"w-0", "w-1"}) {
        workers.push_back(std::async(std::launch::async, work, name));
      }
    }
    while (code == kKilled) {
      std::filesystem::remove(Path("port_file"));
      ++killed;
      allow(killed < kills / 2 ? 2 * tasks * killed / kills
                               : std::numeric_limits<std::int64_t>::max());
      code = killed < kills ? life(killed) : Run().Wait(milliseconds(600'000));
    }
    allow(std::numeric_limits<std::int64_t>::max());
    for (std::future<void>& worker : workers) worker.wait();
    EXPECT_EQ(code, 0) << Log();
    EXPECT_GE(killed, kills / 2) << "the job was done before";
    Report("kills", killed);
    Report("tasks", static_cast<double>(tasks));
    EXPECT_EQ(refused, 0);
    EXPECT_EQ(world.Histogram(), (std::map<int, int>{{1, static_cast<int>(records)}}));
    int ctl = 0;
    const nlohmann::json ledger = Ctl("ledger --journal " + Path("journal"), &ctl);
    ASSERT_EQ(ctl, 0);
    EXPECT_EQ(ledger["verdict"], "done");
    EXPECT_EQ(ledger["totals"]["trained"], std::to_string(records));
    EXPECT_EQ(ledger["totals"]["possibly_repeated"], "0");
  }
};

TEST_F(KilledProcessTest, AtAnyMomentNoTaskIsLostOrCountedTwice) {
  std::mt19937 random(headrace::testing::Seed());
  const std::int64_t records = Scaled(3000);
  WriteJob(records);
  double slowest_ms = 0;
  DoTheJob(records, static_cast<int>(Scaled(40)), [&](int) {
    const auto begin = steady_clock::now();
    Process master = Run();
    const bool early = random() % 4 == 0;  // it dies before it listens
    if (!early) {
      EXPECT_NE(WaitForAddress(&master), "") << Log();
      const std::chrono::duration<double, std::milli> took = steady_clock::now() - begin;
      slowest_ms = std::max(slowest_ms, took.count());
    }
    const int code = master.Wait(milliseconds(early ? random() % 25 : random() % 120));
    if (code != -1) return code;
    master.Signal(SIGKILL);
    return master.Wait();
  });
  Report("slowest_start_ms", slowest_ms);
}

// Of the journal, its syncs and snapshots, the file with the port, the answers.
TEST_F(KilledProcessTest, RightBeforeAndRightAfterItWrites) {
  std::mt19937 random(headrace::testing::Seed());
  const std::int64_t records = Scaled(6000);
  WriteJob(records);
  // How often a call is made in a life, about.
  const std::vector<std::pair<const char*, int>> functions{{"pwrite64", 60}, {"fdatasync", 20},
                                                           {"sendmsg", 40},  {"ftruncate64", 1},
                                                           {"unlink", 1},    {"rename", 1}};
  std::map<std::string, int> deaths;
  DoTheJob(records, static_cast<int>(Scaled(40)), [&](int kills) {
    const auto& [function, calls] = functions[static_cast<std::size_t>(kills) % functions.size()];
    const std::string fate = std::string(function) + (random() % 2 == 0 ? ":before:" : ":after:");
    std::vector<std::string> command{
        "/usr/bin/env", "LD_PRELOAD=" HEADRACE_DIE_AT_CALL,
        "HEADRACE_DIE_AT=" + fate + std::to_string(random() % calls + 1)};
    const std::vector<std::string> program = Command({"--snapshot_events", "20"});
    command.insert(command.end(), program.begin(), program.end());
    Process master(command, Path("log"));
    int code = master.Wait(milliseconds(1000));
    if (code == kKilled) ++deaths[fate];
    if (code != -1) return code;
    master.Signal(SIGKILL);  // it makes no such call
    return master.Wait();
  });
  for (const auto& [fate, count] : deaths) {
    std::cout << count << " " << fate << "\n";
    Report(fate.substr(0, fate.size() - 1), count);
  }
  for (const char* fate : {"pwrite64:", "fdatasync:", "sendmsg:", "rename:"}) {
    const auto found = deaths.lower_bound(fate);
    EXPECT_TRUE(found != deaths.end() && found->first.rfind(fate, 0) == 0) << fate;
  }
}

TEST_F(ProcessTest, EndsByTheVerdict) {
  WriteJob(20);
  Process master = Run();
  ASSERT_NE(WaitForAddress(&master), "");
  Caller caller([this] { return Address(); });
  World world;
  FakeWorker worker("w-0", &caller, &world);
  int code = 0;
  const nlohmann::json status = Ctl("status --master " + Address(), &code);
  EXPECT_EQ(status["verdict"], "running");
  EXPECT_EQ(status["waits_for"], "a worker to join");
  while (worker.Turn()) {
  }
  EXPECT_EQ(master.Wait(), 0);
  // A job that is done is done.
  Process again = Run();
  EXPECT_EQ(again.Wait(), 0);
}

TEST_F(ProcessTest, ASignalEndsItAndTheNextGoesOn) {
  WriteJob(100);
  World world;
  for (const int signal : {SIGTERM, SIGINT}) {
    std::filesystem::remove(Path("port_file"));
    Process master = Run({"--status_file", Path("status")});
    ASSERT_NE(WaitForAddress(&master), "");
    Caller caller([this] { return Address(); });
    FakeWorker worker("w-0", &caller, &world);
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(worker.Turn());
    master.Signal(signal);
    EXPECT_EQ(master.Wait(milliseconds(5000)), 75);
    const auto last = nlohmann::json::parse(journal::testing::ReadFile(Path("status")));
    EXPECT_EQ(last["verdict"], "interrupted");
    EXPECT_EQ(last["workers"][0]["state"], "gone");
    EXPECT_EQ(last["workers"][0]["leases"], "0");
  }
  int code = 0;
  const nlohmann::json ledger = Ctl("ledger --journal " + Path("journal"), &code);
  EXPECT_EQ(ledger["totals"]["trained"], "20");
}

TEST_F(ProcessTest, GivesUpWithoutWorkers) {
  WriteJob(100);
  Process master = Run({"--worker_timeout_s", "0.5"});
  EXPECT_EQ(master.Wait(milliseconds(10000)), 75);
  EXPECT_NE(Log().find("no worker for"), std::string::npos) << Log();
}

TEST_F(ProcessTest, AFullDiskEndsItAndLosesNothing) {
  WriteJob(100000);
  std::int64_t accepted = 0;
  {
    Process master = Run({}, 256 << 10);
    ASSERT_NE(WaitForAddress(&master), "") << Log();
    auto stub =
        v1::Control::NewStub(grpc::CreateChannel(Address(), grpc::InsecureChannelCredentials()));
    const auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(30);
    v1::JoinRequest join;
    join.set_name("w-0");
    join.set_key(1);
    v1::JoinReply joined;
    grpc::ClientContext context;
    v1::Introduce("test", &context);
    ASSERT_TRUE(stub->Join(&context, join, &joined).ok());
    v1::ExchangeRequest request;
    request.set_worker(joined.worker());
    request.set_incarnation(joined.incarnation());
    request.set_main(true);
    request.set_max_tasks(1);
    grpc::Status status;
    while (true) {
      grpc::ClientContext each;
      v1::Introduce("test", &each);
      each.set_deadline(deadline);
      request.set_request(request.request() + 1);
      v1::ExchangeReply reply;
      status = stub->Exchange(&each, request, &reply);
      if (!status.ok()) break;
      accepted += request.reports_size();
      request.clear_reports();
      ASSERT_EQ(reply.grants_size(), 1);
      v1::Report* report = request.add_reports();
      report->set_token(reply.grants(0).token());
      report->set_end(v1::LEASE_END_FINISHED);
      v1::Acknowledged* what = report->add_acknowledged();
      *what->mutable_range() = reply.grants(0).ranges(0);
      what->set_outcome(v1::OUTCOME_TRAINED);
    }
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(master.Wait(milliseconds(10000)), 1);
    EXPECT_NE(Log().find("the journal cannot be written"), std::string::npos) << Log();
  }
  EXPECT_GT(accepted, 10);
  int code = 0;
  const nlohmann::json ledger = Ctl("ledger --totals_only --journal " + Path("journal"), &code);
  ASSERT_EQ(code, 0);
  const std::int64_t trained = std::stoll(ledger["totals"]["trained"].get<std::string>());
  // What was answered is there; the last one may be there without having been answered.
  EXPECT_TRUE(trained == accepted * 10 || trained == (accepted + 1) * 10)
      << trained << " records, " << accepted << " tasks";
}

TEST_F(ProcessTest, WhatCannotBeServedIsSaidAtOnce) {
  const auto expect = [&](const std::string& what, std::vector<std::string> more,
                          int expected = 1) {
    std::filesystem::remove(Path("log"));
    const auto begin = steady_clock::now();
    Process master = Run(std::move(more));
    EXPECT_EQ(master.Wait(milliseconds(10000)), expected) << Log();
    EXPECT_LT(steady_clock::now() - begin,
              std::chrono::seconds(3));  // a second, on an idle machine
    EXPECT_NE(Log().find(what), std::string::npos) << Log();
  };
  expect("job.json: No such file", {});
  WriteJob(100, R"(, "epoch": 3)");
  expect("'epoch' is not a key of a job file", {});
  expect("--bogus", {"--bogus"}, 2);
  WriteJob(100);
  expect("--tls_cert and --tls_key together", {"--tls_cert", "x"});
  expect("port", {"--port_file", Path("no/such/folder/port")});

  Process master = Run();
  const std::string address = WaitForAddress(&master);
  ASSERT_NE(address, "");
  expect("another process uses this journal", {});
  const std::string port = address.substr(address.find(':') + 1);
  expect("cannot listen at 127.0.0.1:" + port + ": Address already in use",
         {"--port", port, "--journal", Path("other")});
  master.Signal(SIGTERM);
  EXPECT_EQ(master.Wait(), 75);
  WriteJob(200);
  expect("is the journal of job", {});
  WriteJob(100);
  std::string bytes = journal::testing::ReadFile(Path("journal"));
  bytes.at(bytes.find("a.rec")) ^= 0x40;  // of the first event
  journal::testing::WriteFile(Path("journal"), bytes);
  expect(Path("journal") + " is damaged: the checksum of event 1 is wrong", {});
  journal::testing::WriteFile(Path("journal"), std::string(5000, 'x'));
  expect(Path("journal"), {});
}

TEST_F(ProcessTest, ParameterServersAreLookedAt) {
  headrace::testing::Listener server;
  WriteJob(100, R"(, "model": "shared", "trainer": {"parameter_servers": [")" + server.address() +
                    R"("]})");
  Process master = Run();
  ASSERT_NE(WaitForAddress(&master), "") << Log();
  const auto await = [&](const std::string& state) {
    nlohmann::json found;
    for (const auto end = steady_clock::now() + milliseconds(30000); steady_clock::now() < end;) {
      int code = 0;
      const nlohmann::json status = Ctl("status --master " + Address(), &code);
      if (!status.is_object() || status["servers"].size() != 1) break;
      found = status["servers"][0];
      if (found["state"] == state) return found;
    }
    ADD_FAILURE() << "not " << state << ": " << found << Log();
    return found;
  };
  EXPECT_EQ(await("answers")["address"], server.address());
  EXPECT_EQ(await("answers")["waits_for"], "a worker to restore the model");
  server.Close();
  EXPECT_EQ(await("silent")["why"], "Connection refused");
}

TEST_F(ProcessTest, CtlSaysWhatIsWrong) {
  int code = 0;
  const auto begin = steady_clock::now();
  Ctl("status --master 127.0.0.1:1 --timeout_s 0.5 2>/dev/null", &code);
  EXPECT_EQ(code, 1);
  EXPECT_LT(steady_clock::now() - begin, std::chrono::seconds(5));
  Ctl("status 2>/dev/null", &code);
  EXPECT_EQ(code, 1);
  Ctl("nonsense 2>/dev/null", &code);
  EXPECT_EQ(code, 2);
  Ctl("ledger --journal " + Path("none") + " 2>/dev/null", &code);
  EXPECT_EQ(code, 1);
}

}  // namespace
}  // namespace headrace::master
