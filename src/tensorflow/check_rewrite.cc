#include "tensorflow/check_rewrite.h"

#include <memory>
#include <unordered_set>

#include "absl/strings/str_cat.h"
#include "tensorflow/core/common_runtime/function_body.h"
#include "tensorflow/core/common_runtime/function_def_utils.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/core/graph/validate.h"
#include "tensorflow/op_traits.h"

namespace headrace {
namespace {

using ::tensorflow::Edge;
using ::tensorflow::Node;

absl::Status CheckInputs(const Node& node) {
  std::vector<int> edges(node.num_inputs(), 0);
  for (const Edge* edge : node.in_edges()) {
    if (edge->IsControlEdge()) continue;
    const int input = edge->dst_input();
    if (input < 0 || input >= node.num_inputs() || edge->src_output() < 0 ||
        edge->src_output() >= edge->src()->num_outputs()) {
      return absl::InternalError(absl::StrCat("'", node.name(), "' has an edge to nowhere"));
    }
    ++edges[input];
    const tensorflow::DataType from = edge->src()->output_type(edge->src_output());
    if (!tensorflow::TypesCompatible(node.input_type(input), from)) {
      return absl::InternalError(absl::StrCat("input ", input, " of '", node.name(), "' is ",
                                              tensorflow::DataTypeString(from), ", but must be ",
                                              tensorflow::DataTypeString(node.input_type(input))));
    }
  }
  for (int i = 0; i < node.num_inputs(); ++i) {
    if (edges[i] != 1) {
      return absl::InternalError(
          absl::StrCat("input ", i, " of '", node.name(), "' has ", edges[i], " edges"));
    }
  }
  return absl::OkStatus();
}

bool StandsForRemoved(const Node& node) {
  return node.type_string() == "Identity" || node.type_string() == "IdentityN" ||
         node.type_string() == "NoOp";
}

absl::Status CheckFunction(const tensorflow::FunctionDef& function,
                           const tensorflow::FunctionLibraryDefinition& library) {
  std::unique_ptr<tensorflow::FunctionBody> body;
  const absl::Status status = tensorflow::FunctionDefToBodyHelper(
      function, tensorflow::AttrSlice(&function.attr()), &library, &body);
  if (status.ok()) return status;
  return absl::InternalError(absl::StrCat("function '", function.signature().name(),
                                          "' cannot be instantiated: ", status.message()));
}

}  // namespace

absl::Status CheckRewrite(const tensorflow::Graph& graph,
                          const tensorflow::FunctionLibraryDefinition& library,
                          const AppliedPlan& applied) {
  std::unordered_set<std::string> names;
  for (const Node* node : graph.op_nodes()) {
    if (!names.insert(node->name()).second) {
      return absl::InternalError(absl::StrCat("two nodes are named '", node->name(), "'"));
    }
    if (applied.removed.count(node->name()) > 0 && !StandsForRemoved(*node)) {
      return absl::InternalError(absl::StrCat("'", node->name(), "' was not removed"));
    }
    TF_RETURN_IF_ERROR(CheckInputs(*node));
  }
  TF_RETURN_IF_ERROR(tensorflow::graph::ValidateGraphHasNoCycle(graph));
  for (const auto& function : applied.functions) {
    TF_RETURN_IF_ERROR(CheckFunction(function, library));
  }
  return absl::OkStatus();
}

}  // namespace headrace
