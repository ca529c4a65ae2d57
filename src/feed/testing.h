// Fake agents and fake trainers, for the tests of the feed and of the worker.
#ifndef HEADRACE_FEED_TESTING_H_
#define HEADRACE_FEED_TESTING_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "feed/account.h"
#include "feed/client.h"
#include "feed/line_socket.h"
#include "feed/message.h"
#include "feed/range_queue.h"
#include "ledger/ledger.h"

namespace headrace::feed::testing {

inline constexpr std::chrono::seconds kPatience{20};

inline std::string SocketPath() {
  static std::atomic<int> count{0};
  return ::testing::TempDir() + "feed_" + std::to_string(getpid()) + "_" + std::to_string(++count);
}

// An agent whose side of the conversation a test speaks, line by line.
class ScriptedAgent {
 public:
  ScriptedAgent() {
    const Status status = LineListener::Listen(path_, &listener_);
    EXPECT_TRUE(status.ok()) << status.ToString();
  }

  const std::string& path() const { return path_; }
  // Of the next client.
  std::function<Status(const std::vector<std::uint64_t>&)> on_fence = [](const auto&) {
    return Status();
  };

  std::function<Status(std::int64_t)> on_live;
  std::function<bool()> step_waits;
  std::chrono::milliseconds commit_notice{10000};

  // Welcomes the client that Connect() makes meanwhile.
  std::unique_ptr<Client> Welcome(ModelKind model = ModelKind::kNone, int prefetch = 2) {
    std::unique_ptr<Client> client;
    std::thread connects([&] {
      Client::Options options;
      options.socket = path_;
      options.program = "test";
      options.prefetch = prefetch;
      options.report_every = std::chrono::milliseconds(5);
      options.on_fence = on_fence;
      options.on_live = on_live;
      options.step_waits = step_waits;
      options.commit_notice = commit_notice;
      const Status status = Client::Connect(options, &client);
      EXPECT_TRUE(status.ok()) << status.ToString();
    });
    Accept();
    Expect<message::Hello>();
    Send(message::Welcome{kProtocol, "worker-0", 7, model, R"({"a":1})"});
    connects.join();
    return client;
  }
  void Accept() {
    const Status status = listener_->Accept(&socket_);
    EXPECT_TRUE(status.ok()) << status.ToString();
  }
  void Send(const ToClient& message) { SendLine(Encode(message)); }
  void SendLine(const std::string& line) { EXPECT_TRUE(socket_->Send(line).ok()); }
  void Die() { socket_->Shutdown(); }

  // The next message of this type; others before it are passed over, and reports are booked.
  template <class M>
  M Expect() {
    for (;;) {
      std::string line;
      Status status = socket_->Receive(&line, kPatience);
      EXPECT_TRUE(status.ok()) << status.ToString() << ", waiting for a "
                               << Encode(ToAgent(M{})).substr(0, 80);
      if (!status.ok()) return {};
      ToAgent message;
      status = Decode(line, &message);
      EXPECT_TRUE(status.ok()) << status.ToString() << ": " << line;
      if (auto* settled = std::get_if<message::Settled>(&message)) Book(*settled);
      if (auto* wanted = std::get_if<M>(&message)) return *wanted;
    }
  }
  // The client closes the connection, and says nothing before.
  void ExpectEnd() {
    std::string line;
    EXPECT_EQ(socket_->Receive(&line, kPatience).code(), Code::kUnavailable) << line;
  }
  // Books reports until the lease has ended.
  message::End AwaitEnd(std::uint64_t token) {
    while (ended_.count(token) == 0 && !::testing::Test::HasFailure()) Expect<message::Settled>();
    return ended_[token];
  }
  // What was reported so far.
  struct Told {
    ledger::IntervalSet trained, filtered, returned;
    std::map<std::string, ledger::IntervalSet> dropped;
    std::string error;
    std::int64_t culprit = -1;
    std::vector<double> metrics;
  };
  const Told& told(std::uint64_t token) { return told_[token]; }

 private:
  void Book(const message::Settled& settled) {
    for (const message::Report& report : settled.reports) {
      EXPECT_NE(report.token, 0u);
      EXPECT_EQ(ended_.count(report.token), 0u) << "a report of a lease that has ended";
      Told& told = told_[report.token];
      const auto add = [&](const ledger::Ranges& ranges, ledger::IntervalSet* to) {
        for (const ledger::Range& range : ranges) {
          EXPECT_FALSE(to->Overlaps(range)) << "told twice";
          to->Add(range);
        }
      };
      add(report.trained, &told.trained);
      add(report.filtered, &told.filtered);
      add(report.returned, &told.returned);
      for (const auto& [op, ranges] : report.dropped) add(ranges, &told.dropped[op]);
      if (report.end == message::End::kOpen) continue;
      ended_[report.token] = report.end;
      told.error = report.error;
      told.culprit = report.culprit;
      told.metrics = report.metrics;
    }
  }

  const std::string path_ = SocketPath();
  std::unique_ptr<LineListener> listener_;
  std::unique_ptr<LineSocket> socket_;
  std::map<std::uint64_t, Told> told_;
  std::map<std::uint64_t, message::End> ended_;
};

// Reads ranges as a dataset would, through a shuffle buffer, and trains batches of what comes out.
class FakeTrainer {
 public:
  using Record = std::pair<std::string, std::int64_t>;  // path, index

  struct Options {
    std::size_t shuffle = 1;
    std::size_t batch = 4;
    unsigned seed = 1;
    bool knows_culprit = false;
    bool drop_remainder = false;
    std::int64_t elements_an_iterator = -1;  // then it ends, whatever there is
    std::string stream = "train";
    std::function<bool(const Record&)> filtered = [](const Record&) { return false; };
    std::function<bool(const Record&)> bad = [](const Record&) { return false; };
    std::function<bool(const Record&)> unreadable = [](const Record&) { return false; };
    std::function<void(const std::vector<Record>&)> on_batch = [](const auto&) {
    };  // before it counts
    std::function<void()> between_steps = [] {};
    std::function<Status()> before_iterator = [] { return Status(); };
  };

  FakeTrainer(Client* client, Options options)
      : client_(client),
        options_(std::move(options)),
        queue_(RangeQueues::Get().Find(options_.stream)),
        account_(Accounts::Get().Find(options_.stream)),
        random_(options_.seed) {}

  // Until there is nothing more, or the connection fails.
  Status Run() {
    for (bool more = true; more;) {
      Status status = options_.before_iterator();
      if (!status.ok()) return status;
      status = Iterate();
      ++iterators_;
      if (client_->discards() && (status.ok() || status.code() == Code::kDataLoss)) {
        return client_->IteratorDropped();
      }
      if (status.ok()) {
        status = client_->IteratorEnded("batch", &more);
      } else if (status.code() == Code::kDataLoss) {
        ++failures_;
        status = client_->IteratorFailed(status);
      }
      if (!status.ok()) return status;
    }
    return {};
  }

  // One iterator, to its end.
  Status Iterate() {
    const bool never = false;
    buffer_.clear();
    batch_.clear();
    Range range;
    std::int64_t elements = 0;
    for (;;) {
      RangeQueue::Answer answer = RangeQueue::Answer::kDone;
      Status status = queue_->Next(&never, &answer, &range);
      if (!status.ok()) return status;
      if (answer != RangeQueue::Answer::kRange) break;
      if (options_.bad({range.path, -1})) return {Code::kDataLoss, "cannot open " + range.path};
      std::int64_t claimed = range.begin;
      for (std::int64_t next = range.begin;; ++next) {
        if (next == claimed && (claimed = range.limit->Claim()) == next) break;
        const std::int64_t identity = Identity::Make(range.slot, next);
        const Record record{range.path, next};
        if (options_.unreadable(record)) {
          account_->ReadFailed(identity, {Code::kDataLoss, "wrong checksum"});
          return {Code::kDataLoss, "what an op behind the source says"};
        }
        if (options_.bad(record)) {
          Status bad(Code::kDataLoss, "bad record");
          if (options_.knows_culprit) account_->ReadFailed(identity, bad);
          return bad;
        }
        status = account_->Read(identity);
        if (!status.ok()) return status;
        if (options_.filtered(record)) {
          status = account_->Drop(identity, "filter:1");
          if (!status.ok()) return status;
          continue;
        }
        buffer_.emplace_back(identity, record);
        if (buffer_.size() < options_.shuffle) continue;
        status = Emit();
        if (!status.ok()) return status;
        if (++elements == options_.elements_an_iterator) return {};
      }
    }
    while (!buffer_.empty() && !client_->discards()) {
      Status status = Emit();
      if (!status.ok()) return status;
    }
    return options_.drop_remainder ? Status() : Step();
  }

  const std::vector<Record>& trained() const { return trained_; }
  std::map<Record, int> Counts() const {
    std::map<Record, int> counts;
    for (const Record& record : trained_) ++counts[record];
    return counts;
  }
  int iterators() const { return iterators_; }
  int failures() const { return failures_; }
  std::int64_t steps() const { return steps_; }

 private:
  Status Emit() {
    std::swap(buffer_[random_() % buffer_.size()], buffer_.back());
    batch_.push_back(buffer_.back());
    buffer_.pop_back();
    return batch_.size() == options_.batch ? Step() : Status();
  }
  Status Step() {
    if (batch_.empty()) return {};
    std::vector<std::int64_t> identities;
    std::vector<Record> records;
    for (const auto& [identity, record] : batch_) {
      identities.push_back(identity);
      records.push_back(record);
    }
    batch_.clear();
    options_.on_batch(records);
    trained_.insert(trained_.end(), records.begin(), records.end());
    Status status = client_->Applied(identities.data(), identities.size(), ++steps_);
    options_.between_steps();
    return status;
  }

  Client* const client_;
  const Options options_;
  const std::shared_ptr<RangeQueue> queue_;
  const std::shared_ptr<Account> account_;
  std::mt19937 random_;
  std::vector<std::pair<std::int64_t, Record>> buffer_, batch_;
  std::vector<Record> trained_;
  std::int64_t steps_ = 0;
  int iterators_ = 0, failures_ = 0;
};

// An agent with the master's own ledger behind it, for clients that run to the end of a job. Every
// report must be accepted.
class LedgerAgent {
 public:
  explicit LedgerAgent(const ledger::JobSpec& spec) {
    ledger::Effects effects;
    const Status status = ledger_.Apply(ledger::CreateJob{spec, 0}, &effects);
    EXPECT_TRUE(status.ok()) << status.ToString();
  }

  // Serves one connection until it closes. One thread a client.
  void Serve(LineListener* listener) {
    std::unique_ptr<LineSocket> socket;
    if (!listener->Accept(&socket).ok()) return;
    const std::uint64_t worker = ++workers_;
    Apply(ledger::Join{worker, "worker", Now()});
    std::int64_t wanted = 0;
    std::uint64_t request = 0;
    bool dry = false, finished = false;
    std::map<std::uint64_t, std::int64_t> renew;
    for (;;) {
      std::string line;
      Status status = socket->Receive(&line, std::chrono::milliseconds(2));
      if (status.code() == Code::kUnavailable) break;
      if (status.ok()) {
        ToAgent message;
        status = Decode(line, &message);
        EXPECT_TRUE(status.ok()) << status.ToString();
        if (std::holds_alternative<message::Hello>(message)) {
          Say(socket.get(), message::Welcome{kProtocol, "worker", worker, ModelKind::kNone, "{}"});
        } else if (auto* want = std::get_if<message::Want>(&message)) {
          wanted += want->count;
        } else if (auto* settled = std::get_if<message::Settled>(&message)) {
          for (const message::Report& report : settled->reports) Tell(worker, report);
        }
      }
      if (wanted == 0 || finished) continue;
      ledger::Request ask;
      ask.worker = worker;
      ask.request = ++request;
      ask.incarnation = 1;
      ask.max_tasks = wanted;
      ask.now_ms = Now();
      const ledger::Effects effects = Apply(ask);
      for (const ledger::Grant& grant : effects.grants) {
        message::Lease lease;
        lease.token = grant.token;
        lease.file = grant.file;
        lease.path = PathOf(grant.file);
        lease.ranges = grant.ranges;
        lease.epoch = grant.epoch;
        lease.isolate = grant.isolate;
        Say(socket.get(), lease);
        --wanted;
        dry = false;
      }
      if (effects.answer == ledger::Answer::kFlush && !dry) {
        dry = true;
        Say(socket.get(), message::Flush{});
      }
      if (effects.answer == ledger::Answer::kDone) {
        finished = true;
        Say(socket.get(), message::Finish{});
      }
      if (effects.answer == ledger::Answer::kFailed) {
        finished = true;
        Say(socket.get(), message::Fail{"the ledger failed"});
      }
    }
    Apply(ledger::Disconnect{worker, Now()});
  }

  ledger::CoverageTotals Totals() {
    std::lock_guard<std::mutex> lock(mu_);
    return ledger_.Totals();
  }
  const ledger::Ledger& ledger() const { return ledger_; }

 private:
  static std::int64_t Now() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
  std::string PathOf(std::int64_t file) {
    std::lock_guard<std::mutex> lock(mu_);
    return ledger_.spec().files[static_cast<std::size_t>(file)].path;
  }
  ledger::Effects Apply(const ledger::Event& event) {
    std::lock_guard<std::mutex> lock(mu_);
    ledger::Effects effects;
    const Status status = ledger_.Apply(event, &effects);
    EXPECT_TRUE(status.ok() || !ledger_.failure().empty()) << status.ToString();
    return effects;
  }
  void Tell(std::uint64_t worker, const message::Report& told) {
    ledger::Report report;
    report.worker = worker;
    report.token = told.token;
    for (const auto& range : told.trained) {
      report.acknowledged.push_back({range, ledger::Outcome::kTrained, ""});
    }
    for (const auto& range : told.filtered) {
      report.acknowledged.push_back({range, ledger::Outcome::kFiltered, ""});
    }
    for (const auto& [op, ranges] : told.dropped) {
      for (const auto& range : ranges) {
        report.acknowledged.push_back({range, ledger::Outcome::kDropped, op});
      }
    }
    report.returned = told.returned;
    report.end = static_cast<ledger::End>(told.end);
    report.error = told.error;
    report.culprit = told.culprit;
    report.now_ms = Now();
    Apply(report);
  }
  static void Say(LineSocket* socket, const ToClient& message) {
    socket->Send(Encode(message)).IgnoreError();  // the client may be gone
  }

  std::mutex mu_;
  ledger::Ledger ledger_;  // guarded by mu_
  std::atomic<std::uint64_t> workers_{0};
};

}  // namespace headrace::feed::testing

#endif  // HEADRACE_FEED_TESTING_H_
