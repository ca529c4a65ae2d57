#include "stage/source.h"

#include <algorithm>
#include <utility>

#include "stage/stage.h"
#include "stage/this_thread.h"
#include "stage/trace.h"

namespace headrace::stage {
namespace {

// An idle thread is woken when this part of what is wanted is missing, not for every element: with
// long queues, waking costs a take more than all the rest. Short queues are refilled at once.
constexpr std::size_t kRoomPerWake = 8;

}  // namespace

Source::Source(std::shared_ptr<Domain> domain, std::string name,
               std::unique_ptr<SourceReader> reader, Mode mode)
    : domain_(std::move(domain)),
      name_(std::move(name)),
      reader_(std::move(reader)),
      state_(nullptr),
      mode_(mode) {
  if (mode_ == Mode::kAhead) thread_ = std::thread([this] { ReadLoop(); });
}

Source::Source(std::shared_ptr<Domain> domain, std::string name,
               std::unique_ptr<StateReader> reader)
    : domain_(std::move(domain)),
      name_(std::move(name)),
      reader_(std::move(reader)),
      state_(static_cast<StateReader*>(reader_.get())),
      mode_(Mode::kOnDraw) {}

Source::~Source() {
  Close();
}

Source::Direct Source::TakeDirect(Cancellation* cancel, ElementPtr* element) {
  bool cancelled = false;  // guarded by domain_->mu_
  const bool listening = Listen(cancel, &cancelled);
  Deferred deferred;
  ElementPtr next;
  Direct what = Direct::kFailed;
  {
    std::unique_lock<std::mutex> lock(domain_->mu_);
    state_cv_.wait(lock, [&] {
      return cancelled || closing_ || !elements_.empty() || (reading_ == nullptr && !direct_);
    });
    if (!cancelled && !closing_) {
      if (elements_.empty()) {
        direct_ = true;
        what = Direct::kReadNow;
      } else {
        next = PopLocked();
        TellPopLocked(nullptr, &deferred);
        domain_->SettleLocked(&deferred);
        what = Direct::kElement;
      }
    }
  }
  if (listening) cancel->StopListening();
  deferred.Run();
  if (what == Direct::kElement) *element = std::move(next);
  return what;
}

bool Source::Listen(Cancellation* cancel, bool* cancelled) {
  if (cancel == nullptr) return false;
  const bool listening = cancel->Listen([this, cancelled] {
    std::lock_guard<std::mutex> lock(domain_->mu_);
    *cancelled = true;
    state_cv_.notify_all();
  });
  if (!listening) *cancelled = true;
  return listening;
}

void Source::EndDirect() {
  std::lock_guard<std::mutex> lock(domain_->mu_);
  direct_ = false;
  state_cv_.notify_all();
  WakeLocked();
}

Status Source::Reset(Cancellation* cancel) {
  std::shared_ptr<Cancellation> read;
  {
    std::lock_guard<std::mutex> lock(domain_->mu_);
    paused_ = true;
    read = reading_;
  }
  if (read != nullptr) read->Cancel();
  bool cancelled = false;  // guarded by domain_->mu_
  const bool listening = Listen(cancel, &cancelled);
  Deferred deferred;
  Status status;
  {
    std::unique_lock<std::mutex> lock(domain_->mu_);
    AwaitLocked(&lock, "re-initializing", [&] { return cancelled || reading_ == nullptr; });
    if (reading_ == nullptr) {
      ClearLocked(&deferred);
      on_demand_ = true;
      for (Stage* stage : stages_) stage->OnResetLocked(&deferred);
      domain_->SettleLocked(&deferred);
    } else {
      paused_ = false;
      WakeLocked();
      status = Status(Code::kCancelled, "cancelled while re-initializing '" + name_ +
                                            "' waited for the read in flight");
    }
  }
  if (listening) cancel->StopListening();
  deferred.Run();
  return status;
}

void Source::AwaitLocked(std::unique_lock<std::mutex>* lock, const char* what,
                         const std::function<bool()>& condition) {
  const TimePoint since = Clock::now();
  while (!state_cv_.wait_for(*lock, std::chrono::seconds(1), condition)) {
    const auto waited =
        std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - since).count();
    lock->unlock();
    domain_->Log(std::string(what) + " '" + name_ + "' has waited " + std::to_string(waited) +
                 " s for a read that does not end although it was cancelled");
    lock->lock();
  }
}

void Source::Resume() {
  std::lock_guard<std::mutex> lock(domain_->mu_);
  paused_ = false;
  WakeLocked();
}

void Source::Close() {
  Deferred deferred;
  std::shared_ptr<Cancellation> read;
  {
    std::lock_guard<std::mutex> lock(domain_->mu_);
    closing_ = true;
    read = reading_;
    ClearLocked(&deferred);
    for (Stage* stage : stages_) stage->OnSourceClosedLocked(name_, &deferred);
    work_cv_.notify_all();
    state_cv_.notify_all();
  }
  if (read != nullptr) read->Cancel();
  deferred.Run();

  // Before join_mu_: another thread may hold it while it waits for this one.
  if (on_own_thread()) return;
  std::lock_guard<std::mutex> join(join_mu_);
  if (!thread_.joinable()) return;
  {
    std::unique_lock<std::mutex> lock(domain_->mu_);
    AwaitLocked(&lock, "closing", [this] { return exited_; });
  }
  thread_.join();
}

std::size_t Source::depth() const {
  std::lock_guard<std::mutex> lock(domain_->mu_);
  return elements_.size();
}

bool Source::has_stages() const {
  std::lock_guard<std::mutex> lock(domain_->mu_);
  return !stages_.empty();
}

void Source::AttachLocked(Stage* stage) {
  stages_.push_back(stage);
}

void Source::DetachLocked(Stage* stage) {
  stages_.erase(std::remove(stages_.begin(), stages_.end(), stage), stages_.end());
}

ElementPtr Source::PopLocked() {
  ElementPtr element = std::move(elements_.front());
  elements_.pop_front();
  bytes_ -= element->read.bytes;
  if (state_ != nullptr && element->read.status.ok()) state_->Commit(element->read.value);
  return element;
}

void Source::TellPopLocked(const Stage* taker, Deferred* deferred) {
  for (Stage* stage : stages_) {
    if (stage != taker) stage->OnForeignPopLocked(deferred);
  }
}

void Source::ClearLocked(Deferred* deferred) {
  for (ElementPtr& element : elements_) deferred->garbage.push_back(std::move(element));
  elements_.clear();
  bytes_ = 0;
}

bool Source::HoldsLocked() const {
  if (state_ == nullptr || elements_.empty()) return true;
  const ReadResult& oldest = elements_.front()->read;
  return !oldest.status.ok() || state_->Holds(oldest.value);
}

void Source::RewindLocked(Deferred* deferred) {
  ClearLocked(deferred);
  rewound_ = true;
  state_->Rewind();
}

void Source::AppendLocked(ReadResult read) {
  on_demand_ = !read.status.ok();
  bytes_ += read.bytes;
  auto element = std::make_shared<Element>();
  element->sequence = next_sequence_++;
  element->read = std::move(read);
  elements_.push_back(std::move(element));
  for (Stage* stage : stages_) stage->OnAppendLocked();
}

void Source::WakeLocked() {
  if (idle_ && WantsElementLocked(kRoomPerWake)) {
    idle_ = false;
    work_cv_.notify_one();
  }
}

bool Source::WantsElementLocked(std::size_t room_part) const {
  if (closing_ || paused_ || direct_) return false;
  for (const Stage* stage : stages_) {
    if (on_demand_) {
      if (stage->NeedsElementLocked(this)) return true;
      continue;
    }
    const std::size_t wanted = stage->WantedLocked();
    const std::size_t room = room_part == 0 ? 1 : std::max<std::size_t>(1, wanted / room_part);
    if (elements_.size() + room <= wanted) return true;
  }
  return false;
}

void Source::ReadLocked(std::unique_lock<std::mutex>* lock, Deferred* deferred) {
  auto cancel = std::make_shared<Cancellation>();
  const std::uint64_t sequence = next_sequence_;
  reading_ = cancel;
  rewound_ = false;
  reading_since_ = domain_->Now();
  lock->unlock();
  ReadResult read;
  {
    TraceSpan span("read", name_, sequence);
    read = reader_->Read(cancel.get());
  }
  // The read was told to stop, and did. If that was a reset which has been abandoned since, there
  // is nothing to report: the next read asks the resource again.
  const bool stopped = read.status.code() == Code::kCancelled && cancel->cancelled();
  lock->lock();
  reading_time_ += domain_->Now() - reading_since_;
  reading_ = nullptr;
  // A reset that is waiting (paused) drops the element, and so does closing.
  if (paused_ || closing_ || stopped || rewound_) {
    deferred->garbage.push_back(std::move(read.value));
  } else {
    AppendLocked(std::move(read));
    domain_->SettleLocked(deferred);
  }
  state_cv_.notify_all();
}

void Source::ReadLoop() {
  reading_thread_.store(std::this_thread::get_id());
  NameThisThread("hr-read");
  Deferred deferred;
  std::unique_lock<std::mutex> lock(domain_->mu_);
  while (!closing_) {
    if (!WantsElementLocked(0)) {
      idle_ = true;
      work_cv_.wait(lock);
      idle_ = false;
      continue;
    }
    ReadLocked(&lock, &deferred);
    if (!deferred.empty()) {
      lock.unlock();
      deferred.Run();
      lock.lock();
    }
  }
  exited_ = true;
  state_cv_.notify_all();
}

}  // namespace headrace::stage
