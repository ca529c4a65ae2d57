#include "tensorflow/graph_plan.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tensorflow/attributes.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/inline_calls.h"
#include "tensorflow/private_state.h"
#include "tensorflow/runtime/convert.h"
#include "tensorflow/traits.h"

namespace headrace {
namespace {

using ::tensorflow::FunctionLibraryDefinition;
using ::tensorflow::Graph;
using ::tensorflow::Node;

// The initializers of every iterator that is staged. A handle made from a string may name any
// iterator of the graph.
std::vector<Node*> FindResets(const GraphPlan& planned, const Handles& handles) {
  std::set<std::string> staged;
  bool any = false;
  for (const plan::Stage& stage : planned.plan.stages) {
    for (const int source : stage.sources) {
      const Handles::Resource* resource = handles.OfInput(*planned.view.nodes[source], 0);
      if (resource == nullptr) continue;
      staged.insert(resource->name);
      any |= resource->group == OpGroup::kIteratorFromString;
    }
  }
  std::vector<Node*> resets;
  if (staged.empty()) return resets;
  for (Node* node : planned.view.nodes) {
    if (LookUpOp(node->type_string()) != OpGroup::kMakeIterator) continue;
    const Handles::Resource* resource = handles.OfInput(*node, 1);
    const bool unknown = resource == nullptr || resource->group == OpGroup::kIteratorFromString;
    if (any || unknown || staged.count(resource->name) > 0) resets.push_back(node);
  }
  return resets;
}

plan::PlanOptions OptionsFor(const StagingRequest& request, bool is_function_graph) {
  plan::PlanOptions options;
  options.fetches_unknown = !is_function_graph;
  options.grow = request.session.smart;
  options.cut = request.largest_cut ? plan::Cut::kLargest : plan::Cut::kAuto;
  return options;
}

// A copy of the graph, calls inlined, and what its marks ask for.
absl::StatusOr<GraphPlan> Prepare(const Graph& graph, const FunctionLibraryDefinition& library,
                                  const StagingRequest& request, bool is_function_graph) {
  GraphPlan planned;
  planned.request = request;
  planned.graph = std::make_unique<Graph>(graph.flib_def());
  planned.graph->Copy(graph);
  // Marks are also what names ops to be left alone, so they are read before calls are inlined, and
  // again for those that come to light.
  StagingRequest before = request;
  if (absl::Status s = ToAbsl(ReadMarks(*planned.graph, &before)); !s.ok()) return s;
  if (absl::Status s = InlineCalls(library, before.exclude, is_function_graph, planned.graph.get());
      !s.ok()) {
    return absl::InternalError(absl::StrCat("inlining failed: ", s.message()));
  }
  if (absl::Status s = ToAbsl(ReadMarks(*planned.graph, &planned.request)); !s.ok()) return s;
  planned.options = OptionsFor(planned.request, is_function_graph);
  return planned;
}

// `not_private`: variables whose state is not to be made ahead. Adds those that the plan left out.
absl::Status Plan(const FunctionLibraryDefinition& library, bool is_function_graph,
                  std::set<std::string>* not_private, GraphPlan* planned) {
  std::optional<TraitFinder> traits;
  const auto look = [&] {
    traits.emplace(*planned->graph, library, is_function_graph);
    planned->view = MakeGraphView(*planned->graph, library, planned->request, &*traits);
  };
  look();
  // In a session's graph no rule says that a step which reads a variable also writes it.
  if (is_function_graph) {
    const std::vector<PrivateState> states = FindPrivateState(planned->view, *not_private);
    if (!states.empty()) {
      TF_RETURN_IF_ERROR(ReplacePrivateState(states, planned->view, planned->graph.get()));
      look();
    }
  }
  planned->plan = plan::MakePlan(planned->view.graph, planned->options);
  const std::vector<std::string> broken =
      plan::CheckPlan(planned->view.graph, planned->options, planned->plan);
  if (!broken.empty()) {
    return absl::InternalError(
        absl::StrCat("the plan is not sound: ", absl::StrJoin(broken, "; ")));
  }
  std::set<int> drawn;
  for (const plan::Stage& stage : planned->plan.stages) {
    drawn.insert(stage.draws.begin(), stage.draws.end());
  }
  for (std::size_t i = 0; i < planned->view.nodes.size(); ++i) {
    const Node& node = *planned->view.nodes[i];
    if (node.type_string() != kPrivateStateOp || drawn.count(static_cast<int>(i)) > 0) continue;
    not_private->insert(VariableOf(node));
  }
  planned->resets = FindResets(*planned, traits->handles());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<GraphPlan> PlanGraph(const Graph& graph, const FunctionLibraryDefinition& library,
                                    const StagingRequest& request, bool is_function_graph) {
  std::set<std::string> not_private;
  while (true) {
    TF_ASSIGN_OR_RETURN(GraphPlan planned, Prepare(graph, library, request, is_function_graph));
    const std::size_t before = not_private.size();
    TF_RETURN_IF_ERROR(Plan(library, is_function_graph, &not_private, &planned));
    if (not_private.size() == before) return planned;
  }
}

}  // namespace headrace
