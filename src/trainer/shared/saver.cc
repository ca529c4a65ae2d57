#include "trainer/shared/saver.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tensorflow/core/framework/tensor.h"
#include "trainer/cluster.h"
#include "trainer/object_graph.h"
#include "trainer/shared/fence.h"
#include "trainer/shared/graph_edit.h"

namespace headrace::trainer {
namespace {

using ::tensorflow::Graph;
using ::tensorflow::Node;

// One tensor of a server's file.
struct Piece {
  std::string node;  // the VarHandleOp
  std::string key;
  std::string slice;  // of SaveV2; "": the whole tensor
  tensorflow::DataType dtype;
};

// "20000000 16 0,10000000:-": the whole shape, then first row and rows, and all of the rest.
std::string SliceOf(const SharedVariable& table, const TableShard& shard) {
  std::string slice =
      absl::StrCat(absl::StrJoin(table.shape.dim_sizes(), " "), " ", shard.begin, ",", shard.rows);
  for (int i = 1; i < table.shape.dims(); ++i) absl::StrAppend(&slice, ":-");
  return slice;
}

std::map<int, std::vector<Piece>> PiecesOf(const SharedVariables& variables) {
  std::map<int, std::vector<Piece>> pieces;
  for (const auto& [node, variable] : variables) {
    if (variable.key.empty()) continue;
    if (variable.shards.empty()) {
      pieces[variable.server].push_back({node, variable.key, "", variable.dtype});
    }
    for (const TableShard& shard : variable.shards) {
      if (shard.rows == 0) continue;
      pieces[shard.server].push_back(
          {shard.node, variable.key, SliceOf(variable, shard), variable.dtype});
    }
  }
  return pieces;
}

Node* Texts(const std::string& name, const std::vector<std::string>& texts, GraphEdit* edit) {
  tensorflow::Tensor tensor(tensorflow::DT_STRING, {static_cast<std::int64_t>(texts.size())});
  for (std::size_t i = 0; i < texts.size(); ++i) tensor.flat<tensorflow::tstring>()(i) = texts[i];
  return edit->Constant(name, tensor);
}

class Saver {
 public:
  Saver(const SharedVariables& variables, std::string objects, std::int64_t claim, Graph* graph)
      : pieces_(PiecesOf(variables)), objects_(std::move(objects)), claim_(claim), graph_(*graph) {
    for (Node* node : graph->op_nodes()) {
      if (node->type_string() == "VarHandleOp") handles_[node->name()] = node;
    }
  }

  absl::Status AddSave() {
    GraphEdit edit("", &graph_);
    Node* prefix = Prefix(kSavePrefix, &edit);
    GraphEdit::Outs parts;
    std::vector<Node*> written;
    for (const auto& [server, pieces] : pieces_) {
      edit.On(Cluster::ServerDevice(server));
      const std::string name = absl::StrCat("headrace/save/server_", server, "/");
      Node* suffix =
          edit.Scalar(name + "suffix", tensorflow::tstring(absl::StrCat("_part/", server)));
      Node* part =
          edit.Add(name + "path", "StringJoin", {GraphEdit::Outs{{prefix, 0}, {suffix, 0}}});
      std::vector<std::string> keys, slices;
      GraphEdit::Outs values;
      for (const Piece& piece : pieces) {
        keys.push_back(piece.key);
        slices.push_back(piece.slice);
        values.emplace_back(edit.Add(name + piece.node, "ReadVariableOp", {handles_.at(piece.node)},
                                     {Attr("dtype", piece.dtype)}),
                            0);
      }
      if (written.empty()) {
        keys.emplace_back(kObjectGraph);
        slices.emplace_back();
        values.emplace_back(edit.Scalar(name + "objects", tensorflow::tstring(objects_)), 0);
      }
      written.push_back(edit.Add(name + "write", "SaveV2",
                                 {part, Texts(name + "keys", keys, &edit),
                                  Texts(name + "slices", slices, &edit), values}));
      parts.emplace_back(part, 0);
    }
    edit.On(Cluster::ServerDevice(pieces_.begin()->first));
    Node* paths = edit.Add("headrace/save/paths", "Pack", {parts});
    edit.Add(kSave, "MergeV2Checkpoints", {paths, prefix}, {Attr("delete_old_dirs", true)},
             written);
    return edit.status();
  }

  absl::Status AddRestore() {
    GraphEdit edit("", &graph_);
    Node* prefix = Prefix(kRestorePrefix, &edit);
    std::vector<Node*> done;
    for (const auto& [server, pieces] : pieces_) {
      const std::string name = absl::StrCat("headrace/restore/server_", server, "/");
      Node* check = nullptr;
      TF_RETURN_IF_ERROR(
          AddCheck(name + "claim/", server, kClaim, claim_, kNotClaimed, {}, &graph_, &check));
      edit.On(Cluster::ServerDevice(server));
      std::vector<std::string> keys, slices;
      std::vector<tensorflow::DataType> dtypes;
      for (const Piece& piece : pieces) {
        keys.push_back(piece.key);
        slices.push_back(piece.slice);
        dtypes.push_back(piece.dtype);
      }
      Node* read = edit.Add(
          name + "read", "RestoreV2",
          {prefix, Texts(name + "keys", keys, &edit), Texts(name + "slices", slices, &edit)},
          {Attr("dtypes", dtypes)}, {check});
      for (std::size_t i = 0; i < pieces.size(); ++i) {
        done.push_back(
            edit.Add(name + pieces[i].node, "AssignVariableOp",
                     {handles_.at(pieces[i].node), GraphEdit::Out(read, static_cast<int>(i))},
                     {Attr("dtype", pieces[i].dtype)}));
      }
    }
    edit.On(Cluster::WorkerDevice());
    edit.Add(kRestore, "NoOp", {}, {}, done);
    return edit.status();
  }

  bool empty() const { return pieces_.empty(); }

 private:
  static Node* Prefix(const std::string& name, GraphEdit* edit) {
    edit->On(Cluster::WorkerDevice());
    return edit->Add(
        name, "Placeholder", {},
        {Attr("dtype", tensorflow::DT_STRING), Attr("shape", tensorflow::TensorShape({}))});
  }

  const std::map<int, std::vector<Piece>> pieces_;
  const std::string objects_;
  const std::int64_t claim_;
  Graph& graph_;
  std::map<std::string, Node*> handles_;
};

}  // namespace

absl::Status AddSaver(const SharedVariables& variables, const std::string& objects,
                      std::int64_t claim, Graph* graph) {
  Saver saver(variables, objects, claim, graph);
  if (saver.empty()) return absl::InvalidArgumentError("the model has no variables to save");
  TF_RETURN_IF_ERROR(saver.AddSave());
  return saver.AddRestore();
}

}  // namespace headrace::trainer
