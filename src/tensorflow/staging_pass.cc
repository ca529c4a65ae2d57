// The pass that TensorFlow runs on every graph of a process that has loaded Headrace: plan, apply
// on a copy, check, publish.
#include <atomic>
#include <cstdlib>
#include <set>
#include <string>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tensorflow/attributes.h"
#include "tensorflow/core/common_runtime/device.h"
#include "tensorflow/core/common_runtime/device_set.h"
#include "tensorflow/core/common_runtime/optimization_registry.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/core/public/session_options.h"
#include "tensorflow/dump_graph.h"
#include "tensorflow/graph_view.h"
#include "tensorflow/runtime/convert.h"
#include "tensorflow/stage_graph.h"
#include "tensorflow/staging_request.h"
#include "tensorflow/stream_device.h"

namespace headrace {
namespace {

using ::tensorflow::FunctionLibraryDefinition;
using ::tensorflow::Graph;
using ::tensorflow::GraphOptimizationPassOptions;

// The operator's kill switch; the only environment variable that Headrace reads.
bool SwitchedOff() {
  const char* value = std::getenv("HEADRACE_STAGING");
  if (value == nullptr || *value == '\0') return false;
  static std::atomic<bool> said{false};
  if (absl::EqualsIgnoreCase(value, "off")) {
    if (!said.exchange(true)) {
      LOG(INFO) << "Headrace: HEADRACE_STAGING=off, so every graph of this process runs unstaged";
    }
    return true;
  }
  if (!absl::EqualsIgnoreCase(value, "on") && !said.exchange(true)) {
    LOG(WARNING) << "Headrace: HEADRACE_STAGING is '" << value
                 << "', and must be 'off' or 'on'; graphs are staged";
  }
  return false;
}

// A name that is not there protects nothing. Other graphs of the program may have it.
void WarnOfUnknownExcludes(const StagingRequest& request, const Graph& graph) {
  std::set<std::string> unknown = request.exclude;
  for (const tensorflow::Node* node : graph.op_nodes()) unknown.erase(node->name());
  for (const std::string& name : unknown) {
    LOG(WARNING) << "Headrace: exclude names '" << name << "', which is no operation of the graph"
                 << (absl::StrContains(name, ':') ? " (a tensor's name: leave out the ':' part)"
                                                  : "");
  }
}

// True where the devices are not known.
bool MayHaveGpu(const GraphOptimizationPassOptions& options) {
  if (options.device_set == nullptr) return true;
  for (const tensorflow::Device* device : options.device_set->devices()) {
    if (device->device_type() == tensorflow::DEVICE_GPU) return true;
  }
  return false;
}

absl::Status PlaceOnStreams(const GraphOptimizationPassOptions& options, Graph* graph) {
  if (options.device_set == nullptr) return absl::OkStatus();
  return PlaceStages(options.device_set->devices(), graph);
}

// Nodes that TensorFlow will look for by name: they run for their effects when the function is
// called.
std::set<std::string> Targets(const GraphOptimizationPassOptions& options) {
  std::set<std::string> targets;
  if (options.function_def == nullptr) return targets;
  for (const auto& [name, node] : options.function_def->control_ret()) targets.insert(node);
  return targets;
}

bool IsStageFunction(const GraphOptimizationPassOptions& options) {
  return options.function_def != nullptr &&
         options.function_def->attr().count(kStageFunctionAttr) > 0;
}

std::string Describe(const GraphOptimizationPassOptions& options) {
  if (options.function_def == nullptr) return "the session's graph";
  return absl::StrCat("function '", options.function_def->signature().name(), "'");
}

// After this the graph is staged; before it, nothing has changed.
absl::Status Publish(StagedGraph staged, const GraphOptimizationPassOptions& options) {
  Graph* graph = staged.planned.graph.get();
  if (options.flib_def == &(*options.graph)->flib_def()) {
    return absl::InternalError("the pass was given the graph's own function library");
  }
  // The library of a function's graph is the other one.
  if (graph->flib_def().default_registry() != options.flib_def) {
    for (const auto& function : staged.applied.functions) {
      TF_RETURN_IF_ERROR(graph->mutable_flib_def()->AddFunctionDef(function));
    }
  }
  tensorflow::FunctionDefLibrary functions;
  for (auto& function : staged.applied.functions) *functions.add_function() = std::move(function);
  TF_RETURN_IF_ERROR(options.flib_def->AddLibrary(std::move(functions)));
  *options.graph = std::move(staged.planned.graph);
  return absl::OkStatus();
}

class HeadraceStagingPass : public tensorflow::GraphOptimizationPass {
 public:
  absl::Status Run(const GraphOptimizationPassOptions& options) override {
    if (options.graph == nullptr || *options.graph == nullptr || options.flib_def == nullptr ||
        IsStageFunction(options)) {
      return absl::OkStatus();
    }
    StagingRequest request;
    if (options.session_options != nullptr) {
      if (HasCarrier(options.session_options->config) && SwitchedOff()) return absl::OkStatus();
      TF_RETURN_IF_ERROR(ToAbsl(ReadSessionOptions(options.session_options->config, &request)));
    }
    const Graph& graph = **options.graph;
    if (!request.has_carrier && (!HasMarks(graph) || SwitchedOff())) return absl::OkStatus();
    TF_RETURN_IF_ERROR(ToAbsl(CheckStreams(request, MayHaveGpu(options))));
    bool staged = false;
    if (HasSource(graph, *options.flib_def)) {
      TF_RETURN_IF_ERROR(Stage(request, options, &staged));
    }
    // Of functions only those that are staged: a program has many.
    if (staged || !options.is_function_graph) Dump(request, options);
    return absl::OkStatus();
  }

 private:
  // An error is the user's: everything else leaves the graph as it was.
  absl::Status Stage(const StagingRequest& request, const GraphOptimizationPassOptions& options,
                     bool* published) {
    absl::StatusOr<StagedGraph> staged = StageGraph(**options.graph, *options.flib_def, request,
                                                    Targets(options), options.is_function_graph);
    if (staged.status().code() == absl::StatusCode::kInvalidArgument) return staged.status();
    if (!staged.ok()) return RunUnstaged(options, staged.status());
    TF_RETURN_IF_ERROR(ToAbsl(CheckStreams(staged->planned.request, MayHaveGpu(options))));
    const std::string summary = absl::StrCat(Describe(options), ": ", Summarize(*staged));
    if (!staged->planned.plan.stages.empty()) {
      TF_RETURN_IF_ERROR(PlaceOnStreams(options, staged->planned.graph.get()));
      if (absl::Status s = Publish(*std::move(staged), options); !s.ok()) {
        return RunUnstaged(options, s);
      }
      *published = true;
    }
    if (!options.is_function_graph) WarnOfUnknownExcludes(request, **options.graph);
    LOG(INFO) << "Headrace: " << summary;
    return absl::OkStatus();
  }

  absl::Status RunUnstaged(const GraphOptimizationPassOptions& options, const absl::Status& why) {
    LOG(WARNING) << "Headrace: " << Describe(options)
                 << " runs unstaged, since it could not be rewritten: " << why;
    return absl::OkStatus();
  }

  void Dump(const StagingRequest& request, const GraphOptimizationPassOptions& options) {
    if (request.session.dump_graph.empty()) return;
    const std::string function =
        options.function_def == nullptr ? "" : options.function_def->signature().name();
    const absl::Status status =
        DumpGraph(**options.graph, *options.flib_def, request.session.dump_graph, function);
    if (!status.ok()) {
      LOG(WARNING) << "Headrace: dump_graph could not write " << Describe(options) << ": "
                   << status;
    }
  }
};

REGISTER_OPTIMIZATION(tensorflow::OptimizationPassRegistry::PRE_PLACEMENT, 9, HeadraceStagingPass);

}  // namespace
}  // namespace headrace
