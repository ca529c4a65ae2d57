#include "tensorflow/runtime/partial_body.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/function.pb.h"

namespace headrace {
namespace {

using ::tensorflow::FunctionDef;
using ::tensorflow::NodeDef;

// "node:output:0" and "^node" name the node; an argument's name stands alone.
std::string NodeOf(absl::string_view input) {
  if (!input.empty() && input[0] == '^') input.remove_prefix(1);
  return std::string(input.substr(0, input.find(':')));
}

// `whole` with the outputs in `needed` only, and the nodes that they depend on.
FunctionDef Restrict(const FunctionDef& whole, const std::set<int>& needed) {
  FunctionDef part = whole;
  part.mutable_signature()->set_name(
      absl::StrCat(whole.signature().name(), "_needs_", absl::StrJoin(needed, "_")));
  part.mutable_signature()->clear_output_arg();
  part.clear_ret();
  part.clear_node_def();

  std::map<std::string, const NodeDef*> nodes;
  for (const NodeDef& node : whole.node_def()) nodes[node.name()] = &node;
  std::vector<std::string> todo;
  for (int i : needed) {
    const auto& output = whole.signature().output_arg(i);
    *part.mutable_signature()->add_output_arg() = output;
    const std::string& from = whole.ret().at(output.name());
    (*part.mutable_ret())[output.name()] = from;
    todo.push_back(NodeOf(from));
  }
  std::set<std::string> reached;
  while (!todo.empty()) {
    const std::string name = std::move(todo.back());
    todo.pop_back();
    const auto it = nodes.find(name);
    if (it == nodes.end() || !reached.insert(name).second) continue;
    for (const std::string& input : it->second->input()) todo.push_back(NodeOf(input));
  }
  for (const NodeDef& node : whole.node_def()) {
    if (reached.count(node.name()) > 0) *part.add_node_def() = node;
  }
  return part;
}

}  // namespace

absl::Status PartialBody::FunctionFor(const std::set<int>& needed, const StageFunction** function) {
  std::lock_guard<std::mutex> lock(mu_);
  std::unique_ptr<StageFunction>& entry = functions_[needed];
  if (entry == nullptr) {
    const FunctionDef* whole = runtime_->library()->Find(body_.name());
    if (whole == nullptr) return absl::InternalError(absl::StrCat("no function ", body_.name()));
    const FunctionDef part = Restrict(*whole, needed);
    TF_RETURN_IF_ERROR(runtime_->library()->AddFunctionDef(part));
    tensorflow::NameAttrList name = body_;
    name.set_name(part.signature().name());
    TF_RETURN_IF_ERROR(StageFunction::Create(runtime_, name, &entry));
  }
  *function = entry.get();
  return absl::OkStatus();
}

absl::Status PartialBody::Run(absl::Span<const tensorflow::Tensor> args,
                              const std::set<int>& needed, Tensors* results) {
  const StageFunction* function = nullptr;
  TF_RETURN_IF_ERROR(FunctionFor(needed, &function));
  Tensors part;
  TF_RETURN_IF_ERROR(function->Run(args, OpThreads(), /*cancel=*/nullptr, &part));
  results->clear();
  results->resize(static_cast<std::size_t>(*needed.rbegin()) + 1);
  std::size_t next = 0;
  for (int i : needed) (*results)[i] = std::move(part[next++]);
  return absl::OkStatus();
}

}  // namespace headrace
