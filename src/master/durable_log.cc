#include "master/durable_log.h"

#include <algorithm>
#include <vector>

namespace headrace::master {

DurableLog::DurableLog(std::unique_ptr<journal::Journal> journal) : journal_(std::move(journal)) {}

DurableLog::~DurableLog() {
  journal_.reset();
}

void DurableLog::Append(std::string entry) {
  std::uint64_t point = 0;
  {
    std::lock_guard<std::mutex> lock(mu_);
    point = ++appended_;
  }
  journal_->Append(std::move(entry),
                   [this, point](const Status& status) { OnDurable(point, status); });
}

std::uint64_t DurableLog::Now() const {
  std::lock_guard<std::mutex> lock(mu_);
  return appended_;
}

void DurableLog::After(std::uint64_t point, Callback callback) {
  Status status;
  {
    std::lock_guard<std::mutex> lock(mu_);
    status = failure_;
    if (status.ok() && durable_ < point) {
      // Callers arrive nearly in order.
      auto it = waiting_.end();
      while (it != waiting_.begin() && std::prev(it)->first > point) --it;
      waiting_.emplace(it, point, std::move(callback));
      return;
    }
  }
  callback(status);
}

Status DurableLog::failure() const {
  std::lock_guard<std::mutex> lock(mu_);
  return failure_;
}

void DurableLog::OnDurable(std::uint64_t point, const Status& status) {
  std::vector<Callback> ready;
  {
    std::lock_guard<std::mutex> lock(mu_);
    if (status.ok()) {
      durable_ = point;
    } else if (failure_.ok()) {
      failure_ = status;
    }
    while (!waiting_.empty() && (!failure_.ok() || waiting_.front().first <= durable_)) {
      ready.push_back(std::move(waiting_.front().second));
      waiting_.pop_front();
    }
  }
  for (const Callback& callback : ready) callback(status);
}

}  // namespace headrace::master
