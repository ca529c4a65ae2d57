#include "worker/child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string_view>
#include <system_error>
#include <thread>

extern "C" char** environ;

namespace headrace::worker {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLook{5};
constexpr std::size_t kMostOfALine = 300;

std::string Reason(int error) {
  return std::generic_category().message(error);
}

std::vector<char*> Pointers(std::vector<std::string>* texts) {
  std::vector<char*> pointers;
  for (std::string& text : *texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Where execvp would find it; empty: nowhere.
std::string Find(const std::string& program) {
  if (program.find('/') != std::string::npos) {
    return access(program.c_str(), X_OK) == 0 ? program : "";
  }
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "/bin:/usr/bin" : path);
  std::string folder;
  while (std::getline(folders, folder, ':')) {
    std::string candidate = (folder.empty() ? "." : folder) + "/" + program;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return "";
}

// Of this process, whoever started them.
std::vector<pid_t> Children() {
  std::vector<pid_t> children;
  std::ifstream list("/proc/self/task/" + std::to_string(getpid()) + "/children");
  for (pid_t pid = 0; list >> pid;) children.push_back(pid);
  return children;
}

bool Matches(const std::string& line, std::string_view pattern) {
  if (line.size() < pattern.size()) return false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const bool digit = line[i] >= '0' && line[i] <= '9';
    const bool level = line[i] == 'I' || line[i] == 'W';
    if (pattern[i] == '0' ? !digit : pattern[i] == 'L' ? !level : line[i] != pattern[i])
      return false;
  }
  return true;
}

// What libraries say of themselves, whatever happens.
bool IsNoise(const std::string& line) {
  // TensorFlow's own way of logging, and Abseil's.
  if (Matches(line, "0000-00-00 00:00:00.000000: L ") || Matches(line, "L0000 00:00:00"))
    return true;
  for (const std::string_view known :
       {"WARNING: All log messages before absl::InitializeLog()",
        "To enable the following instructions: "}) {  // the second line of such a message
    if (line.compare(0, known.size(), known) == 0) return true;
  }
  // Python's: FILE.py:12: UserWarning: ...
  const std::size_t warning = line.find("Warning: ");
  return warning != std::string::npos && line.rfind(".py:", warning) != std::string::npos;
}

}  // namespace

void Child::BecomeReaper() {
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

Status Child::CheckCommand(const std::string& program) {
  if (!Find(program).empty()) return {};
  return {Code::kNotFound, "there is no program '" + program + "' that could be started"};
}

Child::~Child() {
  EndAll(std::chrono::milliseconds(0));
}

Status Child::Start(const Options& options) {
  std::vector<std::string> arguments = options.command, environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const bool replaced =
        std::any_of(options.environment.begin(), options.environment.end(),
                    [&](const auto& added) { return text.rfind(added.first + "=", 0) == 0; });
    if (!replaced) environment.push_back(text);
  }
  for (const auto& [name, value] : options.environment) environment.push_back(name + "=" + value);
  const std::string program = Find(options.command[0]);
  const std::vector<char*> argv = Pointers(&arguments), envp = Pointers(&environment);
  if (program.empty()) return CheckCommand(options.command[0]);

  int log = -1;
  if (!options.log.empty()) {
    log = open(options.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (log < 0) return {Code::kUnavailable, "log " + options.log + ": " + Reason(errno)};
    log_ = options.log;
    log_begin_ = lseek(log, 0, SEEK_END);
  }
  int failed[2];  // gets errno if the program cannot be run
  if (pipe2(failed, O_CLOEXEC) != 0) {
    const int error = errno;
    if (log >= 0) close(log);
    return {Code::kUnavailable, "pipe: " + Reason(error)};
  }
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) {
    // Only what is safe between fork and exec in a process with threads.
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent) _exit(127);
    if (log >= 0) {
      dup2(log, STDOUT_FILENO);
      dup2(log, STDERR_FILENO);
    }
    execve(program.c_str(), argv.data(), envp.data());
    const int error = errno;
    const ssize_t written = write(failed[1], &error, sizeof(error));
    _exit(written == sizeof(error) ? 127 : 126);
  }
  const int fork_error = errno;
  if (log >= 0) close(log);
  close(failed[1]);
  if (pid_ < 0) {
    close(failed[0]);
    pid_ = 0;
    return {Code::kUnavailable, "fork: " + Reason(fork_error)};
  }
  setpgid(pid_, pid_);  // whoever is first
  int error = 0;
  ssize_t got = 0;
  while ((got = read(failed[0], &error, sizeof(error))) < 0 && errno == EINTR) continue;
  close(failed[0]);
  if (got != sizeof(error)) return {};
  EndAll(std::chrono::milliseconds(0));
  return {Code::kNotFound, "'" + options.command[0] + "' cannot be started: " + Reason(error)};
}

bool Child::Ended(std::string* how) {
  if (pid_ == 0) return false;
  if (!ended_) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      ended_ = true;
      wait_status_ = status;
    }
  }
  if (ended_) *how = Describe(wait_status_);
  return ended_;
}

std::string Child::LastLine() const {
  return log_.empty() ? "" : worker::LastLine(log_, log_begin_);
}

void Child::Signal(int signal) {
  if (pid_ > 0) kill(-pid_, signal);
}

bool Child::Alive() {
  std::string how;
  Ended(&how);
  // Those that it left behind are ours now.
  for (const pid_t child : Children()) {
    if (child != pid_) waitpid(child, nullptr, WNOHANG);
  }
  return kill(-pid_, 0) == 0 || errno == EPERM;
}

void Child::EndAll(std::chrono::milliseconds grace) {
  if (pid_ <= 0) return;
  if (Alive() && grace.count() > 0) {
    Signal(SIGTERM);
    const Clock::time_point deadline = Clock::now() + grace;
    while (Alive() && Clock::now() < deadline) std::this_thread::sleep_for(kLook);
  }
  // KILL cannot be refused; a process in uninterruptible sleep keeps us here, and should.
  while (Alive()) {
    Signal(SIGKILL);
    std::this_thread::sleep_for(kLook);
  }
  // Those that left the group.
  for (std::vector<pid_t> rest = Children(); !rest.empty(); rest = Children()) {
    for (const pid_t child : rest) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
  }
}

std::string Describe(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    const int signal = WTERMSIG(wait_status);
    const char* name = sigabbrev_np(signal);
    return "killed by signal " + std::to_string(signal) + " (" + (name == nullptr ? "?" : name) +
           ")";
  }
  return "exit code " + std::to_string(WEXITSTATUS(wait_status));
}

std::string LastLine(const std::string& path, std::int64_t begin) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return "";
  file.seekg(0, std::ios::end);
  const auto size = static_cast<std::int64_t>(file.tellg());
  constexpr std::int64_t kTail = 65536;
  file.seekg(std::max(size - kTail, begin));
  std::string line, last;
  while (std::getline(file, line)) {
    // One that is indented goes on with what another one said.
    if (!line.empty() && line.find_first_of(" \t\r") != 0 && !IsNoise(line)) last = line;
  }
  return last.substr(0, kMostOfALine);
}

}  // namespace headrace::worker
