// Where tests let a trainer die.
#ifndef HEADRACE_TRAINER_FAILPOINT_H_
#define HEADRACE_TRAINER_FAILPOINT_H_

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace headrace::trainer {

// Kills the process the n-th time that it passes a point, as SIGKILL from outside would. Points:
// "begin" (an iterator is about to read), "read" (a step is about to take its batch), "applied" (a
// step was applied, nobody was told), "boundary", "held", "saving" (variables are written, the
// checkpoint is not there yet), "saved" (it is, nobody was told), "evaluated". Thread safety: one
// thread.
class Failpoint {
 public:
  // "": none; else "POINT:N".
  explicit Failpoint(const std::string& spec) {
    const std::size_t colon = spec.find(':');
    if (colon == std::string::npos) return;
    point_ = spec.substr(0, colon);
    left_ = std::atoi(spec.c_str() + colon + 1);
  }

  void Pass(const char* point) {
    if (left_ > 0 && point_ == point && --left_ == 0) kill(getpid(), SIGKILL);
  }

 private:
  std::string point_;
  int left_ = 0;
};

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_FAILPOINT_H_
