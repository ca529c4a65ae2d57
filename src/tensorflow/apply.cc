#include "tensorflow/apply.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "tensorflow/attributes.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/node_def_util.h"
#include "tensorflow/core/graph/algorithm.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/core/graph/node_builder.h"
#include "tensorflow/core/util/device_name_utils.h"
#include "tensorflow/options.h"
#include "tensorflow/outline.h"
#include "tensorflow/private_state.h"

namespace headrace {
namespace {

using plan::Stage;
using ::tensorflow::DataTypeVector;
using ::tensorflow::DeviceNameUtils;
using ::tensorflow::Edge;
using ::tensorflow::FunctionDef;
using ::tensorflow::FunctionLibraryDefinition;
using ::tensorflow::NameAttrList;
using ::tensorflow::Node;
using ::tensorflow::NodeBuilder;
using ::tensorflow::PartialTensorShape;

// The stage runs on the host of its nodes' task.
std::string CallDevice(const std::string& stage_device) {
  DeviceNameUtils::ParsedName parsed;
  if (!DeviceNameUtils::ParseFullName(stage_device, &parsed)) parsed.Clear();
  parsed.has_type = true;
  parsed.type = "CPU";
  parsed.has_id = true;
  parsed.id = 0;
  return DeviceNameUtils::ParsedNameToString(parsed);
}

NameAttrList Function(const std::string& name) {
  NameAttrList function;
  function.set_name(name);
  return function;
}

class Rewriter {
 public:
  Rewriter(const FunctionLibraryDefinition& library, const std::set<std::string>& targets,
           GraphPlan* planned)
      : library_(library), targets_(targets), planned_(*planned), graph_(planned->graph.get()) {
    for (std::size_t s = 0; s < planned_.plan.stages.size(); ++s) {
      for (const int node : planned_.plan.stages[s].removed) {
        stage_of_[NodeAt(node)] = static_cast<int>(s);
        applied_.removed.insert(NodeAt(node)->name());
      }
    }
  }

  absl::StatusOr<AppliedPlan> Run() {
    const std::vector<Stage>& stages = planned_.plan.stages;
    FindWaiting();
    for (std::size_t s = 0; s < stages.size(); ++s) {
      TF_RETURN_IF_ERROR(AddCall(static_cast<int>(s)));
      TF_RETURN_IF_ERROR(KeepNames(stages[s]));
    }
    for (std::size_t s = 0; s < stages.size(); ++s) {
      std::unordered_set<int> inside(stages[s].body.begin(), stages[s].body.end());
      inside.insert(stages[s].constants.begin(), stages[s].constants.end());
      for (const int node : stages[s].removed) {
        TF_RETURN_IF_ERROR(MoveEdges(static_cast<int>(s), inside, NodeAt(node)));
      }
    }
    LetWaitForState();
    for (Node* maker : planned_.resets) TF_RETURN_IF_ERROR(AddReset(maker));
    TF_RETURN_IF_ERROR(KeepTargets());
    if (planned_.options.fetches_unknown) TF_RETURN_IF_ERROR(AddStarts());
    DropColocation();
    for (const auto& [node, stage] : stage_of_) graph_->RemoveNode(const_cast<Node*>(node));
    tensorflow::FixupSourceAndSinkEdges(graph_);
    return std::move(applied_);
  }

 private:
  // A tensor of the rewritten graph.
  struct Tensor {
    Node* node = nullptr;
    int output = 0;
  };

  Node* NodeAt(int index) const { return planned_.view.nodes[index]; }

  // Nodes of the main graph that wait for nodes of the body by control edges alone, and function
  // targets whose nodes leave: each waits for a token, which the call returns for the set of nodes
  // that it waits for. Elements and draws need none: without them the call itself fails.
  void FindWaiting() {
    for (std::size_t s = 0; s < planned_.plan.stages.size(); ++s) {
      const Stage& stage = planned_.plan.stages[s];
      const std::set<int> body(stage.body.begin(), stage.body.end());
      std::map<std::string, std::vector<int>> waiting;  // by name, so that tokens have an order
      for (const int node : stage.removed) {
        if (body.count(node) == 0) continue;
        std::set<std::string> waits;
        if (targets_.count(NodeAt(node)->name()) > 0) waits.insert(NodeAt(node)->name());
        for (const Edge* edge : NodeAt(node)->out_edges()) {
          if (!edge->IsControlEdge() || !edge->dst()->IsOp()) continue;
          if (stage_of_.count(edge->dst()) == 0) waits.insert(edge->dst()->name());
        }
        for (const std::string& name : waits) waiting[name].push_back(node);
      }
      std::vector<std::vector<int>>& sets = waited_for_.emplace_back();
      for (const auto& [name, nodes] : waiting) {
        const auto found = std::find(sets.begin(), sets.end(), nodes);
        token_of_[{name, static_cast<int>(s)}] = static_cast<int>(found - sets.begin());
        if (found == sets.end()) sets.push_back(nodes);
      }
    }
  }

  // Functions of one stage under names that are free, or taken by the very same functions.
  absl::StatusOr<StageOutline> Outline(int s) const {
    const Stage& stage = planned_.plan.stages[s];
    const std::string base = absl::StrCat("__headrace_", planned_.plan.hash, "_", s, "_");
    // Equal plans may hold other constants: two traces of one Python function, for example.
    for (int attempt = 0;; ++attempt) {
      const std::string prefix = attempt == 0 ? base : absl::StrCat(base, "v", attempt, "_");
      TF_ASSIGN_OR_RETURN(StageOutline outline,
                          OutlineStage(*graph_, planned_.view, stage, waited_for_[s], prefix,
                                       !planned_.request.session.stage_subgraph_on_cpu));
      bool free = true;
      for (const FunctionDef& function : outline.functions) {
        const auto taken = library_.FindRecord(function.signature().name());
        free &= taken == nullptr || tensorflow::FunctionDefsEqual(taken->fdef(), function);
      }
      if (free) return outline;
    }
  }

  absl::Status AddCall(int s) {
    const Stage& stage = planned_.plan.stages[s];
    TF_ASSIGN_OR_RETURN(StageOutline outline, Outline(s));

    std::vector<NodeBuilder::NodeOut> args;
    for (const plan::Endpoint& arg : stage.args) args.emplace_back(NodeAt(arg.node), arg.output);
    DataTypeVector types;
    std::vector<PartialTensorShape> shapes;
    for (const plan::Crossing& crossing : stage.outputs) {
      const Node* from = NodeAt(crossing.from.node);
      types.push_back(from->output_type(crossing.from.output));
      const auto known = planned_.view.shapes.find(from);
      shapes.push_back(known == planned_.view.shapes.end() ? PartialTensorShape()
                                                           : known->second[crossing.from.output]);
    }
    types.insert(types.end(), waited_for_[s].size(), tensorflow::DT_INT32);
    shapes.insert(shapes.end(), waited_for_[s].size(), PartialTensorShape({}));
    std::vector<NameAttrList> functions;
    std::vector<std::string> kinds, names;
    std::vector<int> num_args, source_args, num_outputs;
    for (const StageOutline::Source& source : outline.sources) {
      functions.push_back(Function(source.function));
      kinds.push_back(source.kind);
      names.push_back(source.node);
      num_args.push_back(static_cast<int>(source.args.size()));
      source_args.insert(source_args.end(), source.args.begin(), source.args.end());
      num_outputs.push_back(source.num_outputs);
    }
    const auto& carrier = OptionsOfStage(planned_.request, stage.mark);
    StageOptions options;
    if (const Status status = ParseStageOptions(carrier, &options); !status.ok()) {
      return absl::InternalError(status.message());
    }
    const std::string stage_name =
        options.name.empty() ? stage.name : absl::StrCat(options.name, "/", stage.name);
    const std::string name = absl::StrCat("headrace/", stage_name, "/", planned_.plan.hash);
    for (const Node* node : planned_.view.nodes) {
      if (node->name() == name) {
        return absl::InternalError(absl::StrCat("the graph has a node named '", name, "' already"));
      }
    }

    Node* call = nullptr;
    TF_RETURN_IF_ERROR(NodeBuilder(name, kStagedCallOp)
                           .Input(args)
                           .Attr("sources", functions)
                           .Attr("source_kinds", kinds)
                           .Attr("source_names", names)
                           .Attr("source_num_args", num_args)
                           .Attr("source_args", source_args)
                           .Attr("source_num_outputs", num_outputs)
                           .Attr("body", Function(outline.body))
                           .Attr("body_args", outline.body_args)
                           .Attr("outputs", outline.outputs)
                           .Attr("stage", stage_name)
                           .Attr("options", SerializeOptions(carrier))
                           .Device(CallDevice(stage.device))
                           .Finalize(graph_, &call));
    call->SetStackTrace(NodeAt(stage.sources.front())->GetStackTrace());
    Node* outputs = nullptr;
    TF_RETURN_IF_ERROR(NodeBuilder(absl::StrCat(name, "/outputs"), kStagedOutputsOp)
                           .Input(call, 0)
                           .Attr("Tout", types)
                           .Attr("output_shapes", shapes)
                           .Attr("source_num_outputs", num_outputs)
                           .Attr("outputs", outline.outputs)
                           .Device(call->requested_device())
                           .Finalize(graph_, &outputs));
    outputs->SetStackTrace(call->GetStackTrace());
    for (std::size_t i = 0; i < stage.outputs.size(); ++i) {
      const plan::Endpoint& from = stage.outputs[i].from;
      tensors_[{NodeAt(from.node), from.output}] = {outputs, static_cast<int>(i)};
    }
    calls_.push_back(call);
    TF_RETURN_IF_ERROR(AddTokens(s, outputs));
    applied_.calls.push_back(name);
    for (FunctionDef& function : outline.functions) {
      applied_.functions.push_back(std::move(function));
    }
    return absl::OkStatus();
  }

  absl::Status AddTokens(int s, Node* outputs) {
    const int first = static_cast<int>(planned_.plan.stages[s].outputs.size());
    tokens_.emplace_back();
    for (std::size_t i = 0; i < waited_for_[s].size(); ++i) {
      TF_RETURN_IF_ERROR(NodeBuilder(absl::StrCat(calls_[s]->name(), "/ran_", i), kStagedOpsRanOp)
                             .Input(outputs, first + static_cast<int>(i))
                             .Device(calls_[s]->requested_device())
                             .Finalize(graph_, &tokens_[s].emplace_back()));
    }
    return absl::OkStatus();
  }

  // What `name` waits for when it waits for nodes of stage `s`.
  Node* WaitFor(const std::string& name, int s) const {
    const auto token = token_of_.find({name, s});
    return token == token_of_.end() ? calls_[s] : tokens_[s][token->second];
  }

  // Names that stay exact get an Identity; all consumers read through it, so that feeding it
  // reaches them.
  absl::Status KeepNames(const Stage& stage) {
    for (std::size_t i = 0; i < stage.outputs.size();) {
      const int index = stage.outputs[i].from.node;
      bool keeps = true;
      std::vector<NodeBuilder::NodeOut> outputs;
      for (; i < stage.outputs.size() && stage.outputs[i].from.node == index; ++i) {
        const plan::Endpoint& from = stage.outputs[i].from;
        keeps &= stage.outputs[i].keeps_name && from.output == static_cast<int>(outputs.size());
        const Tensor& tensor = tensors_.at({NodeAt(index), from.output});
        outputs.emplace_back(tensor.node, tensor.output);
      }
      Node* original = NodeAt(index);
      if (!keeps || static_cast<int>(outputs.size()) != original->num_outputs()) continue;
      // Where the user asked for it, else where the tensor is.
      const std::string device = original->requested_device().empty()
                                     ? calls_.back()->requested_device()
                                     : original->requested_device();
      NodeBuilder builder(original->name(), outputs.size() == 1 ? "Identity" : "IdentityN");
      if (outputs.size() == 1) {
        builder.Input(outputs[0]);
      } else {
        builder.Input(outputs);
      }
      Node* identity = nullptr;
      TF_RETURN_IF_ERROR(builder.Device(device).Finalize(graph_, &identity));
      identity->SetStackTrace(original->GetStackTrace());
      named_.insert(original->name());
      for (std::size_t k = 0; k < outputs.size(); ++k) {
        tensors_[{original, static_cast<int>(k)}] = {identity, static_cast<int>(k)};
      }
    }
    return absl::OkStatus();
  }

  // `inside`: body and constants of stage `s`.
  absl::Status MoveEdges(int s, const std::unordered_set<int>& inside, Node* node) {
    for (const Edge* edge : node->in_edges()) {
      Node* from = edge->src();
      if (!edge->IsControlEdge() || !from->IsOp() || stage_of_.count(from) > 0) continue;
      const auto index = planned_.view.index.find(from);
      const bool in_stage = index != planned_.view.index.end() && inside.count(index->second) > 0;
      const bool constant = LookUpOp(from->type_string()) == OpGroup::kConstant;
      if (!in_stage && !constant) graph_->AddControlEdge(from, calls_[s]);
    }
    const std::vector<const Edge*> out_edges(node->out_edges().begin(), node->out_edges().end());
    for (const Edge* edge : out_edges) {
      Node* to = edge->dst();
      if (!to->IsOp()) continue;
      if (const auto staged = stage_of_.find(to); staged != stage_of_.end()) {
        if (staged->second == s) continue;
        return absl::InternalError(
            absl::StrCat("'", to->name(), "' of one stage uses '", node->name(), "' of another"));
      }
      if (edge->IsControlEdge()) {
        graph_->AddControlEdge(WaitFor(to->name(), s), to);
        continue;
      }
      const auto tensor = tensors_.find({node, edge->src_output()});
      if (tensor == tensors_.end()) {
        return absl::InternalError(absl::StrCat("'", to->name(), "' needs output ",
                                                edge->src_output(), " of '", node->name(),
                                                "', which does not cross"));
      }
      const int input = edge->dst_input();
      graph_->RemoveEdge(edge);
      graph_->AddEdge(tensor->second.node, tensor->second.output, to, input);
    }
    return absl::OkStatus();
  }

  // What waited for a node of private state waits for the call, which writes that state.
  void LetWaitForState() {
    std::map<std::string, Node*> staying;
    for (std::size_t s = 0; s < planned_.plan.stages.size(); ++s) {
      for (const int draw : planned_.plan.stages[s].draws) {
        for (const std::string& name : WaitingFor(*NodeAt(draw))) {
          if (staying.empty()) {
            for (Node* node : planned_.view.nodes) {
              if (stage_of_.count(node) == 0) staying.emplace(node->name(), node);
            }
          }
          const auto found = staying.find(name);
          if (found != staying.end()) graph_->AddControlEdge(calls_[s], found->second);
        }
      }
    }
  }

  // Right before the initializer: after everything that the initializer waits for.
  absl::Status AddReset(Node* maker) {
    const Edge* handle = nullptr;
    TF_RETURN_IF_ERROR(maker->input_edge(1, &handle));
    NodeBuilder builder(absl::StrCat("headrace/reset/", maker->name()), kResetSourceOp);
    builder.Input(handle->src(), handle->src_output()).Device(maker->requested_device());
    for (const Edge* edge : maker->in_edges()) {
      if (edge->IsControlEdge() && edge->src()->IsOp()) builder.ControlInput(edge->src());
    }
    Node* reset = nullptr;
    TF_RETURN_IF_ERROR(builder.Finalize(graph_, &reset));
    graph_->AddControlEdge(reset, maker);
    return absl::OkStatus();
  }

  // Nothing in the graph depends on these nodes: they run only when the start node is a target.
  absl::Status AddStarts() {
    std::vector<Node*> starts;
    for (const Node* call : calls_) {
      NodeBuilder builder(absl::StrCat(call->name(), "/start"), kStageStartOp);
      std::vector<NodeBuilder::NodeOut> args;
      std::vector<const Edge*> inputs;
      TF_RETURN_IF_ERROR(call->input_edges(&inputs));
      for (const Edge* edge : inputs) args.emplace_back(edge->src(), edge->src_output());
      builder.Input(args).Attr("call", call->name()).Device(call->requested_device());
      for (const auto& [name, value] : call->def().attr()) {
        if (name != "Targs") builder.Attr(name, value);
      }
      TF_RETURN_IF_ERROR(builder.Finalize(graph_, &starts.emplace_back()));
    }
    Node* start = nullptr;
    NodeBuilder builder(kStartNode, "NoOp");
    return builder.ControlInputs(starts).Finalize(graph_, &start);
  }

  absl::Status KeepTargets() {
    std::map<std::string, int> kept;  // sorted, so that nodes are added in the same order always
    for (const auto& [node, stage] : stage_of_) {
      if (targets_.count(node->name()) > 0 && named_.count(node->name()) == 0) {
        kept.emplace(node->name(), stage);
      }
      for (const std::string& name : NamesIn(*node)) {
        if (targets_.count(name) > 0) kept.emplace(name, stage);
      }
    }
    for (const auto& [name, stage] : kept) {
      Node* target = nullptr;
      TF_RETURN_IF_ERROR(NodeBuilder(name, "NoOp")
                             .ControlInput(WaitFor(name, stage))
                             .Device(calls_[stage]->requested_device())
                             .Finalize(graph_, &target));
    }
    return absl::OkStatus();
  }

  // What was placed with a node that is gone is free to be placed.
  void DropColocation() {
    for (Node* node : graph_->op_nodes()) {
      std::vector<std::string> groups;
      if (stage_of_.count(node) > 0 ||
          !tensorflow::TryGetNodeAttr(node->attrs(), tensorflow::kColocationAttrName, &groups)) {
        continue;
      }
      std::vector<std::string> left;
      for (const std::string& group : groups) {
        absl::string_view name = group;
        absl::ConsumePrefix(&name, tensorflow::kColocationGroupPrefix);
        if (applied_.removed.count(std::string(name)) == 0) left.push_back(group);
      }
      if (left.size() == groups.size()) continue;
      node->ClearAttr(tensorflow::kColocationAttrName);
      if (!left.empty()) node->AddAttr(tensorflow::kColocationAttrName, left);
    }
  }

  const FunctionLibraryDefinition& library_;
  const std::set<std::string>& targets_;
  GraphPlan& planned_;
  tensorflow::Graph* const graph_;
  std::unordered_map<const Node*, int> stage_of_;          // of removed nodes
  std::vector<std::vector<std::vector<int>>> waited_for_;  // by stage: sets of body nodes
  std::map<std::pair<std::string, int>, int> token_of_;    // name that waits, stage: position there
  std::vector<Node*> calls_;                               // by stage
  std::vector<std::vector<Node*>> tokens_;                 // by stage, like waited_for_
  std::map<std::pair<const Node*, int>, Tensor> tensors_;  // crossing tensors
  std::set<std::string> named_;                            // removed nodes whose name stays
  AppliedPlan applied_;
};

}  // namespace

absl::StatusOr<AppliedPlan> ApplyPlan(const FunctionLibraryDefinition& library,
                                      const std::set<std::string>& targets, GraphPlan* planned) {
  return Rewriter(library, targets, planned).Run();
}

}  // namespace headrace
