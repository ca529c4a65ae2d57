#include "tensorflow/runtime/late_passes.h"

#include <memory>
#include <unordered_map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tensorflow/core/common_runtime/function_body.h"
#include "tensorflow/core/common_runtime/function_def_utils.h"
#include "tensorflow/core/common_runtime/optimization_registry.h"
#include "tensorflow/core/framework/graph_to_functiondef.h"
#include "tensorflow/core/graph/graph.h"

namespace headrace {

using ::tensorflow::FunctionDef;
using ::tensorflow::Graph;
using ::tensorflow::OptimizationPassRegistry;

absl::StatusOr<std::string> RunLatePasses(const std::string& name, const std::string& device,
                                          tensorflow::FunctionLibraryDefinition* library) {
  auto record = library->FindRecord(name);
  if (record == nullptr) return absl::InternalError(absl::StrCat("no function ", name));
  const auto attributes = record->fdef().attr();
  const bool stateful = record->fdef().signature().is_stateful();
  std::unique_ptr<tensorflow::FunctionBody> body;
  TF_RETURN_IF_ERROR(tensorflow::FunctionDefToBodyHelper(
      std::move(record), tensorflow::AttrSlice(&attributes), library, &body));

  std::unordered_map<std::string, std::unique_ptr<Graph>> partitions;
  std::unique_ptr<Graph>& graph = partitions[device];
  graph = std::make_unique<Graph>(library);
  graph->Copy(*body->graph);
  tensorflow::GraphOptimizationPassOptions options;
  options.flib_def = library;
  options.is_function_graph = true;
  options.partition_graphs = &partitions;
  TF_RETURN_IF_ERROR(OptimizationPassRegistry::Global()->RunGrouping(
      OptimizationPassRegistry::POST_PARTITIONING, options));

  FunctionDef function;
  const std::string late_name = absl::StrCat(name, "_late");
  TF_RETURN_IF_ERROR(tensorflow::GraphToFunctionDef(*graph, late_name, &function));
  *function.mutable_attr() = attributes;
  function.mutable_signature()->set_is_stateful(stateful);
  TF_RETURN_IF_ERROR(library->AddFunctionDef(function));
  return late_name;
}

}  // namespace headrace
