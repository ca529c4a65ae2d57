// The messages of the feed protocol (docs/feed-protocol.md), shared by both of its sides.
#ifndef HEADRACE_FEED_MESSAGE_H_
#define HEADRACE_FEED_MESSAGE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"
#include "ledger/interval_set.h"

namespace headrace::feed {

inline constexpr int kProtocol = 1;

enum class ModelKind { kNone, kLocal, kShared };

namespace message {

using ledger::Ranges;

enum class QueueName { kMain, kEvaluation };
enum class End { kOpen, kFinished, kReleased, kFailed };
enum class TaskKind { kTrain, kEvaluate, kPredict };
const char* Name(TaskKind kind);

// What became of records of one lease.
struct Report {
  std::uint64_t token = 0;
  Ranges trained, filtered;
  std::map<std::string, Ranges> dropped;  // by op
  Ranges returned, repeated;
  End end = End::kOpen;
  std::string error;
  std::int64_t culprit = -1;
  std::vector<double> metrics;
};

// Either side: why it closes the connection.
struct Error {
  std::string message;
};

// --- client to agent ---------------------------------------------------------------------------

struct Hello {
  int protocol = kProtocol;
  std::string program;
  std::int64_t pid = 0;
};
struct Attach {
  std::int64_t generation = 0, expected = 0;
};
struct Restored {
  std::int64_t step = 0;
  std::string position;  // bytes; base64 on the wire
  std::string checkpoint;
  std::int64_t generation = 0;  // of a shared model
};
struct Want {
  QueueName queue = QueueName::kMain;
  std::int64_t count = 0;
};
struct Settled {
  std::vector<Report> reports;
  std::int64_t step = 0;
};
struct Telemetry {
  std::int64_t steps = 0, records = 0;
  double loss = 0;  // NaN: none yet
  std::map<std::string, std::pair<double, double>> times;
  std::string waits_for;
  std::int64_t waiting_ms = 0;
  std::int64_t away_ms = 0;  // since the training thread was in the feed; 0: it is there
  std::string last_call;     // what it did there
  std::int64_t handed_out = 0;
};
struct Boundary {
  std::uint64_t id = 0;
  std::int64_t step = 0;
};
struct Held {
  std::uint64_t hold = 0;
};
struct Saved {
  std::uint64_t hold = 0;
  std::string directory, error;
  std::int64_t pause_ms = 0, bytes = 0;
};
struct Metrics {
  std::int64_t round = 0, step = 0;
  std::map<std::string, double> values;
};
struct Bye {
  std::string model, error;
};

// --- agent to client ---------------------------------------------------------------------------

struct Welcome {
  int protocol = kProtocol;
  std::string worker;
  std::uint64_t number = 0;
  ModelKind model = ModelKind::kNone;
  std::string job;  // text of a JSON object
};
struct Ready {
  std::int64_t incarnation = 0;
};
struct Look {
  std::int64_t expected = 0;
};
struct Restore {
  std::int64_t generation = 0;
};
struct Fence {
  std::vector<std::uint64_t> workers;
};
struct Lease {
  QueueName queue = QueueName::kMain;
  std::uint64_t token = 0;
  TaskKind task = TaskKind::kTrain;
  std::string path;
  std::int64_t file = 0;
  Ranges ranges;
  std::int64_t epoch = 0, round = 0, model_version = 0;
  bool isolate = false;
};
struct Flush {
  QueueName queue = QueueName::kMain;
};
struct Finish {
  QueueName queue = QueueName::kMain;
  bool deliver = true;
};
struct Revoked {
  std::uint64_t token = 0;
  std::string reason;
};
struct Recall {
  std::uint64_t token = 0;
};
struct Save {
  std::uint64_t hold = 0;
  std::string directory, position;  // position: bytes; base64 on the wire
  std::int64_t step = 0;
};
struct Evaluated {
  std::int64_t round = 0, step = 0;
  std::vector<double> sums;
};
struct Orders {
  std::uint64_t hold = 0;
  std::string reason;
  std::optional<Save> save;
  std::optional<Evaluated> evaluated;
  std::uint64_t boundary = 0;
  std::int64_t live = 0;
};
struct Drain {
  std::string reason;
  bool discard = false;  // what was read is handed back too
};
struct Fail {
  std::string error;
};

}  // namespace message

using ToAgent = std::variant<message::Hello, message::Attach, message::Restored, message::Want,
                             message::Settled, message::Telemetry, message::Boundary, message::Held,
                             message::Saved, message::Metrics, message::Bye, message::Error>;
using ToClient =
    std::variant<message::Welcome, message::Ready, message::Look, message::Restore, message::Fence,
                 message::Lease, message::Flush, message::Finish, message::Revoked, message::Recall,
                 message::Orders, message::Drain, message::Fail, message::Error>;

// One line, without its end. What is no UTF-8 in a string is replaced.
std::string Encode(const ToAgent& message);
std::string Encode(const ToClient& message);
// INVALID_ARGUMENT, with the field's name where one is at fault, for a line that is no message.
Status Decode(std::string_view line, ToAgent* message);
Status Decode(std::string_view line, ToClient* message);

}  // namespace headrace::feed

#endif  // HEADRACE_FEED_MESSAGE_H_
