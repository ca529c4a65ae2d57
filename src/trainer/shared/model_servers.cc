#include "trainer/shared/model_servers.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/runtime/convert.h"
#include "trainer/shared/fence.h"
#include "trainer/shared/graph_edit.h"
#include "trainer/shared/push.h"

namespace headrace::trainer {
namespace {

using ::tensorflow::Graph;
using ::tensorflow::Node;
using ::tensorflow::Tensor;

constexpr char kValue[] = "value";      // feed: int64
constexpr char kWorkers[] = "workers";  // feed: int64 [n]
constexpr char kFenceAll[] = "fence";
constexpr char kPush[] = "push";           // feed: int64 [4]
constexpr char kTell[] = "tell";           // target: the push is in the applier's queue
constexpr char kFenceAnswer[] = "fenced";  // fetch: the applier's answer

std::string Name(const std::string& variable, int server, const std::string& what) {
  return absl::StrCat(variable, "/server_", server, "/", what);
}

// Nodes of one variable on one server.
void AddVariable(const std::string& variable, int server, Node* value, GraphEdit* edit) {
  edit->On(Cluster::ServerDevice(server));
  Node* handle = AddNumber(Name(variable, server, "handle"), variable, edit);
  edit->Add(Name(variable, server, "is_there"), "VarIsInitializedOp", {handle});
  edit->Add(Name(variable, server, "read"), "ReadVariableOp", {handle},
            {Attr("dtype", tensorflow::DT_INT64)});
  edit->Add(Name(variable, server, "write"), "AssignVariableOp", {handle, value},
            {Attr("dtype", tensorflow::DT_INT64)});
}

void AddApplier(std::uint64_t number, GraphEdit* edit) {
  edit->On(Cluster::WorkerDevice());
  Node* push =
      edit->Add(kPush, "Placeholder", {},
                {Attr("dtype", tensorflow::DT_INT64), Attr("shape", tensorflow::TensorShape({4}))});
  Node* pushes = AddPushes(edit, "pushes");
  AddEnqueue(kTell, pushes, push, {}, edit);
  Node* answers = AddFenceAnswers(edit, "fence_answers", number);
  AddDequeue(kFenceAnswer, answers, {}, edit);
}

absl::StatusOr<tensorflow::GraphDef> MakeGraph(std::uint64_t number, int servers) {
  Graph graph(tensorflow::OpRegistry::Global());
  GraphEdit edit("", &graph);
  edit.On(Cluster::WorkerDevice());
  Node* value =
      edit.Add(kValue, "Placeholder", {},
               {Attr("dtype", tensorflow::DT_INT64), Attr("shape", tensorflow::TensorShape({}))});
  Node* workers = edit.Add(
      kWorkers, "Placeholder", {},
      {Attr("dtype", tensorflow::DT_INT64), Attr("shape", tensorflow::PartialTensorShape({-1}))});
  std::vector<Node*> fenced;
  for (int server = 0; server < servers; ++server) {
    AddVariable(kGeneration, server, value, &edit);
    AddVariable(kClaim, server, value, &edit);
    AddVariable(kApplier, server, value, &edit);
    AddVariable(kApplierGrads, server, value, &edit);
    Node* table = AddFencedTable(Name(kFenced, server, "table"), &edit);
    fenced.push_back(edit.Add(Name(kFenced, server, "insert"), "LookupTableInsertV2",
                              {table, workers, workers}));
  }
  edit.On(Cluster::WorkerDevice());
  edit.Add(kFenceAll, "NoOp", {}, {}, fenced);
  AddApplier(number, &edit);
  if (!edit.status().ok()) return edit.status();
  tensorflow::GraphDef def;
  graph.ToGraphDef(&def);
  return def;
}

}  // namespace

Status ModelServers::Open(const Cluster& cluster, std::uint64_t number,
                          std::unique_ptr<ModelServers>* servers) {
  absl::StatusOr<tensorflow::GraphDef> graph = MakeGraph(number, cluster.servers());
  if (!graph.ok()) return FromAbsl(graph.status());
  std::unique_ptr<tensorflow::Session> session;
  absl::Status status = cluster.NewSession({}, &session);
  if (status.ok()) status = session->Create(*graph);
  if (!status.ok()) return FromAbsl(status);
  servers->reset(new ModelServers(number, cluster.servers(), std::move(session)));
  return Status();
}

ModelServers::~ModelServers() {
  session_->Close().IgnoreError();
}

// 0 where it was never written.
absl::Status ModelServers::Read(const std::string& variable, std::vector<std::int64_t>* values) {
  std::vector<std::string> fetches;
  for (int i = 0; i < servers_; ++i) fetches.push_back(Name(variable, i, "is_there:0"));
  std::vector<Tensor> results;
  TF_RETURN_IF_ERROR(session_->Run({}, fetches, {}, &results));
  values->assign(servers_, 0);
  for (int i = 0; i < servers_; ++i) {
    if (!results[i].scalar<bool>()()) continue;
    std::vector<Tensor> value;
    TF_RETURN_IF_ERROR(session_->Run({}, {Name(variable, i, "read:0")}, {}, &value));
    (*values)[i] = value[0].scalar<std::int64_t>()();
  }
  return absl::OkStatus();
}

absl::Status ModelServers::Write(const std::string& variable, std::int64_t value) {
  std::vector<std::string> targets;
  for (int i = 0; i < servers_; ++i) targets.push_back(Name(variable, i, "write"));
  return session_->Run({{kValue, Tensor(value)}}, {}, targets, nullptr);
}

Status ModelServers::Generation(std::int64_t* generation) {
  std::vector<std::int64_t> values;
  if (absl::Status status = Read(kGeneration, &values); !status.ok()) return FromAbsl(status);
  const bool same = std::all_of(values.begin(), values.end(),
                                [&](std::int64_t value) { return value == values.front(); });
  *generation = same ? values.front() : 0;
  return Status();
}

Status ModelServers::Claim(std::int64_t generation) {
  std::vector<std::int64_t> claims;
  if (absl::Status status = Read(kClaim, &claims); !status.ok()) return FromAbsl(status);
  for (const std::int64_t claim : claims) {
    if (claim > generation) {
      return Status(Code::kAborted,
                    absl::StrCat(kNotClaimed, ": claim ", claim, ", this is ", generation));
    }
  }
  absl::Status status = Write(kClaim, generation);
  if (status.ok()) status = Write(kGeneration, 0);
  return FromAbsl(status);
}

Status ModelServers::Publish(std::int64_t generation) {
  return FromAbsl(Write(kGeneration, generation));
}

Status ModelServers::Fence(const std::vector<std::uint64_t>& workers) {
  Tensor numbers(tensorflow::DT_INT64, {static_cast<std::int64_t>(workers.size())});
  for (std::size_t i = 0; i < workers.size(); ++i) {
    numbers.flat<std::int64_t>()(i) = static_cast<std::int64_t>(workers[i]);
  }
  return FromAbsl(session_->Run({{kWorkers, numbers}}, {}, {kFenceAll}, nullptr));
}

Status ModelServers::Announce(const Applier& applier) {
  absl::Status status = Write(kApplierGrads, applier.grads_to_wait);
  if (status.ok()) status = Write(kApplier, applier.fingerprint);
  return FromAbsl(status);
}

Status ModelServers::FindApplier(Applier* applier) {
  std::vector<std::int64_t> fingerprints, grads;
  absl::Status status = Read(kApplier, &fingerprints);
  if (status.ok()) status = Read(kApplierGrads, &grads);
  if (!status.ok()) return FromAbsl(status);
  *applier = {fingerprints.front(), grads.front()};
  return Status();
}

Status ModelServers::Tell(const Push& push) {
  return FromAbsl(session_->Run({{kPush, TensorOf(push)}}, {}, {kTell}, nullptr));
}

Status ModelServers::FenceAtApplier(const std::vector<std::uint64_t>& workers,
                                    std::int64_t generation) {
  for (const std::uint64_t worker : workers) {
    Push fence{Push::Kind::kFence, number_, generation, static_cast<std::int64_t>(worker)};
    if (Status status = Tell(fence); !status.ok()) return status;
    std::vector<Tensor> answer;
    const absl::Status status = session_->Run({}, {absl::StrCat(kFenceAnswer, ":0")}, {}, &answer);
    if (!status.ok()) return FromAbsl(status);
  }
  return Status();
}

}  // namespace headrace::trainer
