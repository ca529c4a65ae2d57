#include "tensorflow/traits.h"

#include <utility>
#include <vector>

#include "tensorflow/core/framework/op_def.pb.h"
#include "tensorflow/core/framework/types.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/node_reason.h"
#include "tensorflow/op_traits.h"

namespace headrace {
namespace {

using plan::ReasonCode;
using plan::Trait;
using ::tensorflow::DataType;
using ::tensorflow::Edge;
using ::tensorflow::Graph;
using ::tensorflow::Node;

NodeTraits Barrier(ReasonCode code, std::string text) {
  NodeTraits traits;
  traits.trait = Trait::kBarrier;
  traits.code = code;
  traits.text = std::move(text);
  return traits;
}

NodeTraits Plain(Trait trait) {
  NodeTraits traits;
  traits.trait = trait;
  return traits;
}

bool HasRefType(const Node& node) {
  for (const DataType type : node.input_types()) {
    if (tensorflow::IsRefType(type)) return true;
  }
  for (const DataType type : node.output_types()) {
    if (tensorflow::IsRefType(type)) return true;
  }
  return false;
}

bool HasResourceInput(const Node& node) {
  for (const DataType type : node.input_types()) {
    if (type == tensorflow::DT_RESOURCE) return true;
  }
  return false;
}

bool OnlyResourceOutputs(const Node& node) {
  for (const DataType type : node.output_types()) {
    if (type != tensorflow::DT_RESOURCE) return false;
  }
  return node.num_outputs() > 0;
}

// All nodes that follow v1 control flow, which alone can leave a node unrun (dead).
std::unordered_set<const Node*> AfterControlFlow(const Graph& graph) {
  std::unordered_set<const Node*> reached;
  std::vector<const Node*> open;
  for (const Node* node : graph.op_nodes()) {
    if (LookUpOp(node->type_string()) == OpGroup::kControlFlow && reached.insert(node).second) {
      open.push_back(node);
    }
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

}  // namespace

TraitFinder::TraitFinder(const Graph& graph, const tensorflow::FunctionLibraryDefinition& library,
                         bool is_function_graph)
    : is_function_graph_(is_function_graph),
      functions_(&library),
      handles_(graph, &functions_),
      may_be_dead_(AfterControlFlow(graph)) {}

bool TraitFinder::MayBeDead(const Node& node) const {
  return may_be_dead_.count(&node) > 0;
}

NodeTraits TraitFinder::Of(const Node& node) {
  const OpGroup group = LookUpOp(node.type_string());
  // Writes of v1 variables are reference-typed too; that they write says more.
  if (HasRefType(node) && group != OpGroup::kVariableWrite) {
    return Barrier(ReasonCode::kRefType,
                   "uses a reference-typed tensor (a v1 variable, queue or reader)");
  }
  if (functions_.RunsFunctions(node.def())) return OfCall(node);

  switch (group) {
    case OpGroup::kConstant: return Plain(Trait::kConstant);
    case OpGroup::kIteratorNext:
    case OpGroup::kIteratorNextOptional:
    case OpGroup::kResourceRead: return OfSource(node);
    case OpGroup::kIteratorHandle:
    case OpGroup::kQueueHandle:
    case OpGroup::kOrderedQueueHandle:
    case OpGroup::kReaderHandle:
    case OpGroup::kImmutableTableHandle:
    case OpGroup::kMutableTableHandle:
    case OpGroup::kVariableHandle:
    case OpGroup::kOtherHandle: return Plain(Trait::kHandle);
    case OpGroup::kIteratorFromString:
      if (IsConstantLike(node)) return Plain(Trait::kHandle);
      return Barrier(ReasonCode::kSourceInput, "takes an iterator that is named at run time");
    case OpGroup::kArgument:
      if (!node.IsArg())
        return Barrier(ReasonCode::kFunctionArgument, "is a result of the function");
      if (node.output_type(0) == tensorflow::DT_RESOURCE) return Plain(Trait::kHandle);
      return Barrier(ReasonCode::kFunctionArgument, "is a parameter of the function");
    case OpGroup::kVariableRead: return OfVariableRead("reads", handles_.OfInput(node, 0));
    case OpGroup::kTableRead: return OfTableRead(handles_.OfInput(node, 0));
    case OpGroup::kDraw: return Plain(Trait::kDraw);
    case OpGroup::kAssert: return Plain(Trait::kAssert);
    case OpGroup::kPure: return Plain(Trait::kPure);
    case OpGroup::kQueueWrite: return Plain(Trait::kQueueWrite);
    case OpGroup::kUnlisted: return OfUnlisted(node);
    default:
      const EffectReason reason = ReasonOfGroup(group);
      return Barrier(reason.code, reason.text);
  }
}

NodeTraits TraitFinder::OfSource(const Node& node) const {
  const Handles::Resource* resource = handles_.OfInput(node, 0);
  if (resource == nullptr) {
    const Edge* edge = nullptr;
    const std::string from =
        node.input_edge(0, &edge).ok() ? "'" + edge->src()->name() + "'" : std::string("elsewhere");
    return Barrier(ReasonCode::kSourceInput,
                   "reads a resource that comes from " + from + ", which is not known to make one");
  }
  if (resource->group == OpGroup::kOrderedQueueHandle) {
    return Barrier(ReasonCode::kStateful,
                   "takes the smallest element that a priority queue holds at that time");
  }
  if (!resource->saver.empty()) {
    return Barrier(ReasonCode::kSerializedIterator, "reads iterator '" + resource->name +
                                                        "', whose position '" + resource->saver +
                                                        "' saves or restores");
  }
  if (!resource->hidden_maker.empty()) {
    return Barrier(ReasonCode::kStateful, "reads iterator '" + resource->name +
                                              "', which is initialized inside '" +
                                              resource->hidden_maker + "'");
  }
  if (!resource->hidden_reader.empty()) {
    return Barrier(ReasonCode::kSecondRead, "reads '" + resource->name + "', from which '" +
                                                resource->hidden_reader +
                                                "' takes elements too, inside a function");
  }
  // What it reads from besides: the queue of a reader's file names.
  for (int i = 1; i < node.num_inputs(); ++i) {
    const Handles::Resource* other = handles_.OfInput(node, i);
    if (other == nullptr || other->consumers.size() < 2) continue;
    const bool first = other->consumers[0] == node.name();
    return Barrier(ReasonCode::kSecondRead, "reads '" + other->name + "', from which '" +
                                                other->consumers[first ? 1 : 0] +
                                                "' takes elements too");
  }
  if (NodeTraits traits = OfDatasets(*resource); traits.trait == Trait::kBarrier) return traits;
  NodeTraits traits = Plain(Trait::kSource);
  traits.resource = resource->name;
  return traits;
}

// Reading an iterator ahead also reads what its dataset captures ahead.
NodeTraits TraitFinder::OfDatasets(const Handles::Resource& iterator) const {
  for (const Handles::Resource* used : handles_.UsedByDatasets(iterator)) {
    const std::string reads = "reads iterator '" + iterator.name + "', whose dataset uses ";
    switch (used->group) {
      case OpGroup::kVariableHandle:
        if (used->writer.empty()) break;
        return Barrier(ReasonCode::kVariableRead, reads + "variable '" + used->name + "', which '" +
                                                      used->writer + "' writes");
      case OpGroup::kMutableTableHandle:
        return Barrier(ReasonCode::kMutableTable,
                       reads + "table '" + used->name + "', which may change at any time");
      case OpGroup::kIteratorHandle:
      case OpGroup::kIteratorFromString:
      case OpGroup::kQueueHandle:
      case OpGroup::kOrderedQueueHandle:
      case OpGroup::kReaderHandle:
        return Barrier(ReasonCode::kStateful, reads + "'" + used->name + "', another source");
      case OpGroup::kArgument:
        return Barrier(ReasonCode::kStateful,
                       reads + "'" + used->name + "', which is passed in from outside");
      default: break;
    }
  }
  return Plain(Trait::kPure);
}

NodeTraits TraitFinder::OfVariableRead(const std::string& what,
                                       const Handles::Resource* resource) const {
  if (resource == nullptr) return Barrier(ReasonCode::kVariableRead, what + " a variable");
  const std::string variable = what + " variable '" + resource->name + "'";
  if (is_function_graph_) {
    return Barrier(ReasonCode::kVariableRead,
                   variable + ", which the program outside this function may write");
  }
  if (!resource->writer.empty()) {
    return Barrier(ReasonCode::kVariableRead,
                   variable + ", which '" + resource->writer + "' writes");
  }
  return Plain(Trait::kPure);
}

NodeTraits TraitFinder::OfTableRead(const Handles::Resource* resource) const {
  if (resource == nullptr) {
    return Barrier(ReasonCode::kMutableTable, "reads a table that is not known to be immutable");
  }
  if (resource->group == OpGroup::kImmutableTableHandle) return Plain(Trait::kPure);
  if (resource->group == OpGroup::kMutableTableHandle) {
    return Barrier(ReasonCode::kMutableTable,
                   "reads table '" + resource->name + "', which may change at any time");
  }
  return Barrier(ReasonCode::kMutableTable,
                 "reads table '" + resource->name + "', which is not known to be immutable");
}

NodeTraits TraitFinder::OfCall(const Node& node) {
  const FunctionEffects effects = functions_.OfNode(node.def(), node.num_inputs());
  const OpGroup group = LookUpOp(node.type_string());
  if (effects.has_hidden_source) {
    return Barrier(ReasonCode::kControlFlow, "consumes an element only in some of its runs");
  }
  if (effects.has_source) {
    return Barrier(ReasonCode::kControlFlow,
                   "consumes an element inside a function that is not inlined");
  }
  if (!effects.pure()) return Barrier(effects.code, effects.text);
  if (group == OpGroup::kUnlisted && !functions_.IsFunction(node.type_string())) {
    NodeTraits traits = OfUnlisted(node);
    if (traits.trait == Trait::kBarrier) return traits;
  }
  for (const int input : effects.table_reads) {
    NodeTraits traits = OfTableRead(handles_.OfInput(node, input));
    if (traits.trait == Trait::kBarrier) return traits;
  }
  for (const int input : effects.variable_reads) {
    NodeTraits traits = OfVariableRead("runs a function that reads", handles_.OfInput(node, input));
    if (traits.trait == Trait::kBarrier) return traits;
  }
  if (!effects.other_uses.empty()) {
    return Barrier(ReasonCode::kStateful, "passes on a resource");
  }
  return Plain(effects.has_assert && node.num_outputs() == 0 ? Trait::kAssert : Trait::kPure);
}

NodeTraits TraitFinder::OfUnlisted(const Node& node) const {
  if (node.op_def().is_stateful()) {
    return Barrier(ReasonCode::kStateful, "is stateful, and not known to be safe to run ahead");
  }
  if (node.op_def().is_distributed_communication()) {
    return Barrier(ReasonCode::kStateful, "communicates with other workers");
  }
  if (node.type_string() == "Identity" || node.type_string() == "IdentityN") {
    // Handles stay in the main graph, also under another name.
    if (!OnlyResourceOutputs(node)) return Plain(Trait::kPure);
    for (int i = 0; i < node.num_outputs(); ++i) {
      if (Handles::Producer(&node, i) == nullptr) {
        return Barrier(ReasonCode::kStateful, "passes on a resource of unknown origin");
      }
    }
    return Plain(Trait::kHandle);
  }
  if (HasResourceInput(node) || node.attrs().Find("shared_name") != nullptr) {
    return Barrier(ReasonCode::kStateful, "uses a resource in a way that is not known");
  }
  return Plain(Trait::kPure);
}

bool TraitFinder::IsConstantLike(const Node& node) {
  const auto known = constant_like_.find(&node);
  if (known != constant_like_.end()) return known->second;
  constant_like_[&node] = false;  // ends the walk at a loop
  bool constant = true;
  for (const Edge* edge : node.in_edges()) {
    if (edge->IsControlEdge()) continue;
    const Node& source = *edge->src();
    const OpGroup group = LookUpOp(source.type_string());
    constant &=
        group == OpGroup::kConstant ||
        (group == OpGroup::kUnlisted && OfUnlisted(source).trait == Trait::kPure &&
         !functions_.RunsFunctions(source.def()) && !HasRefType(source) && IsConstantLike(source));
  }
  constant_like_[&node] = constant;
  return constant;
}

}  // namespace headrace
