// A master, agents and fake trainers as real processes.
#ifndef HEADRACE_WORKER_TESTING_PROCESSES_H_
#define HEADRACE_WORKER_TESTING_PROCESSES_H_

#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "headrace/control.grpc.pb.h"
#include "proto/version.h"

namespace headrace::worker::testing {

using Clock = std::chrono::steady_clock;
inline constexpr std::chrono::seconds kPatience{60};
inline constexpr std::chrono::seconds kLongPatience{600};  // with what grows with the test's scale

inline double MillisecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

// How often `what` stands in `text`.
inline std::size_t Count(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) {
    ++count;
  }
  return count;
}

// Looks every few milliseconds; false when it took too long.
inline bool Until(const std::function<bool()>& holds, std::chrono::milliseconds most = kPatience) {
  const Clock::time_point deadline = Clock::now() + most;
  while (!holds()) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

inline std::string Read(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class Process {
 public:
  Process(const std::vector<std::string>& command, const std::string& log) : log_(log) {
    std::vector<char*> argv;
    for (const std::string& argument : command) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int file = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
    dup2(file, STDOUT_FILENO);
    dup2(file, STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  ~Process() {
    if (running()) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int signal) { kill(pid_, signal); }
  bool running() {
    if (!ended_ && waitpid(pid_, &status_, WNOHANG) == pid_) ended_ = true;
    return !ended_;
  }
  // -1 if it does not end, or was killed.
  int ExitCode(std::chrono::milliseconds most = kPatience) {
    if (!Until([this] { return !running(); }, most)) {
      ADD_FAILURE() << "still running:\n" << Read(log_);
      return -1;
    }
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1;
  }
  std::string output() const { return Read(log_); }

 private:
  const std::string log_;
  pid_t pid_ = 0;
  int status_ = 0;
  bool ended_ = false;
};

inline std::vector<pid_t> ChildrenOf(pid_t pid) {
  std::vector<pid_t> children;
  std::ifstream list("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children");
  for (pid_t child = 0; list >> child;) children.push_back(child);
  return children;
}

// Runs no more; whoever inherited it may not have looked yet.
inline bool Dead(pid_t pid) {
  const std::string status = Read("/proc/" + std::to_string(pid) + "/status");
  return status.empty() || status.find("State:\tZ") != std::string::npos;
}

// A job of two files in a folder of its own.
class JobTest : public ::testing::Test {
 protected:
  JobTest() {
    std::filesystem::remove_all(folder_);  // of a run before, in the same process
    std::filesystem::create_directories(folder_);
  }
  ~JobTest() override {
    workers_.clear();
    master_.reset();
    if (!HasFailure()) std::filesystem::remove_all(folder_);
  }

  // `more`: further keys of the job file.
  void StartMaster(std::int64_t records, const std::string& more = "") {
    std::ofstream(folder_ + "/job.json")
        << R"({"version": 1, "name": "test", "type": "training-only", "model": "none", "files": [)"
        << R"({"path": "a", "records": )" << records / 2 << R"(}, {"path": "b", "records": )"
        << records - records / 2 << R"(}], "task_records": 50, "straggler_ms": 300)"
        << (more.empty() ? "" : ", " + more) << "}";
    RestartMaster();
  }
  void RestartMaster() {
    master_.reset();
    std::vector<std::string> command{
        HEADRACE_MASTER,      "--job",  folder_ + "/job.json", "--journal",
        folder_ + "/journal", "--stay", "--port_file",         folder_ + "/port"};
    if (!address_.empty()) {
      command.insert(command.end(), {"--port", address_.substr(address_.find(':') + 1)});
    }
    std::filesystem::remove(folder_ + "/port");
    master_ = std::make_unique<Process>(command, folder_ + "/master.log");
    ASSERT_TRUE(Until([this] { return std::filesystem::exists(folder_ + "/port"); }))
        << master_->output();
    address_ = Read(folder_ + "/port");
    address_.pop_back();
    stub_ = v1::Control::NewStub(grpc::CreateChannel(address_, grpc::InsecureChannelCredentials()));
  }

  std::vector<std::string> FakeTrainer(const std::vector<std::string>& flags = {}) const {
    std::vector<std::string> command{HEADRACE_FAKE_TRAINER, "--out", folder_ + "/trained"};
    command.insert(command.end(), flags.begin(), flags.end());
    return command;
  }
  Process* StartWorker(const std::string& name, const std::vector<std::string>& command,
                       const std::vector<std::string>& flags = {}) {
    std::vector<std::string> all{HEADRACE_WORKER, "--master", address_, "--name", name,
                                 "--log_dir",     folder_};
    all.insert(all.end(), {"--socket_dir", folder_});
    all.insert(all.end(), flags.begin(), flags.end());
    all.emplace_back("--");
    all.insert(all.end(), command.begin(), command.end());
    workers_[name] = std::make_unique<Process>(all, folder_ + "/" + name + ".agent.log");
    return workers_[name].get();
  }

  v1::JobStatus Status() {
    v1::JobStatus status;
    grpc::ClientContext context;
    v1::Introduce("test", &context);
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
    context.set_wait_for_ready(true);
    stub_->GetStatus(&context, {}, &status);
    return status;
  }
  v1::Ledger Ledger() {
    v1::Ledger ledger;
    grpc::ClientContext context;
    v1::Introduce("test", &context);
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
    context.set_wait_for_ready(true);
    EXPECT_TRUE(stub_->GetLedger(&context, {}, &ledger).ok());
    return ledger;
  }
  std::int64_t trained() { return Status().totals().trained(); }
  // That processes of this name hold.
  std::int64_t Leases(const std::string& name) {
    std::int64_t leases = 0;
    const v1::JobStatus status = Status();
    for (const v1::WorkerStatus& worker : status.workers()) {
      if (worker.name() == name) leases += worker.leases();
    }
    return leases;
  }
  // How often each record was trained, as the trainers wrote it down themselves.
  std::map<std::pair<std::string, std::int64_t>, int> Witness() {
    std::map<std::pair<std::string, std::int64_t>, int> counts;
    std::ifstream lines(witness_);
    std::string path;
    for (std::int64_t index = 0; lines >> path >> index;) ++counts[{path, index}];
    return counts;
  }
  // How many records were trained more often than `epochs` times, counted with each further time.
  std::int64_t Repeated(std::int64_t epochs) {
    std::int64_t repeated = 0;
    for (const auto& [record, count] : Witness()) repeated += count - epochs;
    return repeated;
  }
  // The ledger has every record of every epoch once, and what was trained more often than that is
  // named.
  void ExpectComplete(std::int64_t records, std::int64_t epochs, bool none_repeated) {
    const v1::Ledger ledger = Ledger();
    EXPECT_EQ(ledger.verdict(), "done");
    EXPECT_EQ(ledger.totals().trained(), records * epochs);
    EXPECT_EQ(ledger.totals().pending(), 0);
    std::map<std::pair<std::string, std::int64_t>, int> named;
    for (const v1::FileCoverage& file : ledger.files()) {
      for (const v1::Range& range : file.possibly_repeated()) {
        for (std::int64_t i = range.begin(); i < range.end(); ++i) ++named[{file.path(), i}];
      }
    }
    const auto witness = Witness();
    EXPECT_EQ(witness.size(), static_cast<std::size_t>(records));
    for (const auto& [record, count] : witness) {
      EXPECT_GE(count, epochs) << record.first << " " << record.second;
      if (count > epochs) {
        EXPECT_TRUE(named.count(record)) << record.first << " " << record.second << ": " << count;
      }
      if (!none_repeated) continue;
      EXPECT_EQ(count, epochs) << record.first << " " << record.second;
    }
    if (none_repeated) {
      EXPECT_EQ(ledger.totals().possibly_repeated(), 0);
    }
  }
  void EndMaster(int code) {
    master_->Signal(SIGTERM);
    EXPECT_EQ(master_->ExitCode(), code) << master_->output();
  }

  static std::string NewFolder() {
    std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::replace(name.begin(), name.end(), '/', '_');
    return ::testing::TempDir() + "headrace_worker_" + std::to_string(getpid()) + "_" + name;
  }

  const std::string folder_ = NewFolder();
  std::string witness_ = folder_ + "/trained";
  std::string address_;
  std::unique_ptr<Process> master_;
  std::map<std::string, std::unique_ptr<Process>> workers_;
  std::unique_ptr<v1::Control::Stub> stub_;
};

}  // namespace headrace::worker::testing

#endif  // HEADRACE_WORKER_TESTING_PROCESSES_H_
