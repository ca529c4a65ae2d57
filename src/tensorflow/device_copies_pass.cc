// The passes that let stages copy to accelerators, where TensorFlow runs them.
#include "tensorflow/attributes.h"
#include "tensorflow/core/common_runtime/optimization_registry.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/function.pb.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/device_copies.h"

namespace headrace {
namespace {

using ::tensorflow::GraphOptimizationPass;
using ::tensorflow::GraphOptimizationPassOptions;
using ::tensorflow::OptimizationPassRegistry;

bool HasGraph(const GraphOptimizationPassOptions& options) {
  return options.graph != nullptr && *options.graph != nullptr;
}

class HeadraceMarkCopiesPass : public GraphOptimizationPass {
 public:
  absl::Status Run(const GraphOptimizationPassOptions& options) override {
    return HasGraph(options) ? MarkCopies(options.graph->get()) : absl::OkStatus();
  }
};

class HeadraceTakeCopiesPass : public GraphOptimizationPass {
 public:
  absl::Status Run(const GraphOptimizationPassOptions& options) override {
    return HasGraph(options) ? TakeCopies(options.is_function_graph, options.graph->get())
                             : absl::OkStatus();
  }
};

REGISTER_OPTIMIZATION(OptimizationPassRegistry::POST_PLACEMENT, 90, HeadraceMarkCopiesPass);
REGISTER_OPTIMIZATION(OptimizationPassRegistry::POST_REWRITE_FOR_EXEC, 90, HeadraceTakeCopiesPass);

}  // namespace
}  // namespace headrace
