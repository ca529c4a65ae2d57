// The variables of a graph, and the parameter server of each.
#ifndef HEADRACE_TRAINER_SHARED_VARIABLES_H_
#define HEADRACE_TRAINER_SHARED_VARIABLES_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tensorflow/core/framework/tensor_shape.h"
#include "tensorflow/core/framework/types.pb.h"
#include "tensorflow/core/graph/graph.h"

namespace headrace::trainer {

// Some rows of a table.
struct TableShard {
  std::string node;  // its VarHandleOp
  int server = 0;
  std::int64_t begin = 0, rows = 0;
};

struct SharedVariable {
  std::string node;  // its VarHandleOp
  std::string key;   // in checkpoints; "": it is in none
  tensorflow::DataType dtype = tensorflow::DT_INVALID;
  tensorflow::TensorShape shape;
  int server = 0;
  // Of a table that is cut by rows, one for each server; `node` and `server` are of no use then.
  std::vector<TableShard> shards;

  std::int64_t bytes() const;
};

// By the name of their node: every process of a job finds the same, in the same order.
using SharedVariables = std::map<std::string, SharedVariable>;

// The variables of a graph without calls. Their keys are those that the restore op of the exported
// saver uses; it must be in the graph.
absl::StatusOr<SharedVariables> FindVariables(const tensorflow::Graph& graph);

// The variable that an input of a node is the handle of; nullptr: none.
const SharedVariable* VariableAt(const SharedVariables& variables, const tensorflow::Node& node,
                                 int input);
// The nodes of the variables that a node uses, in the order of its inputs.
std::vector<std::string> VariablesOf(const SharedVariables& variables,
                                     const tensorflow::Node& node);

// The VarHandleOp of the first variable that a node uses; nullptr: it uses none.
const tensorflow::Node* HandleOf(const tensorflow::Node& node);

bool OnlyReads(const tensorflow::Node& node);
bool Writes(const SharedVariables& variables, const tensorflow::Node& node);

// Inlining leaves an Identity behind for each argument: handles skip theirs.
void SkipIdentitiesOfHandles(tensorflow::Graph* graph);

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_SHARED_VARIABLES_H_
