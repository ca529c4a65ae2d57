#include "tensorflow/inline_calls.h"

#include <algorithm>
#include <map>
#include <memory>
#include <unordered_set>
#include <vector>

#include "absl/status/status.h"
#include "tensorflow/attributes.h"
#include "tensorflow/core/common_runtime/function_body.h"
#include "tensorflow/core/common_runtime/function_def_utils.h"
#include "tensorflow/core/common_runtime/inline_function_utils.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/node_def_util.h"
#include "tensorflow/core/graph/algorithm.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/op_traits.h"
#include "tensorflow/traits.h"

namespace headrace {
namespace {

using ::tensorflow::AttrSlice;
using ::tensorflow::Edge;
using ::tensorflow::FunctionLibraryDefinition;
using ::tensorflow::Graph;
using ::tensorflow::InlineFunctionBodyOptions;
using ::tensorflow::Node;

// Functions that a node lies in after inlining, by the node's name.
using Enclosing = std::map<std::string, std::set<std::string>>;

bool IsTrue(const AttrSlice& attrs, const char* name) {
  bool value = false;
  return tensorflow::TryGetNodeAttr(attrs, name, &value) && value;
}

// Compiled as a whole: the compiler, not the graph, decides what runs when.
bool IsCompiled(const AttrSlice& attrs) {
  return IsTrue(attrs, "_XlaMustCompile") || attrs.Find("_xla_compile_id") != nullptr ||
         attrs.Find("_tpu_replicate") != nullptr;
}

// Name of the function that a call node calls; "" for other nodes and for gradients.
std::string CalledFunction(const Node& node) {
  if (node.IsPartitionedCall()) {
    tensorflow::NameAttrList function;
    if (!tensorflow::GetNodeAttr(node.attrs(), "f", &function).ok()) return "";
    return function.name();
  }
  if (!node.IsFunctionCall() || node.type_string() == FunctionLibraryDefinition::kGradientOp) {
    return "";
  }
  return node.type_string();
}

std::unordered_set<const Node*> AfterSources(const Graph& graph, FunctionAnalyzer* functions) {
  std::unordered_set<const Node*> reached;
  std::vector<const Node*> open;
  for (const Node* node : graph.op_nodes()) {
    const bool source =
        IsSource(LookUpOp(node->type_string())) ||
        (node->IsFunctionCall() && functions->OfNode(node->def(), node->num_inputs()).has_source);
    if (source && reached.insert(node).second) open.push_back(node);
  }
  while (!open.empty()) {
    const Node* node = open.back();
    open.pop_back();
    for (const Edge* edge : node->out_edges()) {
      if (edge->dst()->IsOp() && reached.insert(edge->dst()).second) open.push_back(edge->dst());
    }
  }
  return reached;
}

struct Call {
  Node* node = nullptr;
  bool may_be_dead = false;  // it follows v1 control flow
};

// A call is not inlined into what it calls itself.
bool IsRecursive(const Node& node, const std::string& function, const Enclosing& enclosing) {
  const auto within = enclosing.find(node.name());
  return within != enclosing.end() && within->second.count(function) > 0;
}

// New nodes are numbered in the order of inlining.
void SortByName(std::vector<Call>* calls) {
  std::sort(calls->begin(), calls->end(),
            [](const Call& a, const Call& b) { return a.node->name() < b.node->name(); });
}

// The calls to inline next, sorted by name.
std::vector<Call> FindCalls(const FunctionLibraryDefinition& library,
                            const std::set<std::string>& leave, const Enclosing& enclosing,
                            bool is_function_graph, Graph* graph) {
  std::vector<Call> calls;
  for (Node* node : graph->op_nodes()) {
    const std::string function = CalledFunction(*node);
    if (function.empty() || leave.count(node->name()) > 0) continue;
    if (IsTrue(node->attrs(), kTargetAttr) || IsTrue(node->attrs(), kKeepAttr)) continue;
    if (IsCompiled(node->attrs())) continue;
    if (IsRecursive(*node, function, enclosing)) continue;
    calls.push_back({node, false});
  }
  if (calls.empty()) return calls;

  TraitFinder traits(*graph, library, is_function_graph);
  const auto after_sources = AfterSources(*graph, &traits.functions());
  const auto stays = [&](const Call& call) {
    const Node& node = *call.node;
    if (traits.functions().OfNode(node.def(), node.num_inputs()).has_source) return false;
    return after_sources.count(&node) == 0 || traits.Of(node).trait != plan::Trait::kBarrier;
  };
  calls.erase(std::remove_if(calls.begin(), calls.end(), stays), calls.end());
  for (Call& call : calls) call.may_be_dead = traits.MayBeDead(*call.node);
  SortByName(&calls);
  return calls;
}

std::vector<Call> FindAllCalls(const std::set<std::string>& refused, const char* leave,
                               const Enclosing& enclosing, Graph* graph) {
  std::vector<Call> calls;
  for (Node* node : graph->op_nodes()) {
    const std::string function = CalledFunction(*node);
    if (function.empty() || refused.count(node->name()) > 0) continue;
    if (node->attrs().Find(leave) != nullptr || IsCompiled(node->attrs())) continue;
    if (!IsRecursive(*node, function, enclosing)) calls.push_back({node, false});
  }
  SortByName(&calls);
  return calls;
}

InlineFunctionBodyOptions OptionsFor(const Node& call, bool is_function_graph) {
  using Placer = tensorflow::InlinedFunctionBodyPlacer;
  InlineFunctionBodyOptions options;
  options.keep_caller_node = is_function_graph
                                 ? InlineFunctionBodyOptions::KeepCallerNode::kTargetable
                                 : InlineFunctionBodyOptions::KeepCallerNode::kFetchable;
  const bool multi_device =
      call.IsPartitionedCall() || IsTrue(call.attrs(), "_lower_as_multi_device_function");
  options.output_control_src = multi_device
                                   ? InlineFunctionBodyOptions::OutputControlSource::kControlOutputs
                                   : InlineFunctionBodyOptions::OutputControlSource::kDataOutputs;
  options.inlined_function_body_placer =
      multi_device ? Placer::MultiDevice() : Placer::SingleDevice();
  return options;
}

// Constants of the body that wait for nothing there, by their names in the graph.
std::set<std::string> FreeConstants(const std::string& call, const Graph& body) {
  std::set<std::string> names;
  for (const Node* node : body.op_nodes()) {
    bool waits = false;
    for (const Edge* edge : node->in_edges()) waits |= edge->src()->IsOp();
    if (node->IsConstant() && !waits) names.insert(call + "/" + node->name());
  }
  return names;
}

// Inlining makes constants wait for what the call waits for, to keep them in its frame of v1
// control flow. Outside of any frame that would only tie constants to unrelated nodes.
void FreeFromFrame(const std::set<std::string>& constants, Graph* graph) {
  for (Node* node : graph->op_nodes()) {
    if (constants.count(node->name()) == 0) continue;
    const std::vector<const Edge*> edges(node->in_edges().begin(), node->in_edges().end());
    for (const Edge* edge : edges) {
      if (edge->src()->IsOp()) graph->RemoveControlEdge(edge);
    }
  }
}

// Returns whether the call was inlined; some must not be.
absl::StatusOr<bool> InlineCall(const FunctionLibraryDefinition& library,
                                const InlineFunctionBodyOptions& options, const Call& found,
                                Enclosing* enclosing, Graph* graph) {
  Node* call = found.node;
  const std::string name = call->name();
  const std::string function = CalledFunction(*call);
  tensorflow::core::RefCountPtr<tensorflow::FunctionRecord> record = library.FindRecord(function);
  if (record == nullptr || IsCompiled(AttrSlice(&record->fdef().attr()))) return false;

  AttrSlice attrs = call->attrs();
  tensorflow::NameAttrList called;
  if (call->IsPartitionedCall()) {
    if (absl::Status s = tensorflow::GetNodeAttr(call->attrs(), "f", &called); !s.ok()) return s;
    attrs = AttrSlice(&called.attr());
  }
  std::unique_ptr<tensorflow::FunctionBody> body;
  if (absl::Status s =
          tensorflow::FunctionDefToBodyHelper(std::move(record), attrs, &library, &body);
      !s.ok()) {
    return s;
  }
  if (!tensorflow::ValidateInlining(call, body.get(), options).ok()) return false;

  std::set<std::string> within = (*enclosing)[name];
  within.insert(function);
  for (const Node* node : body->graph->op_nodes()) {
    if (!CalledFunction(*node).empty()) (*enclosing)[name + "/" + node->name()] = within;
  }
  if (absl::Status s = tensorflow::InlineFunctionBody(library, graph, call, body.get(), options);
      !s.ok()) {
    return s;
  }
  if (!found.may_be_dead) FreeFromFrame(FreeConstants(name, *body->graph), graph);
  return true;
}

// Until `find` finds no more calls.
template <typename Find>
absl::Status InlineFound(const FunctionLibraryDefinition& library, bool is_function_graph,
                         std::set<std::string> refused, const Find& find, Graph* graph) {
  Enclosing enclosing;
  while (true) {
    const std::vector<Call> calls = find(refused, enclosing);
    if (calls.empty()) {
      tensorflow::FixupSourceAndSinkEdges(graph);
      return absl::OkStatus();
    }
    for (const Call& call : calls) {
      const std::string name = call.node->name();
      const absl::StatusOr<bool> inlined =
          InlineCall(library, OptionsFor(*call.node, is_function_graph), call, &enclosing, graph);
      if (!inlined.ok()) return inlined.status();
      if (!*inlined) refused.insert(name);
    }
  }
}

}  // namespace

absl::Status InlineCalls(const FunctionLibraryDefinition& library,
                         const std::set<std::string>& leave, bool is_function_graph, Graph* graph) {
  const auto find = [&](const std::set<std::string>& refused, const Enclosing& enclosing) {
    return FindCalls(library, refused, enclosing, is_function_graph, graph);
  };
  return InlineFound(library, is_function_graph, leave, find, graph);
}

absl::Status InlineAllCalls(const FunctionLibraryDefinition& library, const char* leave,
                            Graph* graph) {
  const auto find = [&](const std::set<std::string>& refused, const Enclosing& enclosing) {
    return FindAllCalls(refused, leave, enclosing, graph);
  };
  return InlineFound(library, /*is_function_graph=*/false, {}, find, graph);
}

absl::Status InlineOnDevice(const FunctionLibraryDefinition& library, Node* call, Graph* graph) {
  InlineFunctionBodyOptions options = OptionsFor(*call, /*is_function_graph=*/false);
  options.inlined_function_body_placer = tensorflow::InlinedFunctionBodyPlacer::SingleDevice();
  Enclosing enclosing;
  const std::string name = call->name();
  const absl::StatusOr<bool> inlined =
      InlineCall(library, options, {call, false}, &enclosing, graph);
  if (!inlined.ok()) return inlined.status();
  if (*inlined) return absl::OkStatus();
  return absl::InvalidArgumentError("the call '" + name + "' cannot be inlined");
}

}  // namespace headrace
