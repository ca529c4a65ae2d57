// Builds one function from nodes of a graph.
#ifndef HEADRACE_TENSORFLOW_FUNCTION_BUILDER_H_
#define HEADRACE_TENSORFLOW_FUNCTION_BUILDER_H_

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plan/graph.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/graph/graph.h"

namespace headrace {

struct GraphView;

// Nodes keep their names, so that errors name the op that the user knows. Attributes that only mean
// something in the graph they come from (colocation, marks, devices) are dropped.
//
// Ownership: keeps references to the view and its graph, which must outlive it. Not thread-safe.
// Errors: INTERNAL if a node needs something that is neither an argument nor allowed to be copied.
class FunctionBuilder {
 public:
  // `allowed`: nodes that may be copied. `registry`: of the graph, for calls of its functions.
  FunctionBuilder(const GraphView& view, std::set<int> allowed, bool keep_accelerators,
                  const tensorflow::OpRegistryInterface* registry);

  // Appends a parameter that stands for `from`.
  absl::Status AddArg(const plan::Endpoint& from);
  // Copies a node with everything it needs. `op`, if not empty, replaces the op; its inputs stay.
  absl::Status Copy(int node, const std::string& op = "");
  // Appends a result. Its node is copied if need be.
  absl::Status AddResult(const plan::Endpoint& from);
  // Of a node that was copied; another op may have other outputs.
  int NumOutputs(int node) const { return copies_.at(node)->num_outputs(); }
  // Appends a result, an int32 scalar without meaning, that there is only if `nodes` succeeded.
  // They must have been copied.
  absl::Status AddToken(const std::vector<int>& nodes);

  absl::StatusOr<tensorflow::FunctionDef> Build(const std::string& name) const;

 private:
  absl::Status CopyOne(int node, const std::string& op);
  absl::Status AddResult(tensorflow::Node* source, int output);
  bool Known(const plan::Endpoint& from) const {
    return args_.count({from.node, from.output}) > 0 || copies_.count(from.node) > 0;
  }
  std::pair<tensorflow::Node*, int> Find(const plan::Endpoint& from) const;

  const GraphView& view_;
  const std::set<int> allowed_;
  const bool keep_accelerators_;
  tensorflow::Graph graph_;
  std::map<std::pair<int, int>, tensorflow::Node*> args_;
  std::map<int, tensorflow::Node*> copies_;
  int num_args_ = 0;
  int num_results_ = 0;
};

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_FUNCTION_BUILDER_H_
