#include "trainer/shared/variables.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "tensorflow/core/framework/node_def_util.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/framework/types.h"

namespace headrace::trainer {
namespace {

using ::tensorflow::Edge;
using ::tensorflow::Graph;
using ::tensorflow::Node;

const Edge* InputOf(const Node& node, int input) {
  const Edge* edge = nullptr;
  return node.input_edge(input, &edge).ok() ? edge : nullptr;
}

// Names of the tensors that a RestoreV2 reads.
absl::Status TensorNames(const Node& restore, std::vector<std::string>* names) {
  const Edge* edge = InputOf(restore, 1);
  tensorflow::Tensor value;
  if (edge == nullptr || !edge->src()->IsConstant()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the saver's '", restore.name(), "' has no constant names: export again"));
  }
  TF_RETURN_IF_ERROR(tensorflow::GetNodeAttr(edge->src()->attrs(), "value", &value));
  const auto flat = value.flat<tensorflow::tstring>();
  for (Eigen::Index i = 0; i < flat.size(); ++i) names->push_back(flat(i));
  return absl::OkStatus();
}

// The key of a variable whose handle this assignment uses, if it assigns what a RestoreV2 read.
absl::Status KeyOf(const Node& assign, std::string* key) {
  const Edge* edge = InputOf(assign, 1);
  while (edge != nullptr && edge->src()->IsIdentity()) edge = InputOf(*edge->src(), 0);
  if (edge == nullptr || edge->src()->type_string() != "RestoreV2") return absl::OkStatus();
  std::vector<std::string> names;
  TF_RETURN_IF_ERROR(TensorNames(*edge->src(), &names));
  *key = names.at(edge->src_output());
  return absl::OkStatus();
}

}  // namespace

std::int64_t SharedVariable::bytes() const {
  return shape.num_elements() * tensorflow::DataTypeSize(dtype);
}

absl::StatusOr<SharedVariables> FindVariables(const Graph& graph) {
  SharedVariables found;
  for (const Node* node : graph.op_nodes()) {
    if (node->type_string() != "VarHandleOp") continue;
    SharedVariable variable;
    variable.node = node->name();
    TF_RETURN_IF_ERROR(tensorflow::GetNodeAttr(node->attrs(), "dtype", &variable.dtype));
    tensorflow::PartialTensorShape shape;
    TF_RETURN_IF_ERROR(tensorflow::GetNodeAttr(node->attrs(), "shape", &shape));
    if (!shape.AsTensorShape(&variable.shape)) variable.shape = {};
    for (const Edge* edge : node->out_edges()) {
      if (edge->IsControlEdge() || edge->dst()->type_string() != "AssignVariableOp") continue;
      TF_RETURN_IF_ERROR(KeyOf(*edge->dst(), &variable.key));
    }
    found.emplace(node->name(), std::move(variable));
  }
  return found;
}

const SharedVariable* VariableAt(const SharedVariables& variables, const Node& node, int input) {
  const Edge* edge = InputOf(node, input);
  if (edge == nullptr) return nullptr;
  const auto found = variables.find(edge->src()->name());
  return found == variables.end() ? nullptr : &found->second;
}

std::vector<std::string> VariablesOf(const SharedVariables& variables, const Node& node) {
  std::vector<std::string> nodes;
  for (int i = 0; i < node.num_inputs(); ++i) {
    if (node.input_type(i) != tensorflow::DT_RESOURCE) continue;
    if (const SharedVariable* variable = VariableAt(variables, node, i)) {
      nodes.push_back(variable->node);
    }
  }
  return nodes;
}

const Node* HandleOf(const Node& node) {
  for (int i = 0; i < node.num_inputs(); ++i) {
    const Node* input = nullptr;
    if (node.input_type(i) == tensorflow::DT_RESOURCE && node.input_node(i, &input).ok() &&
        input->type_string() == "VarHandleOp") {
      return input;
    }
  }
  return nullptr;
}

bool OnlyReads(const Node& node) {
  static const std::set<std::string> kReads = {"ReadVariableOp",   "ResourceGather",
                                               "ResourceGatherNd", "VarIsInitializedOp",
                                               "VariableShape",    "DisableCopyOnRead"};
  return kReads.count(node.type_string()) > 0;
}

bool Writes(const SharedVariables& variables, const Node& node) {
  return !OnlyReads(node) && !VariablesOf(variables, node).empty();
}

void SkipIdentitiesOfHandles(Graph* graph) {
  std::vector<Node*> identities;
  for (Node* node : graph->op_nodes()) {
    if (node->IsIdentity() && node->num_inputs() == 1 &&
        node->input_type(0) == tensorflow::DT_RESOURCE) {
      identities.push_back(node);
    }
  }
  for (Node* identity : identities) {
    const Edge* in = InputOf(*identity, 0);
    if (in == nullptr) continue;
    Node* const source = in->src();
    const int output = in->src_output();
    std::vector<Node*> waits_for;
    for (const Edge* edge : identity->in_edges()) {
      if (edge->IsControlEdge() && edge->src()->IsOp()) waits_for.push_back(edge->src());
    }
    const std::vector<const Edge*> out(identity->out_edges().begin(), identity->out_edges().end());
    for (const Edge* edge : out) {
      Node* const user = edge->dst();
      if (!user->IsOp()) continue;
      for (Node* node : waits_for) graph->AddControlEdge(node, user);
      if (!edge->IsControlEdge()) {
        graph->UpdateEdge(source, output, user, edge->dst_input()).IgnoreError();
      }
    }
    graph->RemoveNode(identity);
  }
}

}  // namespace headrace::trainer
