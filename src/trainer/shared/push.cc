#include "trainer/shared/push.h"

#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "ledger/codec.h"
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
    using Part = PushedTensor::Part;
    if (gradient.sparse) {
      pushed[server].push_back({&gradient, Part::kIndices, DT_INT64});
      pushed[server].push_back({&gradient, Part::kValues, dtype});
    } else {
      pushed[server].push_back({&gradient, Part::kWhole, dtype});
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

std::int64_t FingerprintOf(const ExportedJob& job) {
  std::string text;
  for (const auto* specs : {&job.gradient_specs, &job.state_specs}) {
    absl::StrAppend(&text, specs->size(), ";");
    for (const GradientSpec& spec : *specs) {
      absl::StrAppend(&text, spec.name, "=", spec.variable, spec.sparse ? " rows " : " ",
                      spec.dtype);
      for (const std::int64_t size : spec.shape) absl::StrAppend(&text, ",", size);
      absl::StrAppend(&text, ";");
    }
  }
  return static_cast<std::int64_t>(ledger::Fingerprint(text) >> 1 | 1);
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

std::string PushedTensor::name() const {
  switch (part) {
    case Part::kIndices: return spec->indices();
    case Part::kValues: return spec->values();
    case Part::kWhole: break;
  }
  return spec->name;
}

GraphEdit::Attrs StagingOf(const std::vector<PushedTensor>& tensors, std::int64_t generation) {
  std::vector<tensorflow::DataType> dtypes;
  for (const PushedTensor& tensor : tensors) dtypes.push_back(tensor.dtype);
  // Each model has its own, so that nothing of an earlier one's trainers is taken for its own.
  return {Attr("dtypes", dtypes),
          Attr("shared_name", absl::StrCat("headrace/pushed_", generation))};
}

Tensor PlacesOf(const std::vector<PushedTensor>& tensors) {
  Tensor places(tensorflow::DT_INT32, {static_cast<std::int64_t>(tensors.size())});
  auto flat = places.flat<std::int32_t>();
  std::iota(flat.data(), flat.data() + flat.size(), 0);
  return places;
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

Node* AddEnqueue(const std::string& name, Node* queue, Node* value, const std::vector<Node*>& after,
                 GraphEdit* edit) {
  return edit->Add(name, "QueueEnqueueV2", {queue, GraphEdit::Outs{{value, 0}}},
                   {Attr("Tcomponents", std::vector<tensorflow::DataType>{DT_INT64})}, after);
}

Node* AddDequeue(const std::string& name, Node* queue, const std::vector<Node*>& after,
                 GraphEdit* edit) {
  return edit->Add(name, "QueueDequeueV2", {queue},
                   {Attr("component_types", std::vector<tensorflow::DataType>{DT_INT64})}, after);
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
    GraphEdit::Outs values;
    for (const PushedTensor& tensor : list) values.push_back(outputs.at(tensor.name()));
    edit.On(Cluster::ServerDevice(server));
    Node* places = edit.Constant(absl::StrCat("places_", server), PlacesOf(list));
    staged.push_back(edit.Add(absl::StrCat("server_", server), "MapStage", {key, places, values},
                              StagingOf(list, writer.generation)));
  }
  edit.On(Cluster::WorkerDevice());
  // All is computed: from here on the step waits for what others do.
  std::vector<Node*> computed;
  for (const auto& [name, output] : outputs) computed.push_back(output.node);
  Node* counted =
      edit.Add("counted", "Headrace>Count", {step},
               {Attr("counter", std::string(kPushedCounter)), Attr("T", DT_INT64)}, computed);
  Node* entry = edit.Add(
      "entry", "Pack",
      {GraphEdit::Outs{{edit.Scalar("kind", static_cast<std::int64_t>(Push::Kind::kGradients)), 0},
                       {edit.Scalar("number", number), 0},
                       {edit.Scalar("generation", writer.generation), 0},
                       {counted, 0}}});
  Node* pushes = AddPushes(&edit, "pushes");
  Node* pushed = AddEnqueue("push", pushes, entry, staged, &edit);
  Node* answers = AddAnswers(&edit, "answers", writer.number);
  Node* decided = AddDequeue("decided", answers, {pushed}, &edit);
  TF_RETURN_IF_ERROR(edit.status());
  *answer = decided->name() + ":0";
  return absl::OkStatus();
}

absl::Status AddPushesOf(const ExportedJob& job, int servers, const Writer& writer,
                         SharedGraph* shared) {
  absl::StatusOr<PushedTensors> tensors = PushedBy(job, shared->variables, servers);
  if (!tensors.ok()) return tensors.status();
  const std::vector<std::string> names = job.GradientOutputs();  // of the pipelines' outputs
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
