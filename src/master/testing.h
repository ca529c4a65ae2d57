// What the master's tests share: a master in this process, and workers that train nothing.
#ifndef HEADRACE_MASTER_TESTING_H_
#define HEADRACE_MASTER_TESTING_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "headrace/control.grpc.pb.h"
#include "master/dispatcher.h"
#include "master/metrics.h"
#include "master/server.h"
#include "master/service.h"
#include "proto/version.h"

namespace headrace::master::testing {

// A master with its journal, on a loopback port. Time stands still until a test moves it.
class TestMaster {
 public:
  TestMaster(Job job, std::string journal) : job_(std::move(job)), journal_(std::move(journal)) {
    Start();
  }
  ~TestMaster() { Stop(); }

  void Start() {
    Dispatcher::Options options = options_;
    options.now_ms = [this] { return now_ms.load(); };
    Status status = Dispatcher::Open(job_, journal_, options, &dispatcher);
    ASSERT_TRUE(status.ok()) << status.ToString();
    metrics_ = std::make_unique<Metrics>();
    service_ = std::make_unique<Service>(dispatcher.get(), metrics_.get());
    status = Server::Start({}, service_.get(), &server_);
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  // Without a last word, as after a crash.
  void Stop() {
    dispatcher->Shutdown(/*finished=*/false);
    server_->Shutdown(std::chrono::seconds(1));
    server_.reset();
    service_.reset();
    dispatcher.reset();
  }
  void Restart() {
    Stop();
    Start();
  }
  const std::string& address() const { return server_->address(); }
  Metrics* metrics() { return metrics_.get(); }

  std::atomic<std::int64_t> now_ms{1'000'000};
  std::unique_ptr<Dispatcher> dispatcher;

 private:
  const Job job_;
  const std::string journal_;
  Dispatcher::Options options_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<Server> server_;
};

// Calls the master, wherever it is now, until it answers.
class Caller {
 public:
  struct Options {
    int times = 1;                     // each call is made so often; the last answer counts
    std::function<void()> after_call;  // after each that was answered
  };
  explicit Caller(std::function<std::string()> address) : Caller(std::move(address), Options()) {}
  Caller(std::function<std::string()> address, Options options)
      : address_(std::move(address)), options_(std::move(options)) {}

  template <class Request, class Reply>
  grpc::Status Call(grpc::Status (v1::Control::Stub::*call)(grpc::ClientContext*, const Request&,
                                                            Reply*),
                    const Request& request, Reply* reply) {
    grpc::Status status;
    for (int i = 0; i < options_.times; ++i) {
      const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(30);
      while (true) {
        grpc::ClientContext context;
        v1::Introduce("test", &context);
        context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
        v1::Control::Stub* const stub = Stub();
        status = stub == nullptr ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "no address yet")
                                 : (stub->*call)(&context, request, reply);
        const bool again = status.error_code() == grpc::StatusCode::UNAVAILABLE ||
                           status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
        if (!again || std::chrono::steady_clock::now() > give_up) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));  // back-off
      }
    }
    if (options_.after_call) options_.after_call();
    return status;
  }
  // Null: there has been no address yet.
  v1::Control::Stub* Stub() {
    const std::string address = address_();
    if (!address.empty() && address != connected_) {
      stub_ =
          v1::Control::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
      connected_ = address;
    }
    return stub_.get();
  }

 private:
  const std::function<std::string()> address_;
  const Options options_;
  std::string connected_;
  std::unique_ptr<v1::Control::Stub> stub_;
};

// Where checkpoints go, and who counts what was accepted: shared by all fake workers.
class World {
 public:
  struct Saved {
    std::int64_t step = 0;
    std::string directory, position;
  };
  void Save(Saved saved) {
    std::lock_guard<std::mutex> lock(mu_);
    last_ = std::move(saved);
    ++saves_;
  }
  Saved Last() const {
    std::lock_guard<std::mutex> lock(mu_);
    return last_;
  }
  // The parameter servers: which model they hold.
  void Serve(std::int64_t generation) {
    std::lock_guard<std::mutex> lock(mu_);
    generation_ = generation;
  }
  std::int64_t generation() const {
    std::lock_guard<std::mutex> lock(mu_);
    return generation_;
  }
  int saves() const {
    std::lock_guard<std::mutex> lock(mu_);
    return saves_;
  }
  void Count(const v1::Grant& grant) {
    std::lock_guard<std::mutex> lock(mu_);
    for (const v1::Range& range : grant.ranges()) {
      for (std::int64_t i = range.begin(); i < range.end(); ++i) {
        ++counts_[{grant.round(), grant.epoch(), grant.path(), i}];
      }
    }
  }
  // Records by how often they were accepted: {1: all of them}.
  std::map<int, int> Histogram(bool evaluation = false) const {
    std::lock_guard<std::mutex> lock(mu_);
    std::map<int, int> histogram;
    for (const auto& [record, count] : counts_) {
      if ((std::get<0>(record) != 0) == evaluation) ++histogram[count];
    }
    return histogram;
  }

 private:
  mutable std::mutex mu_;
  std::map<std::tuple<std::int64_t, std::int64_t, std::string, std::int64_t>, int> counts_;
  Saved last_;
  int saves_ = 0;
  std::int64_t generation_ = 0;
};

// Keeps to the protocol, one call of Exchange a turn; one task is one step.
class FakeWorker {
 public:
  FakeWorker(std::string name, Caller* caller, World* world)
      : name_(std::move(name)), caller_(*caller), world_(*world) {}

  // False: it has left for good.
  bool Turn() {
    if (number_ == 0) return Begin();
    if (model_ == v1::MODEL_KIND_SHARED && !attached_) return Attach();
    v1::ExchangeRequest request = NextRequest();
    v1::ExchangeReply reply;
    const grpc::Status status = caller_.Call(&v1::Control::Stub::Exchange, request, &reply);
    if (status.error_code() == grpc::StatusCode::NOT_FOUND) {
      Forget();
      return true;
    }
    EXPECT_TRUE(status.ok()) << name_ << ": " << status.error_message();
    Settle(reply);
    orders_ = reply.orders();
    for (const v1::Grant& grant : reply.grants()) leases_.push_back(grant);
    if (orders_.incarnation() != incarnation_) {
      Leave("the model was rewound");
      return true;
    }
    const bool leaves = reply.answer() == v1::ANSWER_DONE || reply.answer() == v1::ANSWER_FAILED ||
                        orders_.state() != v1::JOB_STATE_RUNNING;
    if (leaves) {
      Leave("");
      return false;
    }
    Obey();
    return true;
  }
  void Leave(const std::string& reason) {
    v1::LeaveRequest request;
    request.set_worker(number_);
    request.set_reason(reason);
    v1::LeaveReply reply;
    const grpc::Status status = caller_.Call(&v1::Control::Stub::Leave, request, &reply);
    EXPECT_TRUE(status.ok()) << status.error_message();
    Forget();
  }
  // As if killed: the next turn is a new process.
  void Forget() {
    number_ = 0;
    leases_.clear();
    finished_.clear();
    metrics_.clear();
    orders_.Clear();
    attached_ = false;
    expected_ = 0;
  }

  std::uint64_t number() const { return number_; }
  std::int64_t step() const { return step_; }
  const v1::Orders& orders() const { return orders_; }
  int refused() const { return refused_; }
  std::int64_t lease_count() const { return static_cast<std::int64_t>(leases_.size()); }
  // Before a task is finished; for tests that take time.
  std::function<void()> before_task;
  bool saves = true;  // false: the order to save is not carried out
  std::string save_error;

 private:
  bool Begin() {
    v1::JoinRequest request;
    request.set_name(name_);
    request.set_host("test");
    request.set_key(std::random_device()() | 1u);
    v1::JoinReply reply;
    const grpc::Status status = caller_.Call(&v1::Control::Stub::Join, request, &reply);
    EXPECT_TRUE(status.ok()) << status.error_message();
    number_ = reply.worker();
    incarnation_ = reply.incarnation();
    orders_ = reply.orders();
    if (orders_.state() != v1::JOB_STATE_RUNNING) {
      Leave("");
      return false;
    }
    model_ = reply.model();
    if (model_ == v1::MODEL_KIND_SHARED) return Attach();
    if (model_ == v1::MODEL_KIND_LOCAL) Restore(0);
    return true;
  }
  // Asks once; if it is to wait, the next turn asks again.
  bool Attach() {
    v1::AttachRequest request;
    request.set_worker(number_);
    request.set_generation(world_.generation());
    request.set_expected(expected_);
    v1::AttachReply reply;
    const grpc::Status status = caller_.Call(&v1::Control::Stub::Attach, request, &reply);
    if (status.error_code() == grpc::StatusCode::NOT_FOUND) {
      Forget();
      return true;
    }
    EXPECT_TRUE(status.ok()) << status.error_message();
    orders_ = reply.orders();
    attached_ = reply.answer() == v1::ATTACH_READY;
    if (attached_) incarnation_ = reply.incarnation();
    if (reply.answer() == v1::ATTACH_LOOK) expected_ = reply.generation();
    if (reply.answer() == v1::ATTACH_RESTORE) {
      world_.Serve(reply.generation());
      Restore(reply.generation());
      attached_ = true;
    }
    if (attached_ || orders_.state() == v1::JOB_STATE_RUNNING) return true;
    Leave("");
    return false;
  }
  void Restore(std::int64_t generation) {
    const World::Saved saved = world_.Last();
    v1::RestoredRequest restored;
    restored.set_worker(number_);
    restored.set_generation(generation);
    restored.set_step(saved.step);
    restored.set_position(saved.position);
    restored.set_checkpoint(saved.directory);
    v1::RestoredReply ready;
    const grpc::Status loaded = caller_.Call(&v1::Control::Stub::Restored, restored, &ready);
    EXPECT_TRUE(loaded.ok()) << loaded.error_message();
    incarnation_ = ready.incarnation();
    orders_ = ready.orders();
    step_ = saved.step;
  }

  v1::ExchangeRequest NextRequest() {
    // A task that may be worked on now is finished.
    for (auto it = leases_.begin(); it != leases_.end(); ++it) {
      if (orders_.hold() != 0 && it->round() == 0) continue;
      if (before_task) before_task();
      if (it->type() == v1::TASK_TYPE_TRAIN) ++step_;
      finished_.push_back(*it);
      leases_.erase(it);
      break;
    }
    v1::ExchangeRequest request;
    request.set_worker(number_);
    request.set_incarnation(incarnation_);
    request.set_step(step_);
    request.set_held(orders_.hold());
    request.set_at_boundary(true);
    for (const v1::Grant& grant : finished_) *request.add_reports() = ReportOf(grant);
    for (const v1::Grant& grant : leases_) request.add_renew(grant.token());
    for (const v1::Metric& metric : metrics_) *request.add_metrics() = metric;
    metrics_.clear();
    if (leases_.size() < 2) {
      request.set_request(++request_);
      request.set_max_tasks(1);
      request.set_main(true);
      request.set_evaluation(true);
    }
    return request;
  }
  static v1::Report ReportOf(const v1::Grant& grant) {
    v1::Report report;
    report.set_token(grant.token());
    report.set_end(v1::LEASE_END_FINISHED);
    double records = 0;
    for (const v1::Range& range : grant.ranges()) {
      v1::Acknowledged* acknowledged = report.add_acknowledged();
      *acknowledged->mutable_range() = range;
      acknowledged->set_outcome(v1::OUTCOME_TRAINED);
      records += static_cast<double>(range.end() - range.begin());
    }
    if (grant.type() == v1::TASK_TYPE_EVALUATE) report.add_metrics(records);
    return report;
  }
  void Settle(const v1::ExchangeReply& reply) {
    std::set<std::uint64_t> refused;
    for (const v1::ReportRefused& one : reply.refused()) refused.insert(one.token());
    refused_ += static_cast<int>(refused.size());
    for (const v1::Grant& grant : finished_) {
      if (refused.count(grant.token()) == 0) world_.Count(grant);
    }
    finished_.clear();
    for (const std::uint64_t token : reply.ended()) {
      for (auto it = leases_.begin(); it != leases_.end(); ++it) {
        if (it->token() != token) continue;
        leases_.erase(it);
        break;
      }
    }
  }
  void Obey() {
    if (orders_.has_save() && saves) {
      const v1::Save& save = orders_.save();
      EXPECT_EQ(save.step(), step_);
      v1::SavedRequest request;
      request.set_worker(number_);
      request.set_hold(save.hold());
      request.set_directory(save.directory());
      request.set_error(save_error);
      request.set_pause_ms(3);
      if (save_error.empty()) world_.Save({save.step(), save.directory(), save.position()});
      v1::SavedReply reply;
      const grpc::Status status = caller_.Call(&v1::Control::Stub::Saved, request, &reply);
      EXPECT_TRUE(status.ok()) << status.error_message();
    }
    if (orders_.has_evaluated()) {
      v1::Metric metric;
      metric.set_round(orders_.evaluated().round());
      metric.set_step(orders_.evaluated().step());
      metric.set_name("records");
      metric.set_value(orders_.evaluated().sums(0));
      metrics_ = {metric};
    }
  }

  const std::string name_;
  Caller& caller_;
  World& world_;
  std::uint64_t number_ = 0;
  v1::ModelKind model_ = v1::MODEL_KIND_NONE;
  bool attached_ = false;
  std::int64_t expected_ = 0;
  std::int64_t incarnation_ = 0;
  std::int64_t step_ = 0;
  std::uint64_t request_ = 0;
  v1::Orders orders_;
  std::vector<v1::Grant> leases_;
  std::vector<v1::Grant> finished_;  // to be reported
  std::vector<v1::Metric> metrics_;
  int refused_ = 0;
};

}  // namespace headrace::master::testing

#endif  // HEADRACE_MASTER_TESTING_H_
