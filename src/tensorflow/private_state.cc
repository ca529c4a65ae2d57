#include "tensorflow/private_state.h"

#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tensorflow/attributes.h"
#include "tensorflow/core/framework/node_def_util.h"
#include "tensorflow/core/framework/types.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/core/graph/node_builder.h"
#include "tensorflow/core/util/device_name_utils.h"
#include "tensorflow/function_builder.h"
#include "tensorflow/graph_view.h"
#include "tensorflow/handles.h"

namespace headrace {
namespace {

using ::tensorflow::DataType;
using ::tensorflow::Edge;
using ::tensorflow::Graph;
using ::tensorflow::Node;
using ::tensorflow::NodeBuilder;

bool OnAccelerator(const std::string& device) {
  tensorflow::DeviceNameUtils::ParsedName parsed;
  return tensorflow::DeviceNameUtils::ParseFullName(device, &parsed) && parsed.has_type &&
         parsed.type != "CPU";
}

// As far as both are known.
bool SameTask(const std::string& a, const std::string& b) {
  tensorflow::DeviceNameUtils::ParsedName one, other;
  return !tensorflow::DeviceNameUtils::ParseFullName(a, &one) || !one.has_job ||
         !tensorflow::DeviceNameUtils::ParseFullName(b, &other) || !other.has_job ||
         tensorflow::DeviceNameUtils::IsSameAddressSpace(one, other);
}

bool OnAccelerator(const Node& node) {
  return OnAccelerator(node.requested_device()) || OnAccelerator(node.assigned_device_name());
}

// TensorFlow's, of a parameter: equal where two of them are one resource. -1: not known.
int ResourceId(const Node& node) {
  int id = -1;
  if (node.IsArg()) tensorflow::TryGetNodeAttr(node.attrs(), "_resource_arg_unique_id", &id);
  return id;
}

bool Reads(const Node& node) {
  return node.type_string() == "ReadVariableOp";
}

// Ops of a variable whose effect on it depends on their inputs alone.
bool Writes(const Node& node) {
  static const auto* const ops = new std::set<std::string>{
      "AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp", "RngReadAndSkip"};
  return ops->count(node.type_string()) > 0;
}

// Of the variable. Those of generators are int64, and their ops have no such attribute.
template <typename Nodes>
DataType TypeOf(const Nodes& users) {
  DataType type = tensorflow::DT_INT64;
  for (const Node* node : users) {
    if (Reads(*node) || Writes(*node)) tensorflow::TryGetNodeAttr(node->attrs(), "dtype", &type);
  }
  return type;
}

class Finder {
 public:
  explicit Finder(const GraphView& view) : view_(view) {}

  std::vector<PrivateState> Run(const std::set<std::string>& leave) {
    std::vector<PrivateState> states;
    for (Node* node : view_.nodes) {  // by name
      const bool handle = node->IsArg() && node->output_type(0) == tensorflow::DT_RESOURCE &&
                          leave.count(node->name()) == 0;
      PrivateState state;
      if (!handle || OnAccelerator(*node) || OnAnotherTask(*node) || HasAlias(*node)) continue;
      if (Find(node, &state)) states.push_back(std::move(state));
    }
    return states;
  }

 private:
  const plan::Node& Described(const Node* node) const {
    return view_.graph.nodes[view_.index.at(node)];
  }

  // Where what the stage reads is elsewhere, as far as that is known: the stage runs there.
  bool OnAnotherTask(const Node& handle) const {
    for (std::size_t i = 0; i < view_.nodes.size(); ++i) {
      const Edge* edge = nullptr;
      if (view_.graph.nodes[i].trait != plan::Trait::kSource) continue;
      if (!view_.nodes[i]->input_edge(0, &edge).ok()) continue;
      const Node* read = Handles::Producer(edge->src(), edge->src_output());
      if (read != nullptr && !SameTask(read->assigned_device_name(), handle.assigned_device_name()))
        return true;
    }
    return false;
  }

  // Whether another parameter is the same variable.
  bool HasAlias(const Node& handle) const {
    const int id = ResourceId(handle);
    return id >= 0 && std::count_if(view_.nodes.begin(), view_.nodes.end(),
                                    [&](const Node* node) { return ResourceId(*node) == id; }) > 1;
  }

  // Nothing that the user has said names it.
  bool Free(const Node* node) const {
    const plan::Node& described = Described(node);
    return !described.target && !described.excluded && !described.keep && described.mark < 0;
  }

  bool Find(Node* handle, PrivateState* state) {
    std::unordered_set<Node*> inside;
    std::vector<Node*> handles = {handle};  // and what passes it on, as calls leave behind
    bool written = false;
    for (std::size_t i = 0; i < handles.size(); ++i) {
      for (const Edge* edge : handles[i]->out_edges()) {
        Node* user = edge->dst();
        if (!user->IsOp()) continue;
        if (edge->IsControlEdge() || edge->dst_input() != 0 || OnAccelerator(*user)) return false;
        if (user->type_string() == "Identity") {
          handles.push_back(user);
          continue;
        }
        if (!Reads(*user) && !Writes(*user)) return false;
        written |= Writes(*user);
        inside.insert(user);
      }
    }
    // Numbers: values are compared by their bytes.
    if (!written || !tensorflow::DataTypeCanUseMemcpy(TypeOf(inside))) return false;
    if (!AddBetween(handles, &inside)) return false;
    if (LeadsBack(inside) || !MeetsElements(inside)) return false;

    state->variable = handle->name();
    state->handle = handle;
    state->nodes.assign(inside.begin(), inside.end());
    state->constants.assign(constants_.begin(), constants_.end());
    for (std::vector<Node*>* nodes : {&state->nodes, &state->constants}) {
      std::sort(nodes->begin(), nodes->end(),
                [](const Node* a, const Node* b) { return a->name() < b->name(); });
    }
    return std::all_of(inside.begin(), inside.end(), [&](Node* node) { return Free(node); });
  }

  // What the writers need: nodes that depend on the variable join, constants are copied. False if a
  // writer needs anything else.
  bool AddBetween(const std::vector<Node*>& handles, std::unordered_set<Node*>* inside) {
    constants_ = {std::next(handles.begin()), handles.end()};
    std::vector<Node*> open;
    std::vector<Node*> order;  // of what is needed, users before what they use
    std::unordered_set<Node*> seen(inside->begin(), inside->end());
    for (Node* node : *inside) {
      if (Writes(*node)) open.push_back(node);
    }
    while (!open.empty()) {
      Node* node = open.back();
      open.pop_back();
      for (const Edge* edge : node->in_edges()) {
        Node* input = edge->src();
        if (edge->IsControlEdge() || seen.count(input) > 0) continue;
        if (std::find(handles.begin(), handles.end(), input) != handles.end()) continue;
        const plan::Trait trait = Described(input).trait;
        if (trait != plan::Trait::kConstant && trait != plan::Trait::kPure) return false;
        seen.insert(input);
        order.push_back(input);
        open.push_back(input);
      }
    }
    // Until nothing joins: what takes a result of something inside.
    for (bool joined = true; joined;) {
      joined = false;
      for (Node* node : order) {
        if (inside->count(node) > 0 || !TakesFrom(*node, *inside)) continue;
        inside->insert(node);
        joined = true;
      }
    }
    for (Node* node : order) {
      if (inside->count(node) == 0) constants_.insert(node);
    }
    return true;
  }

  static bool TakesFrom(const Node& node, const std::unordered_set<Node*>& inside) {
    return std::any_of(node.in_edges().begin(), node.in_edges().end(), [&](const Edge* edge) {
      return !edge->IsControlEdge() && inside.count(edge->src()) > 0;
    });
  }

  // Whether what is made of the state alone is only used with elements. Else the planner would
  // leave it out, as it does with the counter of an optimizer.
  bool MeetsElements(const std::unordered_set<Node*>& inside) {
    if (after_sources_.empty()) FindAfterSources();
    bool meets = false;
    std::unordered_set<const Node*> seen;
    std::vector<const Node*> open(inside.begin(), inside.end());
    while (!open.empty()) {
      const Node* node = open.back();
      open.pop_back();
      for (const Edge* edge : node->out_edges()) {
        Node* to = edge->dst();
        if (edge->IsControlEdge() || inside.count(to) > 0 || !seen.insert(to).second) continue;
        const plan::Trait trait = Described(to).trait;
        if (trait != plan::Trait::kPure && trait != plan::Trait::kAssert) return false;
        if (after_sources_.count(to) > 0) {
          meets = true;
        } else {
          open.push_back(to);
        }
      }
    }
    return meets;
  }

  void FindAfterSources() {
    std::vector<const Node*> open;
    for (std::size_t i = 0; i < view_.nodes.size(); ++i) {
      if (view_.graph.nodes[i].trait == plan::Trait::kSource) open.push_back(view_.nodes[i]);
    }
    after_sources_.insert(open.begin(), open.end());
    while (!open.empty()) {
      const Node* node = open.back();
      open.pop_back();
      for (const Edge* edge : node->out_edges()) {
        if (!edge->IsControlEdge() && after_sources_.insert(edge->dst()).second) {
          open.push_back(edge->dst());
        }
      }
    }
  }

  // Whether something inside waits for something outside that waits for something inside.
  bool LeadsBack(const std::unordered_set<Node*>& inside) const {
    std::unordered_set<const Node*> seen;
    std::vector<const Node*> open(inside.begin(), inside.end());
    while (!open.empty()) {
      const Node* node = open.back();
      open.pop_back();
      const bool outside = inside.count(const_cast<Node*>(node)) == 0;
      for (const Edge* edge : node->out_edges()) {
        Node* to = edge->dst();
        if (!to->IsOp()) continue;
        if (inside.count(to) > 0) {
          if (outside) return true;
        } else if (seen.insert(to).second) {
          open.push_back(to);
        }
      }
    }
    return false;
  }

  const GraphView& view_;
  std::unordered_set<Node*> constants_;  // of the state being looked at: what is copied
  std::unordered_set<const Node*> after_sources_;
};

// What a state's node is made of.
struct Replacement {
  std::vector<plan::Endpoint> results;        // that others take
  std::vector<std::pair<Node*, int>> takers;  // of each: who takes it, at which input
  std::vector<int> taken;                     // of each taker: position in results
  std::vector<std::string> names, waiting;
  std::set<Node*> waits_for;
};

Replacement Describe(const PrivateState& state, const GraphView& view) {
  Replacement made;
  const std::unordered_set<const Node*> inside(state.nodes.begin(), state.nodes.end());
  std::set<std::string> waiting;
  for (const Node* node : state.nodes) {
    made.names.push_back(node->name());
    std::map<int, int> position;  // by output
    for (const Edge* edge : node->out_edges()) {
      Node* to = edge->dst();
      if (!to->IsOp() || inside.count(to) > 0) continue;
      if (edge->IsControlEdge()) {
        waiting.insert(to->name());
        continue;
      }
      const auto [it, fresh] =
          position.emplace(edge->src_output(), static_cast<int>(made.results.size()));
      if (fresh) made.results.push_back({view.index.at(node), edge->src_output()});
      made.takers.emplace_back(to, edge->dst_input());
      made.taken.push_back(it->second);
    }
    for (const Edge* edge : node->in_edges()) {
      Node* from = edge->src();
      if (edge->IsControlEdge() && from->IsOp() && inside.count(from) == 0) {
        made.waits_for.insert(from);
      }
    }
  }
  made.waiting.assign(waiting.begin(), waiting.end());
  return made;
}

absl::StatusOr<tensorflow::FunctionDef> MakeFunction(const PrivateState& state,
                                                     const Replacement& made, const GraphView& view,
                                                     const tensorflow::OpRegistryInterface* ops) {
  std::set<int> allowed;
  for (const Node* node : state.nodes) allowed.insert(view.index.at(node));
  for (const Node* node : state.constants) allowed.insert(view.index.at(node));
  FunctionBuilder builder(view, allowed, /*keep_accelerators=*/false, ops);
  TF_RETURN_IF_ERROR(builder.AddArg({view.index.at(state.handle), 0}));
  for (const Node* node : state.nodes) TF_RETURN_IF_ERROR(builder.Copy(view.index.at(node)));
  for (const plan::Endpoint& result : made.results) TF_RETURN_IF_ERROR(builder.AddResult(result));
  // Writes whose values no result needs would be optimized away.
  std::vector<int> nodes;
  for (const Node* node : state.nodes) nodes.push_back(view.index.at(node));
  TF_RETURN_IF_ERROR(builder.AddToken(nodes));
  return builder.Build("headrace_private_state");
}

absl::Status Replace(const PrivateState& state, const GraphView& view, Graph* graph) {
  const Replacement made = Describe(state, view);
  TF_ASSIGN_OR_RETURN(const tensorflow::FunctionDef function,
                      MakeFunction(state, made, view, graph->op_registry()));
  tensorflow::DataTypeVector types;
  std::vector<tensorflow::PartialTensorShape> shapes;
  for (const plan::Endpoint& result : made.results) {
    const Node* node = view.nodes[result.node];
    types.push_back(node->output_type(result.output));
    const auto known = view.shapes.find(node);
    shapes.push_back(known == view.shapes.end() ? tensorflow::PartialTensorShape()
                                                : known->second[result.output]);
  }
  const DataType type = TypeOf(state.nodes);
  types.insert(types.end(), 2, type);
  shapes.insert(shapes.end(), 2, tensorflow::PartialTensorShape());
  // Under the name of its first write, which is what the user sees.
  const auto write = std::find_if(state.nodes.begin(), state.nodes.end(),
                                  [](const Node* node) { return Writes(*node); });
  const std::string name = (*write)->name();
  const auto stack_trace = (*write)->GetStackTrace();
  for (Node* node : state.nodes) graph->RemoveNode(node);
  NodeBuilder builder(name, kPrivateStateOp);
  builder.Input(state.handle, 0)
      .Attr("Tout", types)
      .Attr("output_shapes", shapes)
      .Attr("variable_name", state.variable)
      .Attr("function", function.SerializeAsString())
      .Attr("names", made.names)
      .Attr("waiting", made.waiting);
  for (Node* node : made.waits_for) builder.ControlInput(node);
  Node* replaced = nullptr;
  TF_RETURN_IF_ERROR(builder.Finalize(graph, &replaced));
  replaced->SetStackTrace(stack_trace);
  for (std::size_t i = 0; i < made.takers.size(); ++i) {
    graph->AddEdge(replaced, made.taken[i], made.takers[i].first, made.takers[i].second);
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<PrivateState> FindPrivateState(const GraphView& view,
                                           const std::set<std::string>& leave) {
  return Finder(view).Run(leave);
}

absl::Status ReplacePrivateState(const std::vector<PrivateState>& states, const GraphView& view,
                                 Graph* graph) {
  for (const PrivateState& state : states) TF_RETURN_IF_ERROR(Replace(state, view, graph));
  return absl::OkStatus();
}

std::string VariableOf(const Node& node) {
  std::string variable;
  tensorflow::TryGetNodeAttr(node.attrs(), "variable_name", &variable);
  return variable;
}

std::vector<std::string> NamesIn(const Node& node) {
  std::vector<std::string> names;
  tensorflow::TryGetNodeAttr(node.attrs(), "names", &names);
  return names;
}

std::vector<std::string> WaitingFor(const Node& node) {
  std::vector<std::string> names;
  tensorflow::TryGetNodeAttr(node.attrs(), "waiting", &names);
  return names;
}

}  // namespace headrace
