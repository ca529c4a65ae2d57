#include "feed/client.h"

#include <unistd.h>

#include <utility>

#include "feed/connected_client.h"

namespace headrace::feed {

namespace {

// The queues and accounts of a client, closed again unless they are released.
struct Opened {
  std::vector<std::string> queues, accounts;

  ~Opened() {
    for (const std::string& name : queues) RangeQueues::Get().Close(name);
    for (const std::string& name : accounts) Accounts::Get().Close(name);
  }
  Status Open(const std::string& name, std::shared_ptr<RangeQueue>* queue,
              std::shared_ptr<Account>* account) {
    Status status = RangeQueues::Get().Open(name, queue);
    if (!status.ok()) return status;
    queues.push_back(name);
    status = Accounts::Get().Open(name, account);
    if (status.ok()) accounts.push_back(name);
    return status;
  }
  void Release() {
    queues.clear();
    accounts.clear();
  }
};

}  // namespace

std::int64_t Client::RecordOf(std::int64_t identity) {
  return Identity::Index(identity);
}

Status Client::Connect(const Options& options, std::unique_ptr<Client>* client) {
  Opened opened;
  std::shared_ptr<RangeQueue> stream_queue, tasks_queue;
  std::shared_ptr<Account> stream_account, tasks_account;
  Status status = opened.Open(options.stream, &stream_queue, &stream_account);
  if (status.ok()) status = opened.Open(options.tasks, &tasks_queue, &tasks_account);
  if (!status.ok()) return status;

  std::unique_ptr<LineSocket> socket;
  status = LineSocket::Connect(options.socket, options.connect_timeout, &socket);
  if (!status.ok()) return {status.code(), "no agent: " + status.message()};
  message::Hello hello;
  hello.program = options.program;
  hello.pid = getpid();
  // An agent that refuses us may have closed the connection already: then it has said why.
  const Status sent = socket->Send(Encode(ToAgent(hello)));
  std::string line;
  status = socket->Receive(&line, options.connect_timeout);
  if (!sent.ok() && !status.ok()) status = sent;
  if (!status.ok()) {
    return {status.code(),
            "no welcome from the agent at '" + options.socket + "': " + status.message()};
  }
  ToClient answer;
  status = Decode(line, &answer);
  if (!status.ok()) return {Code::kInternal, "the agent: " + status.message()};
  if (const auto* error = std::get_if<message::Error>(&answer)) {
    return {Code::kFailedPrecondition, "the agent refuses this process: " + error->message};
  }
  const auto* welcome = std::get_if<message::Welcome>(&answer);
  if (welcome == nullptr) return {Code::kInternal, "the agent's first message is no welcome"};
  if (welcome->protocol != kProtocol) {
    return {Code::kFailedPrecondition,
            "headrace-worker speaks version " + std::to_string(welcome->protocol) +
                " of the feed protocol, this process (" + options.program + ") version " +
                std::to_string(kProtocol) + ": install the same version of headrace for both"};
  }
  *client = std::make_unique<ConnectedClient>(options, std::move(socket), *welcome, stream_queue,
                                              stream_account, tasks_queue, tasks_account);
  opened.Release();
  return {};
}

}  // namespace headrace::feed
