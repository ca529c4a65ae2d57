#include "trainer/shared/partition.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tensorflow/core/framework/node_def_util.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/inline_calls.h"
#include "trainer/cluster.h"
#include "trainer/shared/assignment.h"
#include "trainer/shared/graph_edit.h"

namespace headrace::trainer {
namespace {

using ::tensorflow::DataType;
using ::tensorflow::Edge;
using ::tensorflow::Graph;
using ::tensorflow::Node;
using Out = GraphEdit::Out;
using Outs = GraphEdit::Outs;

// Row numbers of a table that is cut, told apart by part.
struct ByPart {
  Node* part = nullptr;   // int32 for each row number: the part that has it
  Node* local = nullptr;  // DynamicPartition of the numbers within their parts
};

// rows: 1-D. A number that is in no part goes to the first or last, whose op then says so.
ByPart SplitRows(const SharedVariable& table, const Out& rows, DataType type, GraphEdit* edit) {
  const auto number = [&](const std::string& name, std::int64_t value) {
    return type == tensorflow::DT_INT64 ? edit->Scalar(name, value)
                                        : edit->Scalar(name, static_cast<std::int32_t>(value));
  };
  const int parts = static_cast<int>(table.shards.size());
  Node* size = number("rows_of_a_part", table.shards.front().rows);
  Node* part = edit->Add("quotient", "FloorDiv", {rows, size});
  part = edit->Add("at_most", "Minimum", {part, number("last_part", parts - 1)});
  part = edit->Add("at_least", "Maximum", {part, number("first_part", 0)});
  Node* begin = edit->Add("begin", "Mul", {part, size});
  Node* local = edit->Add("within", "Sub", {rows, begin});
  ByPart split;
  split.part = type == tensorflow::DT_INT32
                   ? part
                   : edit->Add("part", "Cast", {part}, {Attr("DstT", tensorflow::DT_INT32)});
  split.local =
      edit->Add("rows", "DynamicPartition", {local, split.part}, {Attr("num_partitions", parts)});
  return split;
}

class Partitioner {
 public:
  Partitioner(const SharedVariables& variables,
              const tensorflow::FunctionLibraryDefinition& library, Graph* graph,
              Arrivals* arrivals)
      : variables_(variables), library_(library), graph_(*graph), arrivals_(*arrivals) {}

  absl::Status Run() {
    std::vector<Node*> gathers, updates, handles;
    for (Node* node : graph_.op_nodes()) {
      if (variables_.count(node->name()) > 0) handles.push_back(node);
      if (IsSparseUpdate(*node)) updates.push_back(node);
      if (node->type_string() != "ResourceGather") continue;
      const SharedVariable* table = VariableAt(variables_, *node, 0);
      if (table != nullptr && !table->shards.empty()) gathers.push_back(node);
    }
    for (Node* handle : handles) TF_RETURN_IF_ERROR(PlaceHandle(handle));
    for (Node* gather : gathers) TF_RETURN_IF_ERROR(CutGather(gather));
    for (Node* update : updates) TF_RETURN_IF_ERROR(CutUpdate(update));
    for (Node* handle : handles) {
      if (!variables_.at(handle->name()).shards.empty()) graph_.RemoveNode(handle);
    }
    return absl::OkStatus();
  }

 private:
  absl::Status PlaceHandle(Node* handle) {
    const SharedVariable& variable = variables_.at(handle->name());
    handle->set_requested_device(Cluster::ServerDevice(variable.server));
    for (const TableShard& shard : variable.shards) {
      tensorflow::TensorShape shape = variable.shape;
      shape.set_dim(0, shard.rows);
      tensorflow::NodeDef def = handle->def();
      def.set_name(shard.node);
      def.set_device(Cluster::ServerDevice(shard.server));
      def.mutable_attr()->erase("shared_name");
      tensorflow::AddNodeAttr("shared_name", shard.node, &def);
      def.mutable_attr()->erase("shape");
      tensorflow::AddNodeAttr("shape", shape, &def);
      absl::Status status;
      parts_[variable.node].push_back(graph_.AddNode(def, &status));
      TF_RETURN_IF_ERROR(status);
    }
    return absl::OkStatus();
  }

  // `by` gets the name and the users of `old`, and waits for what that waited for.
  void Replace(Node* old, Node* by) {
    const std::vector<const Edge*> edges(old->out_edges().begin(), old->out_edges().end());
    for (const Edge* edge : edges) {
      if (edge->IsControlEdge()) {
        graph_.AddControlEdge(by, edge->dst());
      } else {
        graph_.UpdateEdge(by, 0, edge->dst(), edge->dst_input()).IgnoreError();
      }
    }
    for (const Edge* edge : old->in_edges()) {
      if (edge->IsControlEdge() && edge->src()->IsOp()) graph_.AddControlEdge(edge->src(), by);
    }
    const std::string name = old->name();
    graph_.RemoveNode(old);
    by->set_name(name);
  }

  absl::Status CutGather(Node* gather) {
    const SharedVariable& table = *VariableAt(variables_, *gather, 0);
    const Out ids = InputOf(*gather, 1);
    DataType type, dtype;
    TF_RETURN_IF_ERROR(tensorflow::GetNodeAttr(gather->attrs(), "Tindices", &type));
    TF_RETURN_IF_ERROR(tensorflow::GetNodeAttr(gather->attrs(), "dtype", &dtype));
    std::vector<Node*> after;
    for (const Edge* edge : gather->in_edges()) {
      if (edge->IsControlEdge() && edge->src()->IsOp()) after.push_back(edge->src());
    }
    GraphEdit edit(gather->name() + "/headrace/", &graph_);
    tensorflow::Tensor all(tensorflow::DT_INT32, {1});
    all.flat<std::int32_t>()(0) = -1;
    Node* flat = edit.Add("flat", "Reshape", {ids, edit.Constant("all", all)});
    const ByPart split = SplitRows(table, flat, type, &edit);
    Node* count = edit.Add("count", "Size", {flat});
    Node* places =
        edit.Add("places", "Range", {edit.Scalar("from", 0), count, edit.Scalar("by", 1)});
    places = edit.Add("places_by_part", "DynamicPartition", {places, split.part},
                      {Attr("num_partitions", static_cast<int>(table.shards.size()))});
    Outs at, rows;
    for (const TableShard& shard : table.shards) {
      const int i = shard.server;
      at.emplace_back(places, i);
      edit.On(Cluster::ServerDevice(i));
      rows.emplace_back(edit.Add(absl::StrCat("part_", i), "ResourceGather",
                                 {parts_[table.node][i], Out(split.local, i)},
                                 {Attr("dtype", dtype), Attr("validate_indices", true)}, after),
                        0);
      edit.On("");
    }
    Node* together = edit.Add("together", "ParallelDynamicStitch", {at, rows});
    tensorflow::Tensor row(tensorflow::DT_INT32, {table.shape.dims() - 1});
    for (int i = 1; i < table.shape.dims(); ++i) {
      row.flat<std::int32_t>()(i - 1) = static_cast<std::int32_t>(table.shape.dim_size(i));
    }
    Node* shape = edit.Add("shape_of_ids", "Shape", {ids});
    shape = edit.Add("shape", "ConcatV2",
                     {Outs{{shape, 0}, {edit.Constant("row", row), 0}}, edit.Scalar("axis", 0)});
    Node* result = edit.Add("result", "Reshape", {together, shape});
    TF_RETURN_IF_ERROR(edit.status());
    Replace(gather, result);
    for (const Out& part : rows) gathered_[result].push_back(part.node);
    return absl::OkStatus();
  }

  absl::Status CutUpdate(Node* update) {
    if (VariablesOf(variables_, *update).empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the sparse update '", update->name(), "' has no table: export again"));
    }
    const SharedVariable& table = variables_.at(VariablesOf(variables_, *update).front());
    const Out rows = InputOf(*update, 0), values = InputOf(*update, 1);
    std::vector<Node*> calls;
    if (table.shards.empty()) {
      TF_RETURN_IF_ERROR(AddCall(*update, table.server, rows, values, &calls));
    } else {
      GraphEdit edit(update->name() + "/headrace/", &graph_);
      const ByPart split = SplitRows(table, rows, update->input_type(0), &edit);
      Node* by_part = edit.Add("values", "DynamicPartition", {values, split.part},
                               {Attr("num_partitions", static_cast<int>(table.shards.size()))});
      TF_RETURN_IF_ERROR(edit.status());
      for (const TableShard& shard : table.shards) {
        TF_RETURN_IF_ERROR(AddCall(*update, shard.server, {split.local, shard.server},
                                   {by_part, shard.server}, &calls));
      }
    }
    for (const Edge* edge : update->out_edges()) {
      if (!edge->IsControlEdge() && edge->dst()->IsOp()) {
        return absl::InvalidArgumentError(absl::StrCat("the sparse update '", update->name(),
                                                       "' has results that '", edge->dst()->name(),
                                                       "' uses"));
      }
    }
    for (Node* call : calls) {
      for (const Edge* edge : update->out_edges()) {
        if (edge->dst()->IsOp()) graph_.AddControlEdge(call, edge->dst());
      }
    }
    graph_.RemoveNode(update);
    for (Node* call : calls) TF_RETURN_IF_ERROR(InlineOnDevice(library_, call, &graph_));
    return absl::OkStatus();
  }

  // The update of one server's rows.
  absl::Status AddCall(const Node& update, int server, const Out& rows, const Out& values,
                       std::vector<Node*>* calls) {
    const std::string device = Cluster::ServerDevice(server);
    GraphEdit edit(absl::StrCat(update.name(), "/headrace/server_", server, "/"), &graph_);
    edit.On(device);
    Node* rows_there = edit.Add("rows", "Identity", {rows});
    Node* values_there = edit.Add("values", "Identity", {values});
    TF_RETURN_IF_ERROR(edit.status());
    arrivals_[server].push_back(rows_there);
    arrivals_[server].push_back(values_there);
    tensorflow::NodeDef def = update.def();
    def.set_name(absl::StrCat(update.name(), "/headrace/server_", server, "/update"));
    def.set_device(device);
    def.clear_input();
    absl::Status status;
    Node* call = graph_.AddNode(def, &status);
    TF_RETURN_IF_ERROR(status);
    graph_.AddEdge(rows_there, 0, call, 0);
    graph_.AddEdge(values_there, 0, call, 1);
    for (const Edge* edge : update.in_edges()) {
      if (edge->IsControlEdge()) {
        // What must be read before it is written is read on this server.
        const auto gathered = gathered_.find(edge->src());
        Node* const before = gathered == gathered_.end() ? edge->src() : gathered->second[server];
        if (before->IsOp()) graph_.AddControlEdge(before, call);
        continue;
      }
      if (edge->dst_input() < 2) continue;
      const SharedVariable* used = VariableAt(variables_, update, edge->dst_input());
      if (used != nullptr && !used->shards.empty()) {
        graph_.AddEdge(parts_[used->node][server], 0, call, edge->dst_input());
      } else {
        graph_.AddEdge(edge->src(), edge->src_output(), call, edge->dst_input());
      }
    }
    calls->push_back(call);
    return absl::OkStatus();
  }

  const SharedVariables& variables_;
  const tensorflow::FunctionLibraryDefinition& library_;
  Graph& graph_;
  Arrivals& arrivals_;
  std::map<std::string, std::vector<Node*>> parts_;     // of a cut table, by its node
  std::map<const Node*, std::vector<Node*>> gathered_;  // by the result of all parts
};

}  // namespace

absl::Status Partition(const SharedVariables& variables,
                       const tensorflow::FunctionLibraryDefinition& library, Graph* graph,
                       Arrivals* arrivals) {
  return Partitioner(variables, library, graph, arrivals).Run();
}

}  // namespace headrace::trainer
