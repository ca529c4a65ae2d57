#include "trainer/shared/push.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tensorflow/core/framework/types.h"
#include "trainer/cluster.h"

namespace headrace::trainer {
namespace {

using ::tensorflow::DT_INT64;
using ::tensorflow::Node;
using ::tensorflow::Tensor;
using ::tensorflow::TensorShape;

constexpr int kStepBits = 32;

Node* Queue(GraphEdit* edit, const std::string& name, const std::string& shared_name, int size) {
  edit->On(Cluster::ServerDevice(0));
  return edit->Add(name, "FIFOQueueV2", {},
                   {Attr("component_types", std::vector<tensorflow::DataType>{DT_INT64}),
                    Attr("shapes", std::vector<TensorShape>{TensorShape({size})}),
                    Attr("shared_name", shared_name)});
}

}  // namespace

std::string CheckpointKey(const std::string& name) {
  // As TensorFlow's checkpoints of objects escape names.
  const std::string escaped = absl::StrReplaceAll(name, {{".", ".."}, {"/", ".S"}});
  return absl::StrCat("variables_by_name/", escaped, "/.ATTRIBUTES/VARIABLE_VALUE");
}

absl::StatusOr<PushedTensors> PushedBy(const ExportedJob& job, const SharedVariables& variables,
                                       int servers) {
  std::map<std::string, const SharedVariable*> by_key;
  for (const auto& [node, variable] : variables) by_key[variable.key] = &variable;
  PushedTensors pushed;
  const auto add = [&](const GradientSpec& gradient, int place) -> absl::Status {
    const auto found = by_key.find(CheckpointKey(gradient.variable));
    tensorflow::DataType dtype;
    if (found == by_key.end() || !tensorflow::DataTypeFromString(gradient.dtype, &dtype)) {
      return absl::InvalidArgumentError(absl::StrCat(
          job.directory, ": the variable '", gradient.variable, "' is not there: export again"));
    }
    // The gradients of a table in parts go to all servers in turn: each then gives the rows on.
    const int server = found->second->shards.empty() ? found->second->server : place % servers;
    if (gradient.sparse) {
      pushed[server].push_back({gradient.name + "_indices", DT_INT64, server});
      pushed[server].push_back({gradient.name + "_values", dtype, server});
    } else {
      pushed[server].push_back({gradient.name, dtype, server});
    }
    return absl::OkStatus();
  };
  int place = 0;
  for (const GradientSpec& gradient : job.gradient_specs) {
    TF_RETURN_IF_ERROR(add(gradient, place++));
  }
  for (const GradientSpec& state : job.state_specs) TF_RETURN_IF_ERROR(add(state, place++));
  return pushed;
}

std::int64_t KeyOf(const Push& push) {
  return static_cast<std::int64_t>(push.number) << kStepBits |
         (push.step & ((std::int64_t{1} << kStepBits) - 1));
}

Tensor TensorOf(const Push& push) {
  Tensor tensor(DT_INT64, {4});
  auto values = tensor.flat<std::int64_t>();
  values(0) = static_cast<std::int64_t>(push.kind);
  values(1) = static_cast<std::int64_t>(push.number);
  values(2) = push.generation;
  values(3) = push.step;
  return tensor;
}

Push PushOf(const Tensor& tensor) {
  const auto values = tensor.flat<std::int64_t>();
  return {static_cast<Push::Kind>(values(0)), static_cast<std::uint64_t>(values(1)), values(2),
          values(3)};
}

std::string StagedUnder(std::int64_t generation) {
  return absl::StrCat("headrace/pushed_", generation);
}

Node* AddPushes(GraphEdit* edit, const std::string& name) {
  return Queue(edit, name, kPushes, 4);
}

Node* AddAnswers(GraphEdit* edit, const std::string& name, std::uint64_t number) {
  return Queue(edit, name, absl::StrCat(kAnswers, number), 2);
}

Node* AddFenceAnswers(GraphEdit* edit, const std::string& name, std::uint64_t number) {
  return Queue(edit, name, absl::StrCat(kFenceAnswers, number), 2);
}

absl::Status AddPush(const std::string& prefix, const PushedTensors& tensors,
                     const std::map<std::string, GraphEdit::Out>& outputs, const Writer& writer,
                     tensorflow::Graph* graph, std::string* answer) {
  GraphEdit edit(prefix, graph);
  edit.On(Cluster::WorkerDevice());
  Node* step = nullptr;
  for (Node* node : graph->op_nodes()) {
    if (node->name() == kPushedStep) step = node;
  }
  if (step == nullptr) return absl::InternalError("there is no step to push");
  const auto number = static_cast<std::int64_t>(writer.number);
  Node* wrapped = edit.Add("wrapped_step", "FloorMod",
                           {step, edit.Scalar("steps", std::int64_t{1} << kStepBits)});
  Node* key = edit.Add("key", "Add", {wrapped, edit.Scalar("number_in_key", number << kStepBits)});
  std::vector<Node*> staged;
  for (const auto& [server, list] : tensors) {
    edit.On(Cluster::WorkerDevice());
    std::vector<tensorflow::DataType> dtypes;
    GraphEdit::Outs values;
    Tensor places(tensorflow::DT_INT32, {static_cast<std::int64_t>(list.size())});
    for (std::size_t i = 0; i < list.size(); ++i) {
      places.flat<std::int32_t>()(static_cast<Eigen::Index>(i)) = static_cast<std::int32_t>(i);
      dtypes.push_back(list[i].dtype);
      values.push_back(outputs.at(list[i].name));
    }
    edit.On(Cluster::ServerDevice(server));
    staged.push_back(
        edit.Add(absl::StrCat("server_", server), "MapStage",
                 {key, edit.Constant(absl::StrCat("places_", server), places), values},
                 {Attr("dtypes", dtypes), Attr("shared_name", StagedUnder(writer.generation))}));
  }
  edit.On(Cluster::WorkerDevice());
  Node* entry = edit.Add(
      "entry", "Pack",
      {GraphEdit::Outs{{edit.Scalar("kind", static_cast<std::int64_t>(Push::Kind::kGradients)), 0},
                       {edit.Scalar("number", number), 0},
                       {edit.Scalar("generation", writer.generation), 0},
                       {step, 0}}});
  Node* pushes = AddPushes(&edit, "pushes");
  Node* pushed =
      edit.Add("push", "QueueEnqueueV2", {pushes, GraphEdit::Outs{{entry, 0}}},
               {Attr("Tcomponents", std::vector<tensorflow::DataType>{DT_INT64})}, staged);
  Node* answers = AddAnswers(&edit, "answers", writer.number);
  Node* decided =
      edit.Add("decided", "QueueDequeueV2", {answers},
               {Attr("component_types", std::vector<tensorflow::DataType>{DT_INT64})}, {pushed});
  TF_RETURN_IF_ERROR(edit.status());
  *answer = decided->name() + ":0";
  return absl::OkStatus();
}

absl::Status AddPushesOf(const ExportedJob& job, int servers, const Writer& writer,
                         SharedGraph* shared) {
  absl::StatusOr<PushedTensors> tensors = PushedBy(job, shared->variables, servers);
  if (!tensors.ok()) return tensors.status();
  std::vector<std::string> names{"loss"};  // of the pipelines' outputs
  for (const GradientSpec& gradient : job.gradient_specs) {
    if (gradient.sparse) {
      names.push_back(gradient.name + "_indices");
      names.push_back(gradient.name + "_values");
    } else {
      names.push_back(gradient.name);
    }
  }
  for (const GradientSpec& state : job.state_specs) names.push_back(state.name);
  GraphEdit edit("", &shared->graph);
  edit.On(Cluster::WorkerDevice());
  edit.Add(kPushedStep, "Placeholder", {},
           {Attr("dtype", DT_INT64), Attr("shape", TensorShape({}))});
  TF_RETURN_IF_ERROR(edit.status());
  std::map<std::string, Node*> nodes;
  for (Node* node : shared->graph.op_nodes()) nodes[node->name()] = node;
  for (auto [prefix, pipeline] : {std::make_pair("headrace/push/", &shared->runtime.train),
                                  std::make_pair("headrace/again/push/", &shared->runtime.again)}) {
    std::map<std::string, GraphEdit::Out> outputs;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const std::string& tensor = pipeline->outputs[i];
      const std::size_t colon = tensor.find(':');
      outputs[names[i]] = {nodes.at(tensor.substr(0, colon)), std::stoi(tensor.substr(colon + 1))};
    }
    std::string answer;
    TF_RETURN_IF_ERROR(AddPush(prefix, *tensors, outputs, writer, &shared->graph, &answer));
    pipeline->outputs = {pipeline->outputs.front(), answer};
  }
  return absl::OkStatus();
}

}  // namespace headrace::trainer
