#include "tensorflow/function_builder.h"

#include "absl/strings/str_cat.h"
#include "tensorflow/attributes.h"
#include "tensorflow/core/framework/graph_to_functiondef.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/graph/node_builder.h"
#include "tensorflow/core/util/device_name_utils.h"
#include "tensorflow/graph_view.h"

namespace headrace {
namespace {

using plan::Endpoint;
using ::tensorflow::Node;
using ::tensorflow::NodeDef;

bool RequestsAccelerator(const std::string& device) {
  tensorflow::DeviceNameUtils::ParsedName parsed;
  return tensorflow::DeviceNameUtils::ParseFullName(device, &parsed) && parsed.has_type &&
         parsed.type != "CPU";
}

// IteratorPull has these attributes of the op that it stands for, and no other.
void KeepPullAttributes(NodeDef* def) {
  for (auto it = def->mutable_attr()->begin(); it != def->mutable_attr()->end();) {
    const bool keep = it->first == "output_types" || it->first == "output_shapes";
    it = keep ? std::next(it) : def->mutable_attr()->erase(it);
  }
}

}  // namespace

FunctionBuilder::FunctionBuilder(const GraphView& view, std::set<int> allowed,
                                 bool keep_accelerators,
                                 const tensorflow::OpRegistryInterface* registry)
    : view_(view),
      allowed_(std::move(allowed)),
      keep_accelerators_(keep_accelerators),
      graph_(registry) {}

absl::Status FunctionBuilder::AddArg(const Endpoint& from) {
  Node* arg = nullptr;
  TF_RETURN_IF_ERROR(tensorflow::NodeBuilder(absl::StrCat("headrace_arg_", num_args_), "_Arg",
                                             graph_.op_registry())
                         .Attr("T", view_.nodes[from.node]->output_type(from.output))
                         .Attr("index", num_args_)
                         .Finalize(&graph_, &arg));
  ++num_args_;
  args_.emplace(std::make_pair(from.node, from.output), arg);
  return absl::OkStatus();
}

std::pair<Node*, int> FunctionBuilder::Find(const Endpoint& from) const {
  const auto arg = args_.find({from.node, from.output});
  if (arg != args_.end()) return {arg->second, 0};
  return {copies_.at(from.node), from.output};
}

absl::Status FunctionBuilder::Copy(int node, const std::string& op) {
  // Inputs first, without recursion: chains of nodes can be long.
  std::vector<int> open = {node};
  std::set<int> waiting;
  while (!open.empty()) {
    const int next = open.back();
    if (copies_.count(next) > 0) {
      open.pop_back();
      continue;
    }
    if (next != node && allowed_.count(next) == 0) {
      return absl::InternalError(absl::StrCat("'", view_.nodes[node]->name(), "' needs '",
                                              view_.nodes[next]->name(),
                                              "', which is not in its stage"));
    }
    const std::size_t before = open.size();
    const bool first_visit = waiting.insert(next).second;
    for (const Endpoint& input : view_.graph.nodes[next].inputs) {
      if (!Known(input)) open.push_back(input.node);
    }
    for (const int control : view_.graph.nodes[next].control_inputs) {
      if (allowed_.count(control) > 0 && copies_.count(control) == 0) open.push_back(control);
    }
    if (open.size() == before) {
      open.pop_back();
      TF_RETURN_IF_ERROR(CopyOne(next, next == node ? op : ""));
    } else if (!first_visit) {
      return absl::InternalError(
          absl::StrCat("'", view_.nodes[next]->name(), "' depends on itself"));
    }
  }
  return absl::OkStatus();
}

absl::Status FunctionBuilder::CopyOne(int index, const std::string& op) {
  const Node& node = *view_.nodes[index];
  NodeDef def = node.def();
  def.clear_input();
  def.mutable_attr()->erase(tensorflow::kColocationAttrName);
  for (const char* mark : {kStagedAttr, kOptionsAttr, kTargetAttr, kKeepAttr}) {
    def.mutable_attr()->erase(mark);
  }
  if (!keep_accelerators_ || !RequestsAccelerator(def.device())) def.clear_device();
  if (!op.empty()) {
    def.set_op(op);
    KeepPullAttributes(&def);
  }
  absl::Status status;
  Node* copy = graph_.AddNode(std::move(def), &status);
  if (!status.ok()) return status;
  copy->SetStackTrace(node.GetStackTrace());
  const plan::Node& described = view_.graph.nodes[index];
  for (std::size_t i = 0; i < described.inputs.size(); ++i) {
    const auto [source, output] = Find(described.inputs[i]);
    graph_.AddEdge(source, output, copy, static_cast<int>(i));
  }
  for (const int control : described.control_inputs) {
    const auto source = copies_.find(control);
    if (source != copies_.end()) graph_.AddControlEdge(source->second, copy);
  }
  copies_.emplace(index, copy);
  return absl::OkStatus();
}

absl::Status FunctionBuilder::AddResult(const Endpoint& from) {
  if (!Known(from)) TF_RETURN_IF_ERROR(Copy(from.node));
  const auto [source, output] = Find(from);
  return AddResult(source, output);
}

absl::Status FunctionBuilder::AddToken(const std::vector<int>& nodes) {
  const tensorflow::Tensor nothing(0);
  tensorflow::NodeBuilder builder(absl::StrCat("headrace_ran_", num_results_), "Const",
                                  graph_.op_registry());
  for (const int node : nodes) builder.ControlInput(copies_.at(node));
  Node* token = nullptr;
  TF_RETURN_IF_ERROR(
      builder.Attr("dtype", nothing.dtype()).Attr("value", nothing).Finalize(&graph_, &token));
  return AddResult(token, 0);
}

absl::Status FunctionBuilder::AddResult(Node* source, int output) {
  Node* result = nullptr;
  TF_RETURN_IF_ERROR(tensorflow::NodeBuilder(absl::StrCat("headrace_result_", num_results_),
                                             "_Retval", graph_.op_registry())
                         .Input(source, output)
                         .Attr("T", source->output_type(output))
                         .Attr("index", num_results_)
                         .Finalize(&graph_, &result));
  ++num_results_;
  return absl::OkStatus();
}

absl::StatusOr<tensorflow::FunctionDef> FunctionBuilder::Build(const std::string& name) const {
  tensorflow::FunctionDef function;
  TF_RETURN_IF_ERROR(tensorflow::GraphToFunctionDef(graph_, name, &function));
  bool stateful = false;
  for (const Node* node : graph_.op_nodes()) {
    stateful |= node->op_def().is_stateful() && !node->IsArg() && !node->IsRetval();
  }
  function.mutable_signature()->set_is_stateful(stateful);
  (*function.mutable_attr())[kStageFunctionAttr].set_b(true);
  return function;
}

}  // namespace headrace
