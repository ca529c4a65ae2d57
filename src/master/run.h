// The master's own loop: time, signals, and when to end.
#ifndef HEADRACE_MASTER_RUN_H_
#define HEADRACE_MASTER_RUN_H_

#include "master/dispatcher.h"

namespace headrace::master {

// Exit codes of the program.
constexpr int kExitDone = 0, kExitFailed = 1, kExitQuarantined = 3, kExitUnfinished = 75;

struct RunOptions {
  double worker_timeout_s = 300;  // without any worker: the job is given up
  double linger_s = 30;           // for workers to leave a job that has ended
  bool stay = false;              // do not end with the job
};

// SIGTERM and SIGINT go to Run(). To be called before any thread is started.
void BlockSignals();

// Until the job has ended, or a signal comes. Returns the exit code: 0 done, 3 done with records in
// quarantine, 1 failed, 75 unfinished: it goes on with the next start.
int Run(Dispatcher* dispatcher, const RunOptions& options);

}  // namespace headrace::master

#endif  // HEADRACE_MASTER_RUN_H_
