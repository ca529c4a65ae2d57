#include "tensorflow/outline.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tensorflow/attributes.h"
#include "tensorflow/core/framework/node_def_util.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/function_builder.h"
#include "tensorflow/graph_view.h"
#include "tensorflow/op_traits.h"

namespace headrace {
namespace {

using plan::Endpoint;
using plan::Stage;

class StageOutliner {
 public:
  StageOutliner(const tensorflow::Graph& graph, const GraphView& view, const Stage& stage,
                const std::vector<std::vector<int>>& waited_for, const std::string& prefix,
                bool keep_accelerators)
      : registry_(graph.op_registry()),
        view_(view),
        stage_(stage),
        waited_for_(waited_for),
        prefix_(prefix),
        keep_accelerators_(keep_accelerators) {}

  absl::StatusOr<StageOutline> Run() {
    for (const int node : stage_.sources) TF_RETURN_IF_ERROR(AddSource(node));
    for (const int node : stage_.draws) TF_RETURN_IF_ERROR(AddSource(node));
    TF_RETURN_IF_ERROR(AddBody());
    return std::move(outline_);
  }

 private:
  FunctionBuilder Builder(std::set<int> allowed) const {
    return FunctionBuilder(view_, std::move(allowed), keep_accelerators_, registry_);
  }

  int ArgPosition(const Endpoint& handle) const {
    const auto found = std::find(stage_.args.begin(), stage_.args.end(), handle);
    return found == stage_.args.end() ? -1 : static_cast<int>(found - stage_.args.begin());
  }

  absl::Status AddSource(int node) {
    StageOutline::Source source;
    source.node = view_.nodes[node]->name();
    source.function = absl::StrCat(prefix_, "source", outline_.sources.size());
    std::string replacement;
    switch (LookUpOp(view_.nodes[node]->type_string())) {
      case OpGroup::kIteratorNext:
        source.kind = "iterator";
        replacement = kIteratorPullOp;
        break;
      case OpGroup::kIteratorNextOptional:
        source.kind = "iterator_optional";
        replacement = kIteratorPullOp;
        break;
      case OpGroup::kDraw:
        if (view_.nodes[node]->type_string() == kPrivateStateOp) return AddState(node);
        source.kind = "draw";
        break;
      default: source.kind = "resource";
    }

    FunctionBuilder builder = Builder({stage_.constants.begin(), stage_.constants.end()});
    for (const Endpoint& input : view_.graph.nodes[node].inputs) {
      const int arg = ArgPosition(input);
      if (arg < 0 || std::count(source.args.begin(), source.args.end(), arg) > 0) continue;
      source.args.push_back(arg);
      TF_RETURN_IF_ERROR(builder.AddArg(input));
    }
    TF_RETURN_IF_ERROR(builder.Copy(node, replacement));
    const int tensors =
        replacement.empty() ? view_.nodes[node]->num_outputs() : builder.NumOutputs(node);
    for (int i = 0; i < tensors; ++i) TF_RETURN_IF_ERROR(builder.AddResult({node, i}));
    TF_ASSIGN_OR_RETURN(tensorflow::FunctionDef function, builder.Build(source.function));
    outline_.functions.push_back(std::move(function));
    AddElement(node, std::move(source));
    return absl::OkStatus();
  }

  absl::Status AddState(int node) {
    StageOutline::Source source;
    source.kind = "state";
    source.node = view_.nodes[node]->name();
    source.function = absl::StrCat(prefix_, "source", outline_.sources.size());
    source.args.push_back(ArgPosition(view_.graph.nodes[node].inputs[0]));
    std::string serialized;
    TF_RETURN_IF_ERROR(
        tensorflow::GetNodeAttr(view_.nodes[node]->attrs(), "function", &serialized));
    tensorflow::FunctionDef function;
    if (!function.ParseFromString(serialized)) {
      return absl::InternalError(absl::StrCat("'", source.node, "' has no function"));
    }
    function.mutable_signature()->set_name(source.function);
    outline_.functions.push_back(std::move(function));
    AddElement(node, std::move(source));
    return absl::OkStatus();
  }

  // An optional is one tensor, whatever it holds.
  void AddElement(int node, StageOutline::Source source) {
    source.num_outputs = view_.nodes[node]->num_outputs();
    for (int i = 0; i < source.num_outputs; ++i) {
      raw_.emplace(std::make_pair(node, i), static_cast<int>(elements_.size()));
      elements_.push_back({node, i});
    }
    outline_.sources.push_back(std::move(source));
  }

  absl::Status AddBody() {
    std::set<int> allowed(stage_.body.begin(), stage_.body.end());
    allowed.insert(stage_.constants.begin(), stage_.constants.end());
    FunctionBuilder builder = Builder(std::move(allowed));
    outline_.body = absl::StrCat(prefix_, "body");

    bool needed = !waited_for_.empty();
    for (const plan::Crossing& crossing : stage_.outputs) {
      needed |= raw_.count({crossing.from.node, crossing.from.output}) == 0;
    }
    if (needed) {
      for (const Endpoint& element : elements_) TF_RETURN_IF_ERROR(builder.AddArg(element));
      TF_RETURN_IF_ERROR(AddBodyArgs(&builder));
      for (const int node : stage_.body) TF_RETURN_IF_ERROR(builder.Copy(node));
    }
    int results = 0;
    for (const plan::Crossing& crossing : stage_.outputs) {
      const std::pair<int, int> from = {crossing.from.node, crossing.from.output};
      if (const auto raw = raw_.find(from); raw != raw_.end()) {
        outline_.outputs.push_back(raw->second);
        continue;
      }
      TF_RETURN_IF_ERROR(builder.AddResult(crossing.from));
      outline_.outputs.push_back(-++results);
    }
    for (const std::vector<int>& nodes : waited_for_) {
      TF_RETURN_IF_ERROR(builder.AddToken(nodes));
      outline_.outputs.push_back(-++results);
    }
    TF_ASSIGN_OR_RETURN(tensorflow::FunctionDef function, builder.Build(outline_.body));
    outline_.functions.push_back(std::move(function));
    return absl::OkStatus();
  }

  absl::Status AddBodyArgs(FunctionBuilder* builder) {
    for (std::size_t i = 0; i < stage_.args.size(); ++i) {
      const bool used = std::any_of(stage_.body.begin(), stage_.body.end(), [&](int node) {
        const auto& inputs = view_.graph.nodes[node].inputs;
        return std::find(inputs.begin(), inputs.end(), stage_.args[i]) != inputs.end();
      });
      if (!used) continue;
      outline_.body_args.push_back(static_cast<int>(i));
      TF_RETURN_IF_ERROR(builder->AddArg(stage_.args[i]));
    }
    return absl::OkStatus();
  }

  const tensorflow::OpRegistryInterface* const registry_;
  const GraphView& view_;
  const Stage& stage_;
  const std::vector<std::vector<int>>& waited_for_;
  const std::string prefix_;
  const bool keep_accelerators_;
  StageOutline outline_;
  std::vector<Endpoint> elements_;          // what one ticket holds, in order
  std::map<std::pair<int, int>, int> raw_;  // position in elements_
};

}  // namespace

absl::StatusOr<StageOutline> OutlineStage(const tensorflow::Graph& graph, const GraphView& view,
                                          const Stage& stage,
                                          const std::vector<std::vector<int>>& waited_for,
                                          const std::string& prefix, bool keep_accelerators) {
  return StageOutliner(graph, view, stage, waited_for, prefix, keep_accelerators).Run();
}

}  // namespace headrace
