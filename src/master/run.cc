#include "master/run.h"

#include <signal.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <ctime>

namespace headrace::master {
namespace {

using Clock = std::chrono::steady_clock;

constexpr long kTickMs = 100;
constexpr double kGoodbyeS =
    0.3;                         // between the last worker's leave and the end, for who is curious
constexpr double kNoticeS = 10;  // between two lines about the same wait

double Since(Clock::time_point from) {
  return std::chrono::duration<double>(Clock::now() - from).count();
}

sigset_t EndSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

// A span of time during which something holds.
class Span {
 public:
  // Seconds since it began to hold without a break.
  double Seconds(bool holds) {
    const Clock::time_point now = Clock::now();
    if (!holds || !held_) since_ = now;
    held_ = holds;
    return std::chrono::duration<double>(now - since_).count();
  }

 private:
  bool held_ = false;
  Clock::time_point since_;
};

int ExitCode(const Dispatcher::Outlook& outlook) {
  const bool failed = outlook.verdict == ledger::Verdict::kFailed;
  if (!failed && !outlook.delivered) return kExitUnfinished;
  switch (outlook.verdict) {
    case ledger::Verdict::kDone: return kExitDone;
    case ledger::Verdict::kDoneWithQuarantined: return kExitQuarantined;
    case ledger::Verdict::kFailed: return kExitFailed;
    case ledger::Verdict::kRunning: break;
  }
  return kExitUnfinished;
}

}  // namespace

void BlockSignals() {
  const sigset_t signals = EndSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

int Run(Dispatcher* dispatcher, const RunOptions& options) {
  const sigset_t signals = EndSignals();
  const timespec tick{0, kTickMs * 1'000'000};
  Span over, ended, alone;
  Clock::time_point noticed = Clock::now();
  while (true) {
    const int signal = sigtimedwait(&signals, nullptr, &tick);
    dispatcher->Tick();
    const Dispatcher::Outlook outlook = dispatcher->GetOutlook();
    if (!outlook.journal.ok()) {
      spdlog::critical("the journal cannot be written, nothing is accepted any more: {}",
                       outlook.journal.message());
      return kExitFailed;
    }
    const bool running = outlook.state == JobState::kRunning;
    if (signal == SIGTERM || signal == SIGINT) {
      const int code = ExitCode(outlook);
      spdlog::info("ends by signal {}, exit code {}", signal, code);
      return code;
    }
    if (options.stay && !running) continue;
    if (over.Seconds(outlook.over) >= kGoodbyeS ||
        ended.Seconds(!running) >= options.linger_s + kGoodbyeS) {
      const int code = ExitCode(outlook);
      if (!outlook.failure.empty()) spdlog::error("the job failed: {}", outlook.failure);
      spdlog::info("the job has ended, exit code {}", code);
      return code;
    }
    const double lonely_s = alone.Seconds(running && outlook.present == 0);
    if (lonely_s >= options.worker_timeout_s) {
      spdlog::error(
          "no worker for {:.0f} s (--worker_timeout_s): the job is given up; start it "
          "again to go on",
          lonely_s);
      return kExitUnfinished;
    }
    const bool holding = !outlook.waits_for.empty() && outlook.waiting_ms >= kNoticeS * 1000;
    if (Since(noticed) >= kNoticeS && (lonely_s >= kNoticeS || holding)) {
      noticed = Clock::now();
      if (lonely_s >= kNoticeS) {
        spdlog::warn("has waited {:.0f} s for a worker; gives up after {:.0f} s", lonely_s,
                     options.worker_timeout_s);
      } else {
        spdlog::warn("has waited {:.0f} s for {}", static_cast<double>(outlook.waiting_ms) / 1000,
                     outlook.waits_for);
      }
    }
  }
}

}  // namespace headrace::master
