#include "records_tool/console.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <system_error>
#include <utility>

namespace headrace::records_tool {

void Complain(const std::string& text) {
  std::fprintf(stderr, "headrace-records: %s\n", text.c_str());
}

void Complain(const Status& status) {
  Complain(status.message());
}

bool Print(const std::string& text) {
  const bool good =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!good && errno != EPIPE) {
    Complain("writing to standard output: " + std::generic_category().message(errno));
  }
  return good;
}

bool PrintJson(const nlohmann::json& json) {
  return Print(json.dump(2) + "\n");
}

namespace {

volatile std::sig_atomic_t interrupted = 0;
// Readable once interrupted: a flag alone is missed by a read that begins just after the look at
// it.
int interrupts[2] = {-1, -1};

}  // namespace

void CatchInterrupts() {
  // Without the pipe the flag still works for all but what waits for input.
  if (::pipe2(interrupts, O_CLOEXEC | O_NONBLOCK) != 0) {
    Complain("pipe: " + std::generic_category().message(errno));
  }
  struct sigaction action {};
  action.sa_handler = [](int) {
    const int error = errno;
    interrupted = 1;
    static_cast<void>(::write(interrupts[1], "", 1) == 1);
    errno = error;
  };
  action.sa_flags = SA_RESETHAND;  // a second one ends the program
  for (const int signal : {SIGINT, SIGTERM}) ::sigaction(signal, &action, nullptr);
}

bool Interrupted() {
  return interrupted != 0;
}

Status InterruptedError() {
  return {Code::kCancelled, "interrupted; nothing is written"};
}

bool WaitForInput(int fd) {
  pollfd waiting[] = {{fd, POLLIN, 0}, {interrupts[0], POLLIN, 0}};
  while (!Interrupted()) {
    // An error other than EINTR is found again, and told, by the read.
    if (::poll(waiting, 2, -1) >= 0 || errno != EINTR) return !Interrupted();
  }
  return false;
}

Progress::Progress(std::string doing, std::uint64_t total)
    : doing_(std::move(doing)),
      total_(total),
      shown_(::isatty(STDERR_FILENO) == 1),
      next_(std::chrono::steady_clock::now()) {}

Progress::~Progress() {
  if (shown_) std::fputs("\r\033[K", stderr);
}

void Progress::Show() {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return;
  next_ = now + std::chrono::milliseconds(200);
  const std::string of = total_ > 0 ? " of " + std::to_string(total_) : "";
  std::fprintf(stderr, "\r\033[K%s: %s%s records", doing_.c_str(), std::to_string(done_).c_str(),
               of.c_str());
}

}  // namespace headrace::records_tool
