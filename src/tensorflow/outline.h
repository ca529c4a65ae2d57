// The functions of a stage: one per source and random draw, and the body.
#ifndef HEADRACE_TENSORFLOW_OUTLINE_H_
#define HEADRACE_TENSORFLOW_OUTLINE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "plan/plan.h"
#include "tensorflow/core/framework/function.pb.h"

namespace tensorflow {
class Graph;
}  // namespace tensorflow

namespace headrace {

struct GraphView;

// What a StagedCall's attributes say of its functions; ops.cc describes each field.
struct StageOutline {
  struct Source {
    std::string function;
    std::string kind;
    std::string node;       // that it replaces
    std::vector<int> args;  // positions in plan::Stage::args
    int num_outputs = 0;
  };
  std::vector<Source> sources;  // in the order in which a ticket reads them; draws last
  std::string body;
  std::vector<int> body_args;  // positions in plan::Stage::args
  std::vector<int> outputs;    // for each of plan::Stage::outputs, then for each of `waited_for`
  std::vector<tensorflow::FunctionDef> functions;
};

// Function names start with `prefix`. After the results that cross, the body returns one scalar for
// each set of body nodes in `waited_for`, which there is only if they all succeeded. Requested
// devices are dropped, as the call's device decides; accelerators stay requested if
// `keep_accelerators`. Handles come in as arguments, constants are copied. Errors are INTERNAL: the
// plan does not fit the graph.
absl::StatusOr<StageOutline> OutlineStage(const tensorflow::Graph& graph, const GraphView& view,
                                          const plan::Stage& stage,
                                          const std::vector<std::vector<int>>& waited_for,
                                          const std::string& prefix, bool keep_accelerators);

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_OUTLINE_H_
