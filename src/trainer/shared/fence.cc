#include "trainer/shared/fence.h"

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tensorflow/core/framework/tensor.h"
#include "trainer/cluster.h"

namespace headrace::trainer {
namespace {

using ::tensorflow::Edge;
using ::tensorflow::Graph;
using ::tensorflow::Node;

// It fails for workers that are fenced off.
absl::Status AddNumberCheck(const std::string& prefix, int server, std::uint64_t number,
                            const std::vector<Node*>& after, Graph* graph, Node** check) {
  GraphEdit edit(prefix, graph);
  edit.On(Cluster::ServerDevice(server));
  Node* table = AddFencedTable("table", &edit);
  Node* fenced = edit.Add("find", "LookupTableFindV2",
                          {table, edit.Scalar("number", static_cast<std::int64_t>(number)),
                           edit.Scalar("not_fenced", std::int64_t{0})},
                          {}, after);
  Node* free = edit.Add("free", "Equal", {fenced, edit.Scalar("zero", std::int64_t{0})});
  Node* message = edit.Scalar("message", tensorflow::tstring(kFencedOff));
  *check = edit.Add("check", "Assert", {free, GraphEdit::Outs{{message, 0}}});
  return edit.status();
}

// One op of the server that has all of them: what waits for it waits for every gradient to be
// there.
Node* TakeTogether(int server, const std::vector<Node*>& arrived, GraphEdit* edit) {
  if (arrived.empty()) return nullptr;
  edit->On(Cluster::ServerDevice(server));
  GraphEdit::Outs all;
  for (Node* node : arrived) all.emplace_back(node, 0);
  // Never alone: TensorFlow takes an IdentityN of one tensor for an Identity, which it skips.
  all.emplace_back(edit->Scalar("and", 0), 0);
  return edit->Add("arrived", "IdentityN", {all});
}

// What is not needed before the arrivals uses them only after the check.
void UseAfter(Node* arrival, Node* together, int place, Node* check, const NodeSet& before,
              Graph* graph) {
  std::vector<const Edge*> late;
  for (const Edge* edge : arrival->out_edges()) {
    if (!edge->IsControlEdge() && edge->dst()->IsOp() && edge->dst() != together &&
        before.count(edge->dst()) == 0) {
      late.push_back(edge);
    }
  }
  for (const Edge* edge : late) {
    Node* const user = edge->dst();
    graph->UpdateEdge(together, place, user, edge->dst_input()).IgnoreError();
    graph->AddControlEdge(check, user);
  }
}

// By server; of every update that a gradient does not depend on.
std::map<int, std::vector<Node*>> FindWrites(const NodeSet& before, const Graph& graph) {
  std::map<int, std::vector<Node*>> writes;
  for (Node* node : graph.op_nodes()) {
    if (OnlyReads(*node) || before.count(node) > 0) continue;
    const Node* const handle = HandleOf(*node);
    if (handle != nullptr && ServerOf(*handle) != kWorker) {
      writes[ServerOf(*handle)].push_back(node);
    }
  }
  return writes;
}

}  // namespace

Node* AddNumber(const std::string& node, const std::string& name, GraphEdit* edit) {
  return edit->Add(node, "VarHandleOp", {},
                   {Attr("shared_name", name), Attr("dtype", tensorflow::DT_INT64),
                    Attr("shape", tensorflow::TensorShape({}))});
}

Node* AddFencedTable(const std::string& node, GraphEdit* edit) {
  return edit->Add(node, "MutableHashTableV2", {},
                   {Attr("shared_name", kFenced), Attr("key_dtype", tensorflow::DT_INT64),
                    Attr("value_dtype", tensorflow::DT_INT64)});
}

absl::Status AddCheck(const std::string& prefix, int server, const std::string& name,
                      std::int64_t value, const std::string& message,
                      const std::vector<Node*>& after, Graph* graph, Node** check) {
  GraphEdit edit(prefix, graph);
  edit.On(Cluster::ServerDevice(server));
  Node* handle = AddNumber("handle", name, &edit);
  Node* read =
      edit.Add("read", "ReadVariableOp", {handle}, {Attr("dtype", tensorflow::DT_INT64)}, after);
  Node* same = edit.Add("same", "Equal", {read, edit.Scalar("value", value)});
  Node* text = edit.Scalar("message", tensorflow::tstring(message));
  *check = edit.Add("check", "Assert", {same, GraphEdit::Outs{{text, 0}}});
  return edit.status();
}

absl::Status AddFences(const Writer& writer, const Arrivals& arrivals, const NodeSet& before,
                       Graph* graph) {
  for (const auto& [server, nodes] : FindWrites(before, *graph)) {
    const auto found = arrivals.find(server);
    const std::vector<Node*> arrived =
        found == arrivals.end() ? std::vector<Node*>() : found->second;
    const std::string prefix = absl::StrCat("headrace/fence_", server, "/");
    GraphEdit edit(prefix, graph);
    Node* const together = TakeTogether(server, arrived, &edit);
    TF_RETURN_IF_ERROR(edit.status());
    std::vector<Node*> first;
    if (together != nullptr) first.push_back(together);
    Node *generation = nullptr, *number = nullptr;
    TF_RETURN_IF_ERROR(AddCheck(prefix + "generation/", server, kGeneration, writer.generation,
                                kFencedOff, first, graph, &generation));
    TF_RETURN_IF_ERROR(
        AddNumberCheck(prefix + "number/", server, writer.number, {generation}, graph, &number));
    for (std::size_t i = 0; i < arrived.size(); ++i) {
      UseAfter(arrived[i], together, static_cast<int>(i), number, before, graph);
    }
    for (Node* node : nodes) graph->AddControlEdge(number, node);
  }
  return absl::OkStatus();
}

}  // namespace headrace::trainer
