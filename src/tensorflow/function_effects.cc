#include "tensorflow/function_effects.h"

#include <optional>
#include <unordered_map>
#include <utility>

#include "tensorflow/core/framework/attr_value.pb.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/framework/node_def.pb.h"
#include "tensorflow/core/framework/op_def.pb.h"
#include "tensorflow/core/framework/types.pb.h"
#include "tensorflow/node_reason.h"
#include "tensorflow/op_traits.h"

namespace headrace {
namespace {

using plan::ReasonCode;
using ::tensorflow::AttrValue;
using ::tensorflow::FunctionDef;
using ::tensorflow::FunctionLibraryDefinition;
using ::tensorflow::NodeDef;

int FirstParameter(std::string_view op) {
  if (op == "If" || op == "StatelessIf" || op == "_If" || op == "Case" || op == "StatelessCase") {
    return 1;
  }
  if (op == "For")
    return 3;  // start, limit, delta; the function's own first parameter is the index
  return 0;
}

// Follows resource parameters through a function body: "handle" or "identity:output:0" to the
// parameter's position.
class ParameterNames {
 public:
  explicit ParameterNames(const FunctionDef& function) {
    for (int i = 0; i < function.signature().input_arg_size(); ++i) {
      const auto& arg = function.signature().input_arg(i);
      if (arg.type() == tensorflow::DT_RESOURCE) positions_.emplace(arg.name(), i);
    }
    // Bodies are not sorted: repeat until no Identity adds a name.
    for (std::size_t known = 0; known != positions_.size();) {
      known = positions_.size();
      for (const NodeDef& node : function.node_def()) {
        if (node.op() != "Identity" || node.input_size() == 0) continue;
        if (const std::optional<int> i = Find(node.input(0))) {
          positions_.emplace(node.name() + ":output:0", *i);
        }
      }
    }
  }

  std::optional<int> Find(const std::string& input) const {
    const auto found = positions_.find(input);
    if (found == positions_.end()) return std::nullopt;
    return found->second;
  }

 private:
  std::unordered_map<std::string, int> positions_;
};

void SetImpure(ReasonCode code, const std::string& what, const NodeDef& node,
               const std::string& function, FunctionEffects* effects) {
  if (!effects->pure()) return;
  effects->code = code;
  effects->text = "runs '" + node.name() + "' (" + node.op() + ") in function '" + function +
                  "', which " + what;
}

// What is used through each input, given what the called function does with its parameters.
void MapPositions(const FunctionEffects& callee, const std::vector<std::optional<int>>& inputs,
                  int first_input, FunctionEffects* effects) {
  const auto map = [&](const std::set<int>& from, std::set<int>* to) {
    for (const int position : from) {
      const std::size_t input = static_cast<std::size_t>(position + first_input);
      if (input < inputs.size() && inputs[input]) to->insert(*inputs[input]);
    }
  };
  map(callee.elements_read, &effects->elements_read);
  map(callee.table_reads, &effects->table_reads);
  map(callee.variable_reads, &effects->variable_reads);
  map(callee.other_uses, &effects->other_uses);
  map(callee.iterators_made, &effects->iterators_made);
  map(callee.iterators_saved, &effects->iterators_saved);
}

// Adds what a node that runs functions does. `inputs`: for each data input, the parameter it is.
void AddCallee(const FunctionEffects& callee, bool conditional,
               const std::vector<std::optional<int>>& inputs, int first_input,
               FunctionEffects* effects) {
  MapPositions(callee, inputs, first_input, effects);
  effects->has_assert |= callee.has_assert;
  effects->has_hidden_source |= callee.has_hidden_source;
  if (conditional) {
    effects->has_hidden_source |= callee.has_source;
  } else {
    effects->has_source |= callee.has_source;
  }
  if (effects->pure() && !callee.pure()) {
    effects->code = callee.code;
    effects->text = callee.text;
  }
}

bool IsStateful(const NodeDef& node, const FunctionLibraryDefinition& library) {
  const tensorflow::OpRegistrationData* data = nullptr;
  if (!library.LookUp(node.op(), &data).ok()) return true;
  return data->op_def.is_stateful();
}

}  // namespace

std::vector<CalledFunction> CalledFunctions(const NodeDef& node,
                                            const FunctionLibraryDefinition& library) {
  std::vector<CalledFunction> called;
  switch (LookUpOp(node.op())) {
    case OpGroup::kUnlisted:
    case OpGroup::kCall:
    case OpGroup::kConditional:
    case OpGroup::kLoop: break;
    default: return called;
  }
  if (library.Contains(node.op())) called.push_back({node.op(), 0});
  const int first = FirstParameter(node.op());
  // Attribute order in the map varies from run to run: sort.
  std::map<std::string, const AttrValue*> attrs;
  for (const auto& [name, value] : node.attr()) attrs.emplace(name, &value);
  for (const auto& [name, value] : attrs) {
    if (value->has_func()) called.push_back({value->func().name(), first});
    for (const auto& func : value->list().func()) called.push_back({func.name(), first});
  }
  return called;
}

FunctionAnalyzer::FunctionAnalyzer(const FunctionLibraryDefinition* library) : library_(library) {}

const FunctionEffects& FunctionAnalyzer::Of(const std::string& name) {
  const auto known = known_.find(name);
  if (known != known_.end()) return known->second;
  FunctionEffects effects;
  const tensorflow::core::RefCountPtr<tensorflow::FunctionRecord> record =
      library_->FindRecord(name);
  if (record == nullptr) {
    effects.code = ReasonCode::kStateful;
    effects.text = "calls '" + name + "', which is not in the function library";
  } else if (!open_.insert(name).second) {
    // Not remembered under its name: the analysis that is under way decides.
    recursive_.code = ReasonCode::kStateful;
    recursive_.text = "calls '" + name + "', which calls itself";
    return recursive_;
  } else {
    effects = Analyze(record->fdef());
    open_.erase(name);
  }
  return known_.emplace(name, std::move(effects)).first->second;
}

bool FunctionAnalyzer::RunsFunctions(const NodeDef& node) const {
  return !CalledFunctions(node, *library_).empty();
}

bool FunctionAnalyzer::OnlyReads(const NodeDef& dataset) {
  bool only_reads = true;
  for (const auto& [name, value] : dataset.attr()) {
    if (value.has_func()) only_reads &= Of(value.func().name()).other_uses.empty();
    for (const auto& func : value.list().func()) only_reads &= Of(func.name()).other_uses.empty();
  }
  return only_reads;
}

bool FunctionAnalyzer::IsFunction(const std::string& op) const {
  return library_->Contains(op);
}

FunctionEffects FunctionAnalyzer::OfNode(const NodeDef& node, int num_inputs) {
  FunctionEffects effects;
  std::vector<std::optional<int>> positions;
  for (int i = 0; i < num_inputs; ++i) positions.emplace_back(i);
  const OpGroup group = LookUpOp(node.op());
  const bool conditional = group != OpGroup::kCall && !IsFunction(node.op());
  for (const CalledFunction& callee : CalledFunctions(node, *library_)) {
    AddCallee(Of(callee.name), conditional, positions, callee.first_input, &effects);
  }
  return effects;
}

FunctionEffects FunctionAnalyzer::Analyze(const FunctionDef& function) {
  FunctionEffects effects;
  const std::string& name = function.signature().name();
  const ParameterNames parameters(function);

  for (const NodeDef& node : function.node_def()) {
    std::vector<std::optional<int>> inputs;
    for (const std::string& input : node.input()) {
      if (input[0] != '^') inputs.push_back(parameters.Find(input));
    }
    const std::vector<CalledFunction> called = CalledFunctions(node, *library_);
    const OpGroup group = LookUpOp(node.op());
    if (!called.empty()) {
      const bool conditional = group != OpGroup::kCall && !IsFunction(node.op());
      for (const CalledFunction& callee : called) {
        AddCallee(Of(callee.name), conditional, inputs, callee.first_input, &effects);
      }
      const bool known_op = group == OpGroup::kCall || group == OpGroup::kConditional ||
                            group == OpGroup::kLoop || IsFunction(node.op());
      if (!known_op && IsStateful(node, *library_)) {
        SetImpure(ReasonCode::kStateful, "is stateful", node, name, &effects);
      }
      continue;
    }

    std::set<int>* uses = &effects.other_uses;
    switch (group) {
      case OpGroup::kIteratorNext:
      case OpGroup::kIteratorNextOptional:
      case OpGroup::kResourceRead:
        effects.has_source = true;
        uses = &effects.elements_read;
        SetImpure(ReasonCode::kControlFlow, "consumes an element", node, name, &effects);
        break;
      case OpGroup::kVariableRead:
        uses = &effects.variable_reads;
        if (inputs.empty() || !inputs[0]) {
          SetImpure(ReasonCode::kVariableRead, "reads a variable", node, name, &effects);
        }
        break;
      case OpGroup::kTableRead:
        uses = &effects.table_reads;
        if (inputs.empty() || !inputs[0]) {
          SetImpure(ReasonCode::kMutableTable, "reads a table that is not known to be immutable",
                    node, name, &effects);
        }
        break;
      case OpGroup::kMakeIterator:
        for (const auto& input : inputs) {
          if (input) effects.iterators_made.insert(*input);
        }
        SetImpure(ReasonCode::kStateful, "initializes an iterator", node, name, &effects);
        break;
      case OpGroup::kSaveIterator:
        for (const auto& input : inputs) {
          if (input) effects.iterators_saved.insert(*input);
        }
        SetImpure(ReasonCode::kStateful, "saves or restores an iterator", node, name, &effects);
        break;
      case OpGroup::kAssert: effects.has_assert = true; break;
      case OpGroup::kControlFlow:  // complete inside the function
      case OpGroup::kConstant:
      case OpGroup::kPure: break;
      default:
        if (const EffectReason reason = ReasonOfGroup(group); reason.code != ReasonCode::kNone) {
          SetImpure(reason.code, reason.text, node, name, &effects);
        } else if (IsStateful(node, *library_)) {
          SetImpure(ReasonCode::kStateful, "is stateful and not known to be safe to run ahead",
                    node, name, &effects);
        }
    }
    if (node.op() == "Identity") continue;  // followed by ParameterNames
    for (const auto& input : inputs) {
      if (!input) continue;
      uses->insert(*input);
      if (group == OpGroup::kUnlisted) {
        SetImpure(ReasonCode::kStateful, "uses a resource in a way that is not known", node, name,
                  &effects);
      }
    }
  }
  // A resource that is handed back may be changed under another name.
  for (const auto& [output, tensor] : function.ret()) {
    if (const std::optional<int> i = parameters.Find(tensor)) effects.other_uses.insert(*i);
  }
  return effects;
}

}  // namespace headrace
