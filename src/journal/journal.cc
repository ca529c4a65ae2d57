#include "journal/journal.h"

#include <utility>

#include "journal/database.h"

namespace headrace::journal {

Status Journal::Open(const std::string& path, const std::string& job, const Visitors& visitors,
                     std::unique_ptr<Journal>* journal) {
  auto database = std::make_unique<Database>(path);
  Status status = database->Open(job, visitors);
  if (!status.ok()) return status;
  journal->reset(new Journal(std::move(database)));
  return Status();
}

Journal::Journal(std::unique_ptr<Database> database)
    : database_(std::move(database)),
      appended_(database_->last_sequence()),
      settled_(appended_),
      writer_([this] { WriteLoop(); }) {}

Journal::~Journal() {
  {
    std::lock_guard<std::mutex> lock(mu_);
    stop_ = true;
  }
  work_cv_.notify_all();
  writer_.join();
}

std::uint64_t Journal::Append(std::string event, Durable durable) {
  std::uint64_t sequence = 0;
  {
    std::lock_guard<std::mutex> lock(mu_);
    sequence = ++appended_;
    queue_.push_back({sequence, std::move(event), std::move(durable)});
  }
  work_cv_.notify_one();
  return sequence;
}

Status Journal::Flush() {
  std::unique_lock<std::mutex> lock(mu_);
  const std::uint64_t until = appended_;
  done_cv_.wait(lock, [&] { return settled_ >= until; });
  return failure_;
}

Status Journal::Compact(std::string_view state) {
  std::unique_lock<std::mutex> lock(mu_);
  done_cv_.wait(lock, [&] { return settled_ == appended_ && !writing_; });
  if (!failure_.ok()) return failure_;
  // The lock is kept: nothing is appended, and the thread sleeps.
  failure_ = database_->Compact(appended_, state);
  return failure_;
}

std::uint64_t Journal::last_sequence() const {
  std::lock_guard<std::mutex> lock(mu_);
  return appended_;
}

JournalFigures Journal::figures() const {
  std::lock_guard<std::mutex> lock(mu_);
  return figures_;
}

void Journal::WriteLoop() {
  std::unique_lock<std::mutex> lock(mu_);
  while (true) {
    work_cv_.wait(lock, [this] { return stop_ || !queue_.empty(); });
    if (queue_.empty()) return;  // stopped, and all is written
    std::vector<Entry> batch = std::move(queue_);
    queue_.clear();
    writing_ = true;
    lock.unlock();
    Commit(std::move(batch));
    lock.lock();
    writing_ = false;
    done_cv_.notify_all();
  }
}

void Journal::Commit(std::vector<Entry> batch) {
  Status status;
  {
    std::lock_guard<std::mutex> lock(mu_);
    status = failure_;
  }
  std::uint64_t bytes = 0;
  if (status.ok()) {
    status = database_->Begin();
    for (const Entry& entry : batch) {
      if (!status.ok()) break;
      bytes += entry.event.size();
      status = database_->Insert(entry.sequence, entry.event);
    }
    // Never tried again: after a failed sync nobody knows what the disk holds.
    if (status.ok()) status = database_->Commit();
  }
  for (Entry& entry : batch) {
    if (entry.durable) entry.durable(status);
  }
  std::lock_guard<std::mutex> lock(mu_);
  settled_ = batch.back().sequence;
  if (status.ok()) {
    figures_.events += batch.size();
    figures_.bytes += bytes;
    ++figures_.commits;
  } else {
    failure_ = status;
  }
}

}  // namespace headrace::journal
