// A real client, a real socket, all of the link's threads; the master is faked.
#include "worker/link.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <set>

#include "feed/testing.h"

namespace headrace::worker {
namespace {

using feed::Client;
using feed::testing::FakeTrainer;
using feed::testing::kPatience;
using std::chrono::milliseconds;

// Leases `tasks` ranges of 10 records, one after the other; is away now and then.
class FakeMaster final : public Master {
 public:
  explicit FakeMaster(std::int64_t tasks, int away_every = 0)
      : tasks_(tasks), away_every_(away_every) {}

  Status Join(const v1::JoinRequest&, v1::JoinReply*) override { return {}; }
  Status Attach(const v1::AttachRequest&, v1::AttachReply*) override { return {}; }
  Status Restored(const v1::RestoredRequest&, v1::RestoredReply*) override { return {}; }
  Status Saved(const v1::SavedRequest&, v1::SavedReply*) override { return {}; }
  Status Exchange(const v1::ExchangeRequest& request, v1::ExchangeReply* reply) override {
    std::lock_guard<std::mutex> lock(mu_);
    ++exchanges_;
    // The answer may be lost after it took effect.
    const bool lost = away_every_ > 0 && exchanges_ % away_every_ == 1;
    if (gone_ || (away_every_ > 0 && exchanges_ % away_every_ == 0)) {
      return {Code::kUnavailable, "away"};
    }
    for (const v1::Report& report : request.reports()) {
      for (const v1::Acknowledged& what : report.acknowledged()) {
        for (std::int64_t i = what.range().begin(); i < what.range().end(); ++i) trained_.insert(i);
      }
      if (report.end() != v1::LEASE_END_OPEN) leased_.erase(report.token());
    }
    if (request.max_tasks() > 0) Lease(request, reply);
    *reply->mutable_orders() = OrdersLocked();
    if (lost) return {Code::kDeadlineExceeded, "lost"};
    return {};
  }
  Status Leave(const v1::LeaveRequest& request, v1::LeaveReply*) override {
    std::lock_guard<std::mutex> lock(mu_);
    if (gone_) return {Code::kUnavailable, "away"};
    reason_ = request.reason();
    left_ = true;
    return {};
  }
  Status Watch(std::uint64_t, const std::function<void(const v1::Orders&)>& on) override {
    std::unique_lock<std::mutex> lock(mu_);
    ++watches_;
    const v1::Orders orders = OrdersLocked();
    lock.unlock();
    on(orders);
    lock.lock();
    cv_.wait(lock, [&] { return stopped_ || version_ != orders.version(); });
    return {stopped_ ? Code::kCancelled : Code::kUnavailable, "the stream broke"};
  }
  void StopWatching(std::uint64_t) override {
    std::lock_guard<std::mutex> lock(mu_);
    stopped_ = true;
    cv_.notify_all();
  }

  void Order(std::uint64_t hold) {
    std::lock_guard<std::mutex> lock(mu_);
    hold_ = hold;
    ++version_;
    cv_.notify_all();
  }
  void GoAway() {
    std::lock_guard<std::mutex> lock(mu_);
    gone_ = true;
  }
  std::size_t trained() {
    std::lock_guard<std::mutex> lock(mu_);
    return trained_.size();
  }
  std::string reason() {
    std::lock_guard<std::mutex> lock(mu_);
    return left_ ? reason_ : "(it has not left)";
  }
  int watches() {
    std::lock_guard<std::mutex> lock(mu_);
    return watches_;
  }

 private:
  void Lease(const v1::ExchangeRequest& request, v1::ExchangeReply* reply) {
    if (request.request() == last_request_) {
      for (const v1::Grant& grant : last_grants_) *reply->add_grants() = grant;
      reply->set_answer(v1::ANSWER_LEASES);
      return;
    }
    std::vector<v1::Grant> grants;
    for (int i = 0; i < request.max_tasks() && next_ < tasks_; ++i) {
      v1::Grant& grant = grants.emplace_back();
      grant.set_token(static_cast<std::uint64_t>(++next_));
      grant.set_type(v1::TASK_TYPE_TRAIN);
      grant.set_path("file");
      v1::Range* range = grant.add_ranges();
      range->set_begin((next_ - 1) * 10);
      range->set_end(next_ * 10);
      leased_.insert(grant.token());
      *reply->add_grants() = grant;
    }
    if (!grants.empty()) {
      last_request_ = request.request();
      last_grants_ = grants;
      reply->set_answer(v1::ANSWER_LEASES);
      return;
    }
    reply->set_retry_ms(2);
    reply->set_answer(leased_.empty() ? v1::ANSWER_DONE : v1::ANSWER_FLUSH);
    if (leased_.empty() && !done_) {
      done_ = true;
      ++version_;
      cv_.notify_all();
    }
  }
  v1::Orders OrdersLocked() {
    v1::Orders orders;
    orders.set_version(version_);
    orders.set_incarnation(1);
    orders.set_hold(hold_);
    orders.set_state(done_ ? v1::JOB_STATE_DONE : v1::JOB_STATE_RUNNING);
    return orders;
  }

  const std::int64_t tasks_;
  const int away_every_;
  std::mutex mu_;
  std::condition_variable cv_;
  int exchanges_ = 0, watches_ = 0;
  std::int64_t next_ = 0;
  std::uint64_t last_request_ = 0, version_ = 2, hold_ = 0;
  std::vector<v1::Grant> last_grants_;
  std::set<std::uint64_t> leased_;
  std::set<std::int64_t> trained_;
  bool done_ = false, gone_ = false, stopped_ = false, left_ = false;
  std::string reason_;
};

class LinkTest : public ::testing::Test {
 protected:
  void Begin(FakeMaster* master) {
    v1::JoinReply joined;
    joined.set_worker(1);
    joined.set_incarnation(1);
    joined.set_lease_ms(30000);
    joined.set_heartbeat_ms(10000);
    joined.set_model(v1::MODEL_KIND_NONE);
    joined.mutable_orders()->set_version(1);
    joined.mutable_orders()->set_incarnation(1);
    joined.mutable_orders()->set_state(v1::JOB_STATE_RUNNING);
    link_ = std::make_unique<Link>(master, joined, "worker-0", &metrics_, &changed_);
    const std::string path = feed::testing::SocketPath();
    ASSERT_TRUE(link_->Listen(path).ok());
    options_.socket = path;
    options_.report_every = milliseconds(2);
    const Status status = Client::Connect(options_, &client_);
    ASSERT_TRUE(status.ok()) << status.ToString();
    client_->Start();
  }
  // A connection over which a test speaks itself.
  std::unique_ptr<feed::LineSocket> Raw(FakeMaster* master) {
    v1::JoinReply joined;
    joined.set_worker(1);
    joined.set_heartbeat_ms(10000);
    link_ = std::make_unique<Link>(master, joined, "worker-0", &metrics_, &changed_);
    const std::string path = feed::testing::SocketPath();
    EXPECT_TRUE(link_->Listen(path).ok());
    std::unique_ptr<feed::LineSocket> socket;
    EXPECT_TRUE(feed::LineSocket::Connect(path, kPatience, &socket).ok());
    return socket;
  }
  void AwaitOver() {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!link_->view().over) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      changed_.Wait(milliseconds(50));
    }
  }

  Metrics metrics_{"worker-0"};
  feed::Waker changed_;
  std::unique_ptr<Link> link_;
  Client::Options options_;
  std::unique_ptr<Client> client_;
};

TEST_F(LinkTest, AJobWithAMasterThatIsAwayNowAndThen) {
  for (const int away_every : {0, 3}) {
    FakeMaster master(40, away_every);
    Begin(&master);
    FakeTrainer::Options train;
    train.shuffle = 25;
    FakeTrainer trainer(client_.get(), train);
    const Status status = trainer.Run();
    EXPECT_TRUE(status.ok()) << status.ToString();
    EXPECT_TRUE(client_->Bye("model", Status()).ok());
    client_.reset();
    link_->ProcessEnded("exit code 0");
    AwaitOver();
    const Link::View view = link_->view();
    EXPECT_TRUE(view.said_bye);
    EXPECT_TRUE(view.closed);
    EXPECT_TRUE(view.progress);
    EXPECT_EQ(view.fault, "");
    EXPECT_EQ(master.trained(), 400u);
    EXPECT_EQ(trainer.trained().size(), 400u);
    EXPECT_EQ(master.reason(), "");
    link_.reset();
  }
}

TEST_F(LinkTest, ADrain) {
  FakeMaster master(1 << 20);
  Begin(&master);
  FakeTrainer::Options train;
  std::atomic<int> steps{0};
  train.between_steps = [&] { ++steps; };
  FakeTrainer trainer(client_.get(), train);
  auto done = std::async(std::launch::async, [&] { return trainer.Run(); });
  while (steps < 10) std::this_thread::yield();
  link_->Drain("SIGTERM");
  EXPECT_TRUE(done.get().ok());
  EXPECT_TRUE(client_->Bye("", Status()).ok());
  client_.reset();
  link_->ProcessEnded("");
  AwaitOver();
  EXPECT_EQ(master.trained(), trainer.trained().size());
  link_.reset();
}

TEST_F(LinkTest, OrdersComeByTheWatchWhichIsMadeAgain) {
  FakeMaster master(0);
  Begin(&master);
  for (const std::uint64_t hold : {4, 0, 5}) {
    const int watches = master.watches();
    master.Order(hold);
    // What was ordered before may come first, and by an exchange.
    std::uint64_t version = 0;
    while (client_->current_orders(&version).hold != hold) std::this_thread::yield();
    while (master.watches() == watches) std::this_thread::yield();
  }
  EXPECT_GT(master.watches(), 2);
  client_.reset();
  link_->ProcessEnded("killed by signal 9 (KILL)");
  AwaitOver();
  EXPECT_EQ(master.reason(), "killed by signal 9 (KILL)");
  link_.reset();
}

TEST_F(LinkTest, OneConnectionOnly) {
  FakeMaster master(0);
  Begin(&master);
  std::unique_ptr<Client> other;
  options_.stream = "other";
  options_.tasks = "other-tasks";
  const Status status = Client::Connect(options_, &other);
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_NE(status.message().find("another connection"), std::string::npos) << status.ToString();
  client_.reset();
  link_.reset();
}

TEST_F(LinkTest, GivesUpOnAMasterThatIsGone) {
  FakeMaster master(0);
  Begin(&master);
  master.GoAway();
  client_.reset();
  link_->ProcessEnded("exit code 1");
  link_->GiveUpAt(Retry::Clock::now() + milliseconds(30));
  AwaitOver();
  EXPECT_EQ(master.reason(), "(it has not left)");
  link_.reset();
}

TEST_F(LinkTest, AProcessThatDoesNotKeepToTheProtocol) {
  FakeMaster master(0);
  const auto socket = Raw(&master);
  const auto say = [&](const feed::ToAgent& message) {
    EXPECT_TRUE(socket->Send(feed::Encode(message)).ok());
  };
  say(feed::message::Hello{});
  say(feed::message::Bye{});
  say(feed::message::Held{3});
  while (link_->view().fault.empty()) changed_.Wait(milliseconds(50));
  EXPECT_NE(link_->view().fault.find("after 'bye'"), std::string::npos);
  // It is told why.
  std::string line, last;
  while (socket->Receive(&line, kPatience).ok()) last = line;
  EXPECT_NE(last.find("after 'bye'"), std::string::npos) << last;
  link_.reset();
}

TEST_F(LinkTest, AProcessThatSpeaksAnotherVersion) {
  for (const int protocol : {feed::kProtocol - 1, feed::kProtocol + 1}) {
    FakeMaster master(0);
    const auto socket = Raw(&master);
    feed::message::Hello hello;
    hello.protocol = protocol;
    hello.program = "test";
    EXPECT_TRUE(socket->Send(feed::Encode(feed::ToAgent(hello))).ok());
    std::string line;
    EXPECT_TRUE(socket->Receive(&line, kPatience).ok());
    const std::string why = "test speaks version " + std::to_string(protocol) +
                            " of the feed protocol, headrace-worker version " +
                            std::to_string(feed::kProtocol) +
                            ": install the same version of headrace for both";
    EXPECT_EQ(line, feed::Encode(feed::ToClient(feed::message::Error{why})));
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (link_->view().other_version.empty() && std::chrono::steady_clock::now() < deadline) {
      changed_.Wait(milliseconds(50));
    }
    EXPECT_EQ(link_->view().other_version, why);
    EXPECT_FALSE(link_->view().connected);
    link_.reset();
  }
}

// What a process says last counts, however fast it is gone.
TEST_F(LinkTest, LastWordsAreRead) {
  FakeMaster master(0);
  auto socket = Raw(&master);
  const auto say = [&](const feed::ToAgent& message) {
    EXPECT_TRUE(socket->Send(feed::Encode(message)).ok());
  };
  say(feed::message::Hello{});
  while (!link_->view().connected) changed_.Wait(milliseconds(50));
  for (int i = 0; i < 500; ++i) say(feed::message::Telemetry{});
  say(feed::message::Bye{"model", ""});
  socket.reset();
  link_->ProcessEnded("exit code 0");
  AwaitOver();
  EXPECT_TRUE(link_->view().said_bye);
  EXPECT_EQ(master.reason(), "");
  link_.reset();
}

TEST(RetryTest, OnlyWhatMayBeTriedAgain) {
  Retry retry;
  int calls = 0;
  EXPECT_EQ(retry
                .Run("test",
                     [&] {
                       return ++calls < 3 ? Status(Code::kUnavailable, "")
                                          : Status(Code::kAborted, "");
                     })
                .code(),
            Code::kAborted);
  EXPECT_EQ(calls, 3);
  retry.GiveUpAt(Retry::Clock::now());
  EXPECT_EQ(retry.Run("test", [&] { return Status(Code::kUnavailable, "x"); }).code(),
            Code::kUnavailable);
}

}  // namespace
}  // namespace headrace::worker
