#include "worker/agent.h"

#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <random>

namespace headrace::worker {

namespace {

using std::chrono::milliseconds;

constexpr int kDone = 0, kFailed = 1, kStopped = 75;
constexpr milliseconds kTick{50};
constexpr milliseconds kFirstPause{100}, kMostPause{10000};
constexpr milliseconds kNotice{10000};
constexpr milliseconds kUncommittedGrace{2000};  // to leave a job that is stopped
constexpr milliseconds kLastCalls{5000};  // to a master that does not answer, once we are to stop
constexpr char kGoodEnd[] = "exit code 0";
constexpr char kNeverAsked[] =
    "the program ended with exit code 0 and never asked for records: under `headrace run` a "
    "program gets them from headrace.data.task_dataset()";

std::string HostName() {
  char name[256] = "";
  gethostname(name, sizeof(name) - 1);
  return name;
}

std::uint64_t RandomKey() {
  std::random_device random;
  return (static_cast<std::uint64_t>(random()) << 32 | random()) | 1;
}

}  // namespace

Agent::Agent(const Options& options, Master* master, Metrics* metrics)
    : options_(options), master_(master), metrics_(metrics) {}

void Agent::Stop() {
  ++stops_;
  joining_.GiveUpAt(Clock::now());
  changed_.Signal();
}

std::string Agent::LogPath() const {
  return options_.log_folder.empty() ? "" : options_.log_folder + "/" + options_.name + ".log";
}

int Agent::Run() {
  Status status = Child::CheckCommand(options_.command[0]);
  if (!status.ok()) {
    spdlog::error("{}", status.message());
    return kFailed;
  }
  int failures = 0;
  for (bool first = true;; first = false) {
    v1::JoinReply joined;
    status = Join(&joined);
    if (stops_ > 0 && !status.ok()) return kDone;
    if (!status.ok()) {
      spdlog::error("cannot join the job: {}", status.ToString());
      return kFailed;
    }
    const int code = stops_ > 0 ? kDone : CodeOf(joined.orders().state(), joined.orders().reason());
    if (code >= 0) {
      LeaveUnstarted(joined);
      return code;
    }
    if (!first) metrics_->Restarted();
    const Ended ended = RunProcess(joined);
    if (!ended.cannot_start.ok()) {
      spdlog::error("{}", ended.cannot_start.message());
      return kFailed;
    }
    const Link::View& view = ended.view;
    if (ended.reason.empty() && view.state != v1::JOB_STATE_FAILED) {
      return view.state == v1::JOB_STATE_STOPPING && stops_ == 0 ? kStopped : kDone;
    }
    if (stops_ > 0) return kDone;
    const int over = view.state == v1::JOB_STATE_DONE ? -1 : CodeOf(view.state, view.job_reason);
    if (over >= 0) return over;
    if (view.end == Session::End::kRewound || view.end == Session::End::kFenced) {
      spdlog::info("{}", view.end_reason);
      failures = 0;
      continue;
    }
    if (view.finished && view.said_bye && joined.model() == v1::MODEL_KIND_LOCAL) {
      // The model is lost with it: another one would train all of it again, to fail in the same
      // way.
      spdlog::error("the job is trained, and its model cannot be written: {}", view.bye_error);
      return kFailed;
    }
    if (view.said_bye && view.uncommitted && ended.good) {
      spdlog::error("{}", ended.reason);  // the next one would do the same
      return kFailed;
    }
    progressed_ |= view.progress;
    if (view.progress && !view.finished) {
      failures = 1;
    } else if (!progressed_ || !view.isolated) {
      // Else a record may be to blame; the ledger, which counts such losses, finds it.
      ++failures;
    }
    if (failures > options_.max_restarts) {
      spdlog::error(
          "gives up: the training process ended {} times in a row without progress, last: {}",
          failures, ended.reason);
      return kFailed;
    }
    const milliseconds pause =
        std::min(kFirstPause * (1 << std::clamp(failures - 1, 0, 10)), kMostPause);
    spdlog::warn("the training process ended: {}; it is started again in {} ms", ended.reason,
                 pause.count());
    if (!Pause(pause)) return kDone;
  }
}

Status Agent::Join(v1::JoinReply* joined) {
  v1::JoinRequest request;
  request.set_name(options_.name);
  request.set_host(HostName());
  request.set_pid(getpid());
  request.set_key(RandomKey());
  if (!joined_before_) {
    // Until the first answer only for so long; a retry of its own, since giving up is for good.
    Retry first;
    first.GiveUpAt(Clock::now() + options_.master_timeout);
    Status status = first.Run("join", [&] {
      return stops_ > 0 ? Status(Code::kCancelled, "stopped") : master_->Join(request, joined);
    });
    joined_before_ = status.ok();
    if (status.code() == Code::kUnavailable || status.code() == Code::kDeadlineExceeded) {
      return {status.code(), "no master for " +
                                 std::to_string(std::chrono::duration_cast<std::chrono::seconds>(
                                                    options_.master_timeout)
                                                    .count()) +
                                 " s; is --master right, and does it run? " + status.message()};
    }
    return status;
  }
  return joining_.Run("join again", [&] { return master_->Join(request, joined); });
}

void Agent::LeaveUnstarted(const v1::JoinReply& joined) {
  v1::LeaveRequest request;
  request.set_worker(joined.worker());
  v1::LeaveReply reply;
  Retry leaving;
  leaving.GiveUpAt(Clock::now() + kLastCalls);
  leaving.Run("leave", [&] { return master_->Leave(request, &reply); }).IgnoreError();
}

int Agent::CodeOf(v1::JobState state, const std::string& reason) const {
  switch (state) {
    case v1::JOB_STATE_DONE: return kDone;
    case v1::JOB_STATE_FAILED: spdlog::error("the job failed: {}", reason); return kFailed;
    case v1::JOB_STATE_STOPPING: spdlog::info("the job is stopped: {}", reason); return kStopped;
    default: return -1;
  }
}

bool Agent::Pause(milliseconds time) {
  const Clock::time_point until = Clock::now() + time;
  while (stops_ == 0 && Clock::now() < until) changed_.Wait(kTick);
  return stops_ == 0;
}

Agent::Ended Agent::RunProcess(const v1::JoinReply& joined) {
  Ended ended;
  Link link(master_, joined, options_.name, metrics_, &changed_);
  Child child;
  Child::Options start;
  start.command = options_.command;
  start.log = LogPath();
  const std::string socket = options_.socket_folder + "/" + options_.name + ".sock";
  start.environment.emplace_back("HEADRACE_FEED", socket);
  ended.cannot_start = link.Listen(socket);
  if (ended.cannot_start.ok()) ended.cannot_start = child.Start(start);
  if (ended.cannot_start.ok()) {
    ended.reason = Supervise(joined, &link, &child);
  } else {
    ended.reason = ended.cannot_start.message();
  }
  child.EndAll(options_.grace);
  // The next process of the same program would be refused as well.
  if (const std::string other = link.view().other_version; !other.empty()) {
    ended.cannot_start = {Code::kFailedPrecondition, other};
  }
  if (joined.model() == v1::MODEL_KIND_NONE && ended.reason == kGoodEnd && stops_ == 0 &&
      !link.view().connected && link.view().state == v1::JOB_STATE_RUNNING) {
    ended.cannot_start = {Code::kFailedPrecondition, kNeverAsked};  // nor would the next one
    ended.reason = kNeverAsked;
  }
  link.ProcessEnded(ended.reason);
  if (!ended.cannot_start.ok()) link.GiveUpAt(Clock::now() + kLastCalls);
  for (;;) {
    if (stops_ > 0) link.GiveUpAt(Clock::now() + kLastCalls);
    ended.view = link.view();
    if (ended.view.over) break;
    changed_.Wait(kTick);
  }
  // Its own word counts for more than how it looked from here.
  if (ended.view.said_bye && ended.view.bye_error.empty() && ended.cannot_start.ok()) {
    if (!ended.reason.empty() && ended.reason != kGoodEnd) {
      spdlog::warn("after its last word: {}", ended.reason);
    }
    ended.reason.clear();
  } else if (ended.view.said_bye) {
    ended.good = ended.reason == kGoodEnd;
    ended.reason = ended.view.bye_error + " (" + ended.reason + ")";
  }
  return ended;
}

// Until it has ended. Why it ended.
std::string Agent::Supervise(const v1::JoinReply& joined, Link* link, Child* child) {
  const milliseconds step_timeout = options_.step_timeout >= milliseconds(0)
                                        ? options_.step_timeout
                                        : milliseconds(joined.step_timeout_ms());
  const Clock::time_point started = Clock::now();
  std::string why;  // not empty: it is being killed
  Clock::time_point killed_at, drained_at, closed_at, failed_at, noticed_at, leaves_since;
  bool drained = false, closed = false, failed = false, terminated = false;
  const auto kill = [&](const std::string& reason, int signal = SIGTERM) {
    if (!why.empty()) return;
    why = reason;
    killed_at = Clock::now();
    terminated = true;
    spdlog::warn("kills the training process: {}", reason);
    child->Signal(signal);
  };
  for (;;) {
    std::string how;
    if (child->Ended(&how)) {
      if (!why.empty()) return why.append(", ").append(how);
      if (how == kGoodEnd) return how;
      const std::string last = child->LastLine();
      return last.empty() ? how : how.append("; its last line: ").append(last);
    }
    const Link::View view = link->view();
    const Clock::time_point now = Clock::now();
    if (stops_ > 1) {
      if (!terminated) kill("stopped twice");
      child->Signal(SIGKILL);
    } else if (stops_ > 0 && !view.connected) {
      kill("stopped before it was fed");
    } else if (stops_ > 0 && !drained) {
      drained = true;
      drained_at = noticed_at = now;
      spdlog::info("drains: the training process hands back what it has not read");
      link->Drain("the worker was told to stop");
    } else if (drained && now - drained_at >= options_.drain_timeout) {
      kill("it did not leave within " + std::to_string(options_.drain_timeout.count() / 1000) +
           " s of being told to");
    } else if (drained && now - noticed_at >= kNotice) {
      noticed_at = now;
      spdlog::info("waits for the training process to use what it has read, and leave");
    }
    if (!view.connected && now - started >= options_.hello_timeout) {
      kill("it did not connect to the agent within " +
           std::to_string(options_.hello_timeout.count() / 1000) + " s (HEADRACE_FEED)");
    }
    if (view.end != Session::End::kNone) kill(view.end_reason);
    if (!view.other_version.empty()) kill(view.other_version);
    if (!view.fault.empty()) kill("it does not keep to the feed protocol: " + view.fault);
    if (const std::string overdue = link->Overdue(step_timeout); !overdue.empty() && why.empty()) {
      kill(overdue, SIGKILL);  // who hangs hears nothing
    }
    const bool stopping = view.state == v1::JOB_STATE_STOPPING;
    if (stopping && !view.connected) kill("stopped before it was fed");
    if ((stopping || drained) && view.uncommitted) {
      // What it is doing will be done again in any case.
      if (leaves_since == Clock::time_point()) leaves_since = now;
      if (now - leaves_since >= kUncommittedGrace) {
        kill("stopped, and it had committed nothing of what it was handed");
      }
    }
    if (view.state == v1::JOB_STATE_FAILED && !failed) {
      failed = true;
      failed_at = now;
    }
    if (failed && now - failed_at >= options_.grace) kill("the job failed: " + view.job_reason);
    if (view.closed && !closed) {
      closed = true;
      closed_at = now;
    }
    if (closed && now - closed_at >= options_.grace) {
      kill("it closed its connection to the agent and went on");
    }
    if (terminated && now - killed_at >= options_.grace) child->Signal(SIGKILL);
    changed_.Wait(kTick);
  }
}

}  // namespace headrace::worker
