#include "worker/link.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace headrace::worker {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kHelloTimeout{10000};  // from the connection to its first line
constexpr milliseconds kLastLines{2000};      // for what a dead process has written to be read
constexpr milliseconds kFirstWatch{100}, kMostWatch{2000};

std::int64_t NowMs() {
  return std::chrono::duration_cast<milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Status Refuse(feed::LineSocket* socket, const std::string& why) {
  return socket->Send(feed::Encode(feed::ToClient(feed::message::Error{why})));
}

// Empty: it is not. `hello`: null if the first message was another one.
std::string WhyRefused(const feed::message::Hello* hello) {
  if (hello == nullptr) return "the first message must be 'hello'";
  if (hello->protocol == feed::kProtocol) return "";
  return hello->program + " speaks version " + std::to_string(hello->protocol) +
         " of the feed protocol, headrace-worker version " + std::to_string(feed::kProtocol) +
         ": install the same version of headrace for both";
}

}  // namespace

Link::Link(Master* master, const v1::JoinReply& joined, const std::string& name, Metrics* metrics,
           feed::Waker* changed)
    : master_(master),
      metrics_(metrics),
      changed_(changed),
      name_(name),
      session_(joined, name, NowMs()) {
  caller_ = std::thread([this] { Call(); });
  watcher_ = std::thread([this] { Watch(); });
}

Link::~Link() {
  {
    std::lock_guard<std::mutex> lock(mu_);
    stopping_ = true;
    NoteLocked();
    if (socket_ != nullptr) socket_->Shutdown();
  }
  retry_.GiveUpAt(Retry::Clock::now());
  master_->StopWatching(session_.number());
  if (listener_ != nullptr) listener_->Shutdown();
  if (acceptor_.joinable()) acceptor_.join();  // after it nobody sets reader_ and writer_
  for (std::thread* thread : {&reader_, &writer_, &caller_, &watcher_}) {
    if (thread->joinable()) thread->join();
  }
}

Status Link::Listen(const std::string& path) {
  Status status = feed::LineListener::Listen(path, &listener_);
  if (status.ok()) acceptor_ = std::thread([this] { Accept(); });
  return status;
}

void Link::NoteLocked() {
  for (feed::ToClient& message : session_.TakeMessages()) outbox_.push_back(std::move(message));
  news_ = true;
  metrics_->HoldsLeases(session_.leases());
  cv_.notify_all();
  changed_->Signal();
}

Link::View Link::view() const {
  std::lock_guard<std::mutex> lock(mu_);
  View view;
  view.connected = connected_;
  view.closed = closed_;
  view.said_bye = session_.said_bye();
  if (view.said_bye) view.bye_error = session_.bye_error();
  view.fault = fault_;
  view.other_version = other_version_;
  view.progress = session_.progress();
  view.isolated = session_.holds_isolated();
  view.uncommitted = session_.uncommitted();
  view.finished = session_.finished();
  view.end = session_.end();
  view.end_reason = session_.end_reason();
  view.state = session_.job_state();
  view.job_reason = session_.job_reason();
  view.over = session_.left() || abandoned_;
  return view;
}

std::string Link::Overdue(milliseconds limit) const {
  std::lock_guard<std::mutex> lock(mu_);
  if (!connected_ || closed_) return "";
  return session_.Overdue(NowMs(), limit.count());
}

void Link::Drain(const std::string& reason) {
  std::lock_guard<std::mutex> lock(mu_);
  session_.Drain(reason);
  NoteLocked();
}

void Link::ProcessEnded(const std::string& reason) {
  std::unique_lock<std::mutex> lock(mu_);
  // It is dead, so its connection closes; unless a process of its own has kept it open.
  cv_.wait_for(lock, kLastLines, [&] { return closed_ || !connected_; });
  if (socket_ != nullptr) socket_->Shutdown();
  session_.OnGone(reason);
  NoteLocked();
}

// --- the process
// -----------------------------------------------------------------------------------

void Link::Accept() {
  for (;;) {
    std::unique_ptr<feed::LineSocket> socket;
    if (!listener_->Accept(&socket).ok()) return;
    {
      std::lock_guard<std::mutex> lock(mu_);
      if (connected_) {
        Refuse(socket.get(), "another connection of this process feeds it").IgnoreError();
        continue;
      }
    }
    std::string line;
    feed::ToAgent first;
    Status status = socket->Receive(&line, kHelloTimeout);
    if (status.ok()) status = feed::Decode(line, &first);
    if (!status.ok()) {
      spdlog::warn("a connection without hello: {}", status.ToString());
      continue;
    }
    const auto* hello = std::get_if<feed::message::Hello>(&first);
    if (const std::string why = WhyRefused(hello); !why.empty()) {
      spdlog::warn("refused a connection: {}", why);
      {
        // Before the process is told, and ends.
        std::lock_guard<std::mutex> lock(mu_);
        if (hello != nullptr) other_version_ = why;
        NoteLocked();
      }
      Refuse(socket.get(), why).IgnoreError();
      continue;
    }
    std::lock_guard<std::mutex> lock(mu_);
    if (stopping_) return;
    spdlog::info("{} (process {}) is fed", hello->program, hello->pid);
    connected_ = true;
    session_.OnHello(NowMs());
    socket_ = std::move(socket);
    outbox_.insert(outbox_.begin(), session_.welcome());
    reader_ = std::thread([this, fed = socket_.get()] { Read(fed); });
    writer_ = std::thread([this, fed = socket_.get()] { Write(fed); });
    NoteLocked();
  }
}

void Link::Read(feed::LineSocket* socket) {
  std::string line;
  for (;;) {
    Status status = socket->Receive(&line);
    const bool ended = status.code() == Code::kUnavailable;
    feed::ToAgent message;
    if (status.ok()) status = feed::Decode(line, &message);
    std::lock_guard<std::mutex> lock(mu_);
    if (status.ok()) status = session_.OnClient(message, NowMs());
    if (!status.ok()) {
      if (!ended) {
        fault_ = status.message();
        spdlog::error("from the training process: {}", fault_);
        outbox_.push_back(feed::message::Error{fault_});
      }
      closed_ = true;
    }
    NoteLocked();
    if (closed_) return;
  }
}

void Link::Write(feed::LineSocket* socket) {
  std::unique_lock<std::mutex> lock(mu_);
  for (;;) {
    cv_.wait(lock, [&] { return stopping_ || closed_ || !outbox_.empty(); });
    const std::vector<feed::ToClient> messages = std::exchange(outbox_, {});
    const bool last = stopping_ || closed_;
    lock.unlock();
    for (const feed::ToClient& message : messages) {
      if (!socket->Send(feed::Encode(message)).ok()) break;  // the reader sees its end, too
    }
    if (last) return socket->Shutdown();
    lock.lock();
  }
}

// --- the master
// ------------------------------------------------------------------------------------

Status Link::Make(const worker::Call& call, Reply* reply) {
  if (const auto* attach = std::get_if<v1::AttachRequest>(&call)) {
    return master_->Attach(*attach, &reply->emplace<v1::AttachReply>());
  }
  if (const auto* restored = std::get_if<v1::RestoredRequest>(&call)) {
    return master_->Restored(*restored, &reply->emplace<v1::RestoredReply>());
  }
  if (const auto* saved = std::get_if<v1::SavedRequest>(&call)) {
    return master_->Saved(*saved, &reply->emplace<v1::SavedReply>());
  }
  if (const auto* leave = std::get_if<v1::LeaveRequest>(&call)) {
    return master_->Leave(*leave, &reply->emplace<v1::LeaveReply>());
  }
  return master_->Exchange(std::get<v1::ExchangeRequest>(call),
                           &reply->emplace<v1::ExchangeReply>());
}

void Link::Call() {
  static constexpr const char* kWhat[] = {"attach", "say what was restored", "say what was saved",
                                          "report and ask", "leave"};
  std::unique_lock<std::mutex> lock(mu_);
  while (!stopping_ && !session_.left()) {
    std::int64_t look_again_ms = 0;
    const std::int64_t now_ms = NowMs();
    news_ = false;
    const std::optional<worker::Call> call = session_.NextCall(now_ms, &look_again_ms);
    if (!call.has_value()) {
      const milliseconds most(std::max<std::int64_t>(look_again_ms - now_ms, 1));
      cv_.wait_for(lock, most, [&] { return news_ || stopping_; });
      continue;
    }
    lock.unlock();
    Reply reply;
    const Status status = retry_.Run(kWhat[call->index()], [&] { return Make(*call, &reply); });
    lock.lock();
    if (status.code() == Code::kUnavailable || status.code() == Code::kDeadlineExceeded) {
      spdlog::warn("gave up on the master; leases in hand go back when they expire");
      abandoned_ = true;
      NoteLocked();
      return;
    }
    session_.OnAnswer(*call, status, reply, NowMs());
    NoteLocked();
  }
}

void Link::Watch() {
  milliseconds wait = kFirstWatch;
  for (;;) {
    const Status status = master_->Watch(session_.number(), [&](const v1::Orders& orders) {
      wait = kFirstWatch;
      std::lock_guard<std::mutex> lock(mu_);
      session_.OnOrders(orders);
      NoteLocked();
    });
    if (status.ok() || status.code() == Code::kCancelled) return;
    std::unique_lock<std::mutex> lock(mu_);
    const auto over = [&] { return stopping_ || session_.left() || abandoned_; };
    if (cv_.wait_for(lock, wait, over)) return;
    wait = std::min(wait * 2, kMostWatch);
  }
}

}  // namespace headrace::worker
