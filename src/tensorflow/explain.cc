#include "tensorflow/explain.h"

#include <memory>
#include <utility>

#include "tensorflow/core/common_runtime/graph_constructor.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/framework/graph_def_util.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/graph_plan.h"
#include "tensorflow/runtime/convert.h"
#include "tensorflow/stage_graph.h"
#include "tensorflow/staging_request.h"

namespace headrace {
namespace {

using ::tensorflow::FunctionLibraryDefinition;
using ::tensorflow::Graph;
using ::tensorflow::GraphDef;
using Carrier = ::tensorflow::RewriterConfig_CustomGraphOptimizer;

// What a session makes of a GraphDef before it runs the passes.
struct Loaded {
  std::unique_ptr<FunctionLibraryDefinition> library;
  std::unique_ptr<Graph> graph;
  StagingRequest request;
};

absl::StatusOr<Loaded> Load(GraphDef graph_def, const Carrier& options) {
  Loaded loaded;
  TF_RETURN_IF_ERROR(ToAbsl(SetSessionOptions(options, &loaded.request)));
  loaded.library = std::make_unique<FunctionLibraryDefinition>(tensorflow::OpRegistry::Global(),
                                                               graph_def.library());
  TF_RETURN_IF_ERROR(tensorflow::AddDefaultAttrsToGraphDef(&graph_def, *loaded.library, 0));
  loaded.graph = std::make_unique<Graph>(tensorflow::OpRegistry::Global());
  tensorflow::GraphConstructorOptions constructor;
  constructor.allow_internal_ops = true;
  TF_RETURN_IF_ERROR(
      tensorflow::ConvertGraphDefToGraph(constructor, std::move(graph_def), loaded.graph.get()));
  return loaded;
}

}  // namespace

absl::Status ExplainGraphDef(const GraphDef& graph_def, const Carrier& options,
                             Explanation* explanation) {
  TF_ASSIGN_OR_RETURN(Loaded loaded, Load(graph_def, options));
  TF_ASSIGN_OR_RETURN(const GraphPlan planned,
                      PlanGraph(*loaded.graph, *loaded.library, loaded.request,
                                /*is_function_graph=*/false));
  explanation->json = plan::ExplainJson(planned.view.graph, planned.plan);
  explanation->text = plan::ExplainText(planned.view.graph, planned.plan);
  return absl::OkStatus();
}

absl::Status RewriteGraphDef(const GraphDef& graph_def, const Carrier& options,
                             GraphDef* rewritten) {
  TF_ASSIGN_OR_RETURN(Loaded loaded, Load(graph_def, options));
  TF_ASSIGN_OR_RETURN(StagedGraph staged,
                      StageGraph(*loaded.graph, *loaded.library, loaded.request, /*targets=*/{},
                                 /*is_function_graph=*/false));
  const bool changed = !staged.planned.plan.stages.empty();
  (changed ? staged.planned.graph : loaded.graph)->ToGraphDef(rewritten);
  tensorflow::FunctionDefLibrary functions;
  for (auto& function : staged.applied.functions) *functions.add_function() = std::move(function);
  TF_RETURN_IF_ERROR(loaded.library->AddLibrary(std::move(functions)));
  *rewritten->mutable_library() = loaded.library->ToProto();
  return absl::OkStatus();
}

}  // namespace headrace
