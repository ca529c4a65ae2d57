// Tells one blocking call that nobody waits for its result any more.
#ifndef HEADRACE_STAGE_CANCELLATION_H_
#define HEADRACE_STAGE_CANCELLATION_H_

#include <functional>
#include <mutex>

namespace headrace::stage {

// Ownership: shared between the caller, who cancels, and the call, which listens.
// Thread safety: every method may run concurrently.
// Ordering: the callback runs at most once; after StopListening() returned it is not running and
// will not run.
class Cancellation {
 public:
  Cancellation() = default;
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;

  // Runs the listener's callback, on this thread, if there is one.
  void Cancel();
  bool cancelled() const;

  // False, without keeping `callback`, if Cancel() was called before. One listener at a time.
  bool Listen(std::function<void()> callback);
  void StopListening();

 private:
  mutable std::mutex mu_;  // held while the callback runs: StopListening() waits for it
  bool cancelled_ = false;
  std::function<void()> callback_;
};

}  // namespace headrace::stage

#endif  // HEADRACE_STAGE_CANCELLATION_H_
