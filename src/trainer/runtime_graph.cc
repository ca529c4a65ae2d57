#include "trainer/runtime_graph.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tensorflow/attributes.h"
#include "tensorflow/core/framework/attr_value.pb.h"
#include "tensorflow/core/framework/node_def.pb.h"
#include "tensorflow/core/framework/tensor_shape.pb.h"
#include "tensorflow/core/framework/types.h"

namespace headrace::trainer {
namespace {

using ::tensorflow::DataType;
using ::tensorflow::GraphDef;
using ::tensorflow::MetaGraphDef;
using ::tensorflow::NodeDef;
using ::tensorflow::SignatureDef;
using ::tensorflow::TensorShapeProto;

struct Types {
  std::vector<DataType> types;
  std::vector<TensorShapeProto> shapes;
};

absl::StatusOr<Types> TypesOf(const std::vector<ElementSpec>& elements) {
  Types result;
  // The identities of the batch come first.
  result.types.push_back(tensorflow::DT_INT64);
  result.shapes.emplace_back().add_dim()->set_size(-1);
  for (const ElementSpec& element : elements) {
    DataType type;
    if (!tensorflow::DataTypeFromString(element.dtype, &type)) {
      return absl::InvalidArgumentError(
          absl::StrCat("element '", element.name, "' has the unknown dtype ", element.dtype));
    }
    result.types.push_back(type);
    TensorShapeProto& shape = result.shapes.emplace_back();
    shape.set_unknown_rank(!element.known_rank);
    for (const std::int64_t size : element.shape) shape.add_dim()->set_size(size);
  }
  return result;
}

class Builder {
 public:
  Builder(const ExportedJob& job, const MetaGraphDef& exported, bool synchronous)
      : job_(job), exported_(exported), synchronous_(synchronous) {
    *result_.graph.mutable_versions() = exported.graph_def().versions();
    *result_.graph.mutable_library() = exported.graph_def().library();
  }

  absl::StatusOr<RuntimeGraph> Build() {
    TF_RETURN_IF_ERROR(AddTraining());
    TF_RETURN_IF_ERROR(
        AddPipeline("evaluate", job_.evaluation, job_.evaluate, {"sums"}, &result_.evaluate));
    std::vector<std::string> outputs;
    for (const ElementSpec& output : job_.outputs) outputs.push_back(output.name);
    TF_RETURN_IF_ERROR(
        AddPipeline("predict", job_.prediction, job_.predict, outputs, &result_.predict));
    TF_RETURN_IF_ERROR(AddMetrics());
    CopyExported();
    if (synchronous_) TF_RETURN_IF_ERROR(AddAgain());
    return std::move(result_);
  }

 private:
  absl::Status Find(const std::string& name, const SignatureDef** signature) const {
    const auto found = exported_.signature_def().find(name);
    if (found == exported_.signature_def().end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(job_.directory, " has no signature '", name, "': export again"));
    }
    *signature = &found->second;
    return absl::OkStatus();
  }

  absl::Status Tensor(const google::protobuf::Map<std::string, tensorflow::TensorInfo>& tensors,
                      const std::string& signature, const std::string& name,
                      std::string* tensor) const {
    const auto found = tensors.find(name);
    if (found == tensors.end()) {
      return absl::InvalidArgumentError(absl::StrCat(job_.directory, ": signature '", signature,
                                                     "' has no '", name, "': export again"));
    }
    *tensor = found->second.name();
    return absl::OkStatus();
  }

  NodeDef* AddNode(const std::string& name, const std::string& op,
                   const std::vector<std::string>& inputs) {
    NodeDef* node = result_.graph.add_node();
    node->set_name(name);
    node->set_op(op);
    for (const std::string& input : inputs) node->add_input(input);
    return node;
  }

  void AddZero(const std::string& name, DataType type) {
    NodeDef* zero = AddNode(name, "Const", {});
    (*zero->mutable_attr())["dtype"].set_type(type);
    auto* value = (*zero->mutable_attr())["value"].mutable_tensor();
    value->set_dtype(type);
    value->mutable_tensor_shape();
    if (type == tensorflow::DT_INT32) {
      value->add_int_val(0);
    } else {
      value->add_int64_val(0);
    }
  }

  static void SetTypes(const Types& types, NodeDef* node) {
    auto* type_list = (*node->mutable_attr())["output_types"].mutable_list();
    for (const DataType type : types.types) type_list->add_type(type);
    auto* shape_list = (*node->mutable_attr())["output_shapes"].mutable_list();
    for (const TensorShapeProto& shape : types.shapes) *shape_list->add_shape() = shape;
  }

  // In place of what the exported graph would be fed.
  absl::Status Replace(const std::string& placeholder_tensor, const std::string& tensor) {
    const std::string node = NodeOf(placeholder_tensor);
    if (!replaced_.emplace(node, tensor).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(job_.directory, ": two signatures share the input ", node));
    }
    return absl::OkStatus();
  }

  absl::Status AddPipeline(const std::string& name, const DatasetSpec& dataset,
                           const FunctionSpec& function, const std::vector<std::string>& outputs,
                           Pipeline* pipeline) {
    const std::string prefix = absl::StrCat("headrace/", name, "/");
    const SignatureDef* transform = nullptr;
    TF_RETURN_IF_ERROR(Find(dataset.signature, &transform));
    std::string input, transformed;
    TF_RETURN_IF_ERROR(Tensor(transform->inputs(), dataset.signature, "dataset", &input));
    TF_RETURN_IF_ERROR(Tensor(transform->outputs(), dataset.signature, "dataset", &transformed));
    absl::StatusOr<Types> types = TypesOf(dataset.elements);
    if (!types.ok()) return types.status();

    NodeDef* ranges = AddNode(prefix + "ranges", "Headrace>RecordRangesDataset", {});
    (*ranges->mutable_attr())["queue"].set_s(dataset.account);
    (*ranges->mutable_attr())["account"].set_s(dataset.account);
    TF_RETURN_IF_ERROR(Replace(input, ranges->name()));

    NodeDef* iterator = AddNode(prefix + "iterator", "IteratorV2", {});
    (*iterator->mutable_attr())["shared_name"].set_s("");
    (*iterator->mutable_attr())["container"].set_s("");
    SetTypes(*types, iterator);
    pipeline->begin = prefix + "begin";
    AddNode(pipeline->begin, "MakeIterator", {transformed, iterator->name()});
    AddEnd(prefix, transformed, *types, pipeline);

    pipeline->next = prefix + "next";
    SetTypes(*types, AddNode(pipeline->next, "IteratorGetNext", {iterator->name()}));
    NodeDef* identities = AddNode(prefix + "identities", "Identity", {pipeline->next});
    (*identities->mutable_attr())["T"].set_type(tensorflow::DT_INT64);
    (*identities->mutable_attr())[kKeepAttr].set_b(true);
    pipeline->identities = identities->name() + ":0";
    return Call(dataset, function, outputs, pipeline);
  }

  // The iterator is replaced by one without elements: whatever the old one held is gone with it.
  void AddEnd(const std::string& prefix, const std::string& dataset, const Types& types,
              Pipeline* pipeline) {
    AddZero(prefix + "zero", tensorflow::DT_INT64);
    NodeDef* none = AddNode(prefix + "none", "TakeDataset", {dataset, prefix + "zero"});
    SetTypes(types, none);
    pipeline->end = prefix + "end";
    AddNode(pipeline->end, "MakeIterator", {none->name(), prefix + "iterator"});
  }

  absl::Status Call(const DatasetSpec& dataset, const FunctionSpec& function,
                    const std::vector<std::string>& outputs, Pipeline* pipeline) {
    const SignatureDef* signature = nullptr;
    TF_RETURN_IF_ERROR(Find(function.signature, &signature));
    for (const std::string& name : function.inputs) {
      std::string placeholder;
      TF_RETURN_IF_ERROR(Tensor(signature->inputs(), function.signature, name, &placeholder));
      int place = 0;
      while (place < static_cast<int>(dataset.elements.size()) &&
             dataset.elements[place].name != name) {
        ++place;
      }
      if (place == static_cast<int>(dataset.elements.size())) {
        return absl::InvalidArgumentError(
            absl::StrCat(job_.model_file, ": dataset_fn does not give '", name, "', which '",
                         function.signature, "' needs"));
      }
      TF_RETURN_IF_ERROR(Replace(placeholder, absl::StrCat(pipeline->next, ":", place + 1)));
    }
    for (const std::string& name : outputs) {
      TF_RETURN_IF_ERROR(Tensor(signature->outputs(), function.signature, name,
                                &pipeline->outputs.emplace_back()));
    }
    return absl::OkStatus();
  }

  absl::Status AddMetrics() {
    const SignatureDef* signature = nullptr;
    TF_RETURN_IF_ERROR(Find(job_.metrics.signature, &signature));
    TF_RETURN_IF_ERROR(
        Tensor(signature->inputs(), job_.metrics.signature, "sums", &result_.metrics_input));
    for (const auto& [name, tensor] : signature->outputs()) {
      result_.metrics.emplace_back(name, tensor.name());
    }
    std::sort(result_.metrics.begin(), result_.metrics.end());
    return absl::OkStatus();
  }

  void CopyExported() {
    for (const NodeDef& node : exported_.graph_def().node()) {
      if (replaced_.count(node.name()) > 0) continue;
      NodeDef* copy = result_.graph.add_node();
      *copy = node;
      copy->clear_input();
      for (const std::string& input : node.input()) {
        const auto found = replaced_.find(NodeOf(input));
        if (found != replaced_.end()) {
          copy->add_input(found->second);
        } else if (input[0] != '^' || replaced_.count(input.substr(1)) == 0) {
          copy->add_input(input);
        }
      }
    }
  }

  absl::Status AddTraining() {
    if (!synchronous_) {
      return AddPipeline("train", job_.training, job_.train, {"loss", "step"}, &result_.train);
    }
    if (job_.gradients.signature.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          job_.directory, " has no synchronous step: export it for --use_async=false"));
    }
    TF_RETURN_IF_ERROR(AddPipeline("train", job_.training, job_.gradients, job_.GradientOutputs(),
                                   &result_.train));
    return Keep();
  }

  // The batch stays in this process until the next one comes; a counter says that it is here.
  absl::Status Keep() {
    absl::StatusOr<Types> types = TypesOf(job_.training.elements);
    if (!types.ok()) return types.status();
    types->types.erase(types->types.begin());
    std::vector<std::string> elements;
    for (std::size_t i = 0; i < types->types.size(); ++i) {
      elements.push_back(absl::StrCat(result_.train.next, ":", i + 1));
    }
    const auto describe = [&](NodeDef* node) {
      auto* list = (*node->mutable_attr())["dtypes"].mutable_list();
      for (const DataType type : types->types) list->add_type(type);
      (*node->mutable_attr())["shared_name"].set_s(kKept);
    };
    NodeDef* clear =
        AddNode("headrace/train/forget", "StageClear", {absl::StrCat("^", result_.train.next)});
    describe(clear);
    elements.push_back("^" + clear->name());
    describe(AddNode("headrace/train/keep", "Stage", elements));
    AddZero("headrace/again/first", tensorflow::DT_INT32);
    describe(AddNode(kKept, "StagePeek", {"headrace/again/first"}));
    NodeDef* here = AddNode("headrace/train/here", "Headrace>Count",
                            {"headrace/train/identities", "^headrace/train/keep"});
    (*here->mutable_attr())["counter"].set_s(kBatchesCounter);
    (*here->mutable_attr())["T"].set_type(tensorflow::DT_INT64);
    result_.train.identities = here->name() + ":0";
    return absl::OkStatus();
  }

  // The call of the gradients once more, on what was kept.
  absl::Status AddAgain() {
    const std::string& loss = result_.train.outputs.front();
    const std::string call = NodeOf(loss);
    const NodeDef* original = nullptr;
    for (const NodeDef& node : result_.graph.node()) {
      if (node.name() == call) original = &node;
    }
    if (original == nullptr) return absl::InternalError("the gradients are not in the graph");
    NodeDef copy = *original;
    copy.set_name("headrace/again/gradients");
    for (std::string& input : *copy.mutable_input()) {
      const std::string next = result_.train.next + ":";
      if (input.compare(0, next.size(), next) != 0) continue;
      input = absl::StrCat(kKept, ":", std::stoi(input.substr(next.size())) - 1);
    }
    for (const std::string& output : result_.train.outputs) {
      result_.again.outputs.push_back(copy.name() + output.substr(call.size()));
    }
    *result_.graph.add_node() = std::move(copy);
    return absl::OkStatus();
  }

  static constexpr char kKept[] = "headrace/again/batch";

  const ExportedJob& job_;
  const MetaGraphDef& exported_;
  const bool synchronous_;
  std::map<std::string, std::string> replaced_;  // placeholder -> tensor
  RuntimeGraph result_;
};

}  // namespace

std::string NodeOf(const std::string& tensor) {
  return tensor.substr(0, tensor.find(':'));
}

absl::StatusOr<RuntimeGraph> BuildRuntimeGraph(const ExportedJob& job, const MetaGraphDef& exported,
                                               bool synchronous) {
  return Builder(job, exported, synchronous).Build();
}

}  // namespace headrace::trainer
