#include "tensorflow/runtime/process_feed.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

namespace headrace {

ProcessFeed& ProcessFeed::Get() {
  static auto* const feed = new ProcessFeed;  // never destroyed: kernels may outlive main()
  return *feed;
}

Status ProcessFeed::Connect(const std::string& socket, const std::string& program, int prefetch,
                            std::string* welcome) {
  std::lock_guard<std::mutex> lock(mu_);
  if (client_ != nullptr) {
    return Status(Code::kAlreadyExists, "this process has a task dataset already");
  }
  feed::Client::Options options;
  options.socket = socket;
  options.program = program;
  options.prefetch = prefetch;
  std::unique_ptr<feed::Client> client;
  if (Status status = feed::Client::Connect(options, &client); !status.ok()) return status;
  if (client->welcome().model != feed::ModelKind::kNone) {
    return Status(Code::kFailedPrecondition,
                  "the job trains an exported model: only headrace-trainer can be its process");
  }
  *welcome = nlohmann::json{{"worker", client->welcome().worker},
                            {"number", client->welcome().number},
                            {"job", nlohmann::json::parse(client->welcome().job, nullptr, false)}}
                 .dump();
  client->Start();
  client_ = std::move(client);
  return Status();
}

Status ProcessFeed::Client(std::shared_ptr<feed::Client>* client) const {
  std::lock_guard<std::mutex> lock(mu_);
  *client = client_;
  if (client_ != nullptr) return Status();
  return Status(Code::kFailedPrecondition,
                "this process has no task dataset: make one with headrace.data.task_dataset()");
}

void ProcessFeed::Count(std::size_t records) {
  std::lock_guard<std::mutex> lock(mu_);
  if (client_ == nullptr) return;
  ++telemetry_.steps;
  telemetry_.records += static_cast<std::int64_t>(records);
  TellLocked();
}

void ProcessFeed::HandedOut(std::int64_t records) {
  std::lock_guard<std::mutex> lock(mu_);
  if (client_ == nullptr) return;
  telemetry_.handed_out += records;
  TellLocked();
}

void ProcessFeed::TellLocked() {
  telemetry_.loss = std::numeric_limits<double>::quiet_NaN();  // the program's own
  client_->Tell(telemetry_);
}

Status ProcessFeed::Commit(const std::vector<std::int64_t>& identities) {
  std::shared_ptr<feed::Client> client;
  if (Status status = Client(&client); !status.ok()) return status;
  Status status = client->Applied(identities.data(), identities.size(), 0);
  if (status.ok()) Count(identities.size());
  return status;
}

Status ProcessFeed::IteratorEnded(bool* more) {
  std::shared_ptr<feed::Client> client;
  if (Status status = Client(&client); !status.ok()) return status;
  return client->IteratorEnded("batch", more);
}

Status ProcessFeed::IteratorFailed(const Status& error) {
  std::shared_ptr<feed::Client> client;
  if (Status status = Client(&client); !status.ok()) return status;
  return client->IteratorFailed(error);
}

void ProcessFeed::Note(std::vector<std::int64_t> identities) {
  std::lock_guard<std::mutex> lock(mu_);
  noted_.push_back(std::move(identities));
}

Status ProcessFeed::CommitNoted(std::int64_t count) {
  for (; count > 0; --count) {
    std::vector<std::int64_t> identities;
    {
      std::lock_guard<std::mutex> lock(mu_);
      if (noted_.empty()) {
        return Status(Code::kOutOfRange, "a batch was committed that was never handed out");
      }
      identities = std::move(noted_.front());
      noted_.pop_front();
    }
    if (Status status = Commit(identities); !status.ok()) return status;
  }
  return Status();
}

Status ProcessFeed::Leave(const Status& error) {
  std::shared_ptr<feed::Client> client;
  {
    std::lock_guard<std::mutex> lock(mu_);
    client = std::move(client_);
    client_ = nullptr;
    noted_.clear();
    telemetry_ = {};
  }
  return client == nullptr ? Status() : client->Bye("", error);
}

}  // namespace headrace
