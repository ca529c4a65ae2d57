// The part of the C interface that plans.
#include <cstdlib>
#include <limits>
#include <string>
#include <string_view>

#include "tensorflow/c_api.h"
#include "tensorflow/c_api_result.h"
#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/protobuf/rewriter_config.pb.h"
#include "tensorflow/explain.h"
#include "tensorflow/options.h"
#include "tensorflow/runtime/convert.h"

namespace {

using headrace::CopyForCaller;
using headrace::ReportToCaller;
using headrace::Status;
using headrace::ToAbsl;
using Carrier = tensorflow::RewriterConfig_CustomGraphOptimizer;

absl::Status ReadGraph(const void* bytes, size_t size, tensorflow::GraphDef* graph_def) {
  if (size > static_cast<size_t>(std::numeric_limits<int>::max()) ||
      !graph_def->ParseFromArray(bytes, static_cast<int>(size))) {
    return absl::InvalidArgumentError("the bytes are no serialized GraphDef");
  }
  return absl::OkStatus();
}

absl::Status ReadOptions(const void* bytes, size_t size, Carrier* options) {
  return ToAbsl(
      headrace::MergeOptions(std::string_view(static_cast<const char*>(bytes), size), options));
}

absl::Status Explain(const void* graph_bytes, size_t graph_size, const void* option_bytes,
                     size_t option_size, headrace::Explanation* explanation) {
  tensorflow::GraphDef graph_def;
  Carrier options;
  TF_RETURN_IF_ERROR(ReadGraph(graph_bytes, graph_size, &graph_def));
  TF_RETURN_IF_ERROR(ReadOptions(option_bytes, option_size, &options));
  return headrace::ExplainGraphDef(graph_def, options, explanation);
}

absl::Status Rewrite(const void* graph_bytes, size_t graph_size, const void* option_bytes,
                     size_t option_size, std::string* rewritten) {
  tensorflow::GraphDef graph_def;
  Carrier options;
  TF_RETURN_IF_ERROR(ReadGraph(graph_bytes, graph_size, &graph_def));
  TF_RETURN_IF_ERROR(ReadOptions(option_bytes, option_size, &options));
  tensorflow::GraphDef result;
  TF_RETURN_IF_ERROR(headrace::RewriteGraphDef(graph_def, options, &result));
  if (!result.SerializeToString(rewritten)) {
    return absl::ResourceExhaustedError("the rewritten graph is larger than 2 GiB");
  }
  return absl::OkStatus();
}

}  // namespace

extern "C" {

void headrace_free(char* text) {
  std::free(text);
}

const char* headrace_version(void) {
  return HEADRACE_VERSION;
}

const char* headrace_built_for(void) {
  return HEADRACE_BUILT_FOR;
}

int headrace_explain(const void* graph_def, size_t graph_def_size, const void* options,
                     size_t options_size, char** plan, char** text, char** error) {
  headrace::Explanation explanation;
  const absl::Status status =
      Explain(graph_def, graph_def_size, options, options_size, &explanation);
  if (plan != nullptr) *plan = status.ok() ? CopyForCaller(explanation.json) : nullptr;
  if (text != nullptr) *text = status.ok() ? CopyForCaller(explanation.text) : nullptr;
  return ReportToCaller(status, error);
}

int headrace_rewrite(const void* graph_def, size_t graph_def_size, const void* options,
                     size_t options_size, char** graph_def_out, size_t* size_out, char** error) {
  std::string rewritten;
  const absl::Status status = Rewrite(graph_def, graph_def_size, options, options_size, &rewritten);
  *graph_def_out = status.ok() ? CopyForCaller(rewritten) : nullptr;
  *size_out = rewritten.size();
  return ReportToCaller(status, error);
}

int headrace_check_options(const void* options, size_t options_size, char** error) {
  headrace::StageOptions parsed;
  return ReportToCaller(
      ToAbsl(headrace::ParseStageOptions(
          std::string_view(static_cast<const char*>(options), options_size), &parsed)),
      error);
}

}  // extern "C"
