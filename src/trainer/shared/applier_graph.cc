#include "trainer/shared/applier_graph.h"

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/framework/types.h"
#include "trainer/cluster.h"
#include "trainer/shared/push.h"
#include "trainer/shared/row_sum.h"
#include "trainer/shared/shared_graph.h"

namespace headrace::trainer {
namespace {

using ::tensorflow::Graph;
using ::tensorflow::Node;
using ::tensorflow::Tensor;
using ::tensorflow::TensorShape;
using Out = GraphEdit::Out;
using Outs = GraphEdit::Outs;

constexpr char kStepVariable[] = "headrace_step";  // as the exporter calls it

class Builder {
 public:
  Builder(const ExportedJob& job, const tensorflow::MetaGraphDef& exported, int servers,
          std::int64_t generation)
      : job_(job),
        exported_(exported),
        servers_(servers),
        generation_(generation),
        edit_("", &shared_.graph) {}

  absl::Status Build(tensorflow::GraphDef* def) {
    TF_RETURN_IF_ERROR(LoadGraph(job_, exported_, /*synchronous=*/true, servers_, &shared_));
    absl::StatusOr<PushedTensors> tensors = PushedBy(job_, shared_.variables, servers_);
    if (!tensors.ok()) return tensors.status();
    for (Node* node : shared_.graph.op_nodes()) nodes_[node->name()] = node;
    key_ = Feed(kApplyKey, tensorflow::DT_INT64);
    place_ = Feed(kApplyPlace, tensorflow::DT_INT64);
    count_ = Feed(kApplyCount, tensorflow::DT_INT32);
    for (const auto& [server, list] : *tensors) TF_RETURN_IF_ERROR(AddServer(server, list));
    TF_RETURN_IF_ERROR(AddTargets());
    const std::vector<std::string> roots{kAddPush, kDropPush, kApply, NodeOf(kModelStep)};
    TF_RETURN_IF_ERROR(Distribute(roots, {kApplierNumber, generation_}, /*saves=*/false, &shared_));
    shared_.graph.ToGraphDef(def);
    return absl::OkStatus();
  }

 private:
  Node* Feed(const std::string& name, tensorflow::DataType dtype) {
    edit_.On(Cluster::WorkerDevice());
    return edit_.Add(name, "Placeholder", {},
                     {Attr("dtype", dtype), Attr("shape", TensorShape({}))});
  }

  // The input of `apply` or `update_state` that has this name, to be given by `by`.
  absl::Status Connect(const std::string& name, const Out& by) {
    for (const char* signature : {"apply", "update_state"}) {
      const auto& inputs = exported_.signature_def().at(signature).inputs();
      const auto input = inputs.find(name);
      if (input == inputs.end()) continue;
      const auto placeholder = nodes_.find(NodeOf(input->second.name()));
      if (placeholder == nodes_.end()) return absl::OkStatus();  // nothing uses it
      const std::vector<const tensorflow::Edge*> edges(placeholder->second->out_edges().begin(),
                                                       placeholder->second->out_edges().end());
      for (const auto* edge : edges) {
        if (edge->IsControlEdge()) continue;
        TF_RETURN_IF_ERROR(
            shared_.graph.UpdateEdge(by.node, by.index, edge->dst(), edge->dst_input()));
      }
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(
        absl::StrCat(job_.directory, ": nothing takes '", name, "': export again"));
  }

  absl::Status AddServer(int server, const std::vector<PushedTensor>& list) {
    edit_.On(Cluster::ServerDevice(server));
    const std::string prefix = absl::StrCat("headrace/apply/server_", server, "/");
    const GraphEdit::Attrs attrs = StagingOf(list, generation_);
    Node* where = edit_.Constant(prefix + "places", PlacesOf(list));
    Node* pushed = edit_.Add(prefix + "take", "MapUnstage", {key_, where}, attrs);
    drops_.push_back(edit_.Add(prefix + "drop", "MapUnstage", {key_, where}, attrs));
    for (std::size_t i = 0; i < list.size(); ++i) {
      const int output = static_cast<int>(i);
      if (list[i].part == PushedTensor::Part::kIndices) continue;  // with its values
      if (list[i].part == PushedTensor::Part::kValues) {
        TF_RETURN_IF_ERROR(AddSparse(server, list[i], {pushed, output - 1}, {pushed, output}));
      } else if (tensorflow::DataTypeIsFloating(list[i].dtype)) {
        TF_RETURN_IF_ERROR(AddDense(server, list[i], {pushed, output}));
      } else {
        TF_RETURN_IF_ERROR(AddLast(server, list[i], {pushed, output}));
      }
    }
    return edit_.status();
  }

  static TensorShape ShapeOf(const PushedTensor& tensor) {
    TensorShape shape;
    for (const std::int64_t size : tensor.spec->shape) shape.AddDim(size);
    return shape;
  }

  Node* NeverOld(const std::string& prefix) { return edit_.Scalar(prefix + "step", kNeverOld); }

  std::string SharedName(const std::string& name) const {
    return absl::StrCat("headrace/sum_", generation_, "/", name);
  }

  absl::Status AddSparse(int server, const PushedTensor& tensor, const Out& indices,
                         const Out& values) {
    edit_.On(Cluster::ServerDevice(server));
    const std::string& name = tensor.spec->name;
    const std::string prefix = absl::StrCat("headrace/apply/", name, "/");
    const RowSum sum{prefix, SharedName(name), tensor.dtype, ShapeOf(tensor)};
    const RowMean mean = AddRowMean(sum, indices, values, place_, count_, &edit_);
    TF_RETURN_IF_ERROR(edit_.status());
    adds_.push_back(mean.add);
    TF_RETURN_IF_ERROR(Connect(tensor.spec->indices(), mean.indices));
    return Connect(tensor.spec->values(), mean.values);
  }

  absl::Status AddDense(int server, const PushedTensor& tensor, const Out& value) {
    edit_.On(Cluster::ServerDevice(server));
    const std::string prefix = absl::StrCat("headrace/apply/", tensor.spec->name, "/");
    Node* sum = edit_.Add(prefix + "sum", "ConditionalAccumulator", {},
                          {Attr("dtype", tensor.dtype), Attr("shape", ShapeOf(tensor)),
                           Attr("shared_name", SharedName(tensor.spec->name))});
    adds_.push_back(
        edit_.Add(prefix + "add", "AccumulatorApplyGradient", {sum, NeverOld(prefix), value}));
    Node* mean = edit_.Add(prefix + "mean", "AccumulatorTakeGradient", {sum, count_},
                           {Attr("dtype", tensor.dtype)});
    TF_RETURN_IF_ERROR(edit_.status());
    return Connect(tensor.name(), mean);
  }

  // What has no mean, such as the state of a random generator: the last one counts.
  absl::Status AddLast(int server, const PushedTensor& tensor, const Out& value) {
    edit_.On(Cluster::ServerDevice(server));
    const std::string prefix = absl::StrCat("headrace/apply/", tensor.spec->name, "/");
    Node* last = edit_.Add(prefix + "last", "VarHandleOp", {},
                           {Attr("dtype", tensor.dtype), Attr("shape", ShapeOf(tensor)),
                            Attr("shared_name", SharedName(tensor.spec->name))});
    adds_.push_back(edit_.Add(prefix + "keep", "AssignVariableOp", {last, value},
                              {Attr("dtype", tensor.dtype)}));
    Node* read =
        edit_.Add(prefix + "read", "ReadVariableOp", {last}, {Attr("dtype", tensor.dtype)});
    TF_RETURN_IF_ERROR(edit_.status());
    return Connect(tensor.name(), read);
  }

  absl::Status AddTargets() {
    edit_.On(Cluster::WorkerDevice());
    // Without tables nothing else takes it, and what nothing takes cannot be fed.
    adds_.push_back(place_);
    edit_.Add(kAddPush, "NoOp", {}, {}, adds_);
    edit_.Add(kDropPush, "NoOp", {}, {}, drops_);
    std::vector<Node*> applied;
    for (const char* signature : {"apply", "update_state"}) {
      for (const auto& [name, tensor] : exported_.signature_def().at(signature).outputs()) {
        applied.push_back(nodes_.at(NodeOf(tensor.name())));
      }
    }
    edit_.Add(kApply, "NoOp", {}, {}, applied);
    for (const auto& [node, variable] : shared_.variables) {
      if (variable.key != CheckpointKey(kStepVariable)) continue;
      edit_.On("");
      edit_.Add(NodeOf(kModelStep), "ReadVariableOp", {nodes_.at(node)},
                {Attr("dtype", variable.dtype)});
      return edit_.status();
    }
    return absl::InvalidArgumentError(
        absl::StrCat(job_.directory, ": the model has no step: export again"));
  }

  const ExportedJob& job_;
  const tensorflow::MetaGraphDef& exported_;
  const int servers_;
  const std::int64_t generation_;
  SharedGraph shared_;
  GraphEdit edit_;
  std::unordered_map<std::string, Node*> nodes_;
  Node *key_ = nullptr, *place_ = nullptr, *count_ = nullptr;
  std::vector<Node*> adds_, drops_;
};

}  // namespace

absl::Status MakeApplierGraph(const ExportedJob& job, const tensorflow::MetaGraphDef& exported,
                              int servers, std::int64_t generation, tensorflow::GraphDef* graph) {
  return Builder(job, exported, servers, generation).Build(graph);
}

}  // namespace headrace::trainer
