#include "stage/cancellation.h"

#include <utility>

namespace headrace::stage {

void Cancellation::Cancel() {
  std::lock_guard<std::mutex> lock(mu_);
  if (cancelled_) return;
  cancelled_ = true;
  if (callback_) callback_();
  callback_ = nullptr;
}

bool Cancellation::cancelled() const {
  std::lock_guard<std::mutex> lock(mu_);
  return cancelled_;
}

bool Cancellation::Listen(std::function<void()> callback) {
  std::lock_guard<std::mutex> lock(mu_);
  if (cancelled_) return false;
  callback_ = std::move(callback);
  return true;
}

void Cancellation::StopListening() {
  std::lock_guard<std::mutex> lock(mu_);
  callback_ = nullptr;
}

}  // namespace headrace::stage
