#include "tensorflow/staging_request.h"

#include <algorithm>
#include <vector>

#include "tensorflow/attributes.h"
#include "tensorflow/core/framework/node_def_util.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/core/protobuf/config.pb.h"
#include "tensorflow/options.h"

namespace headrace {
namespace {

using ::tensorflow::Node;
using Carrier = ::tensorflow::RewriterConfig_CustomGraphOptimizer;

// Every graph-wide key of these options applies to the graph.
void AddGraphWide(const StageOptions& options, StagingRequest* request) {
  request->exclude.insert(options.exclude.begin(), options.exclude.end());
  request->largest_cut |= options.largest_cut;
}

Status CheckStreamsOf(const Carrier& carrier) {
  StageOptions options;
  if (Status s = ParseStageOptions(carrier, &options); !s.ok()) return s;
  const bool wants_stream = options.streams > 0 || options.stage_subgraph_stream_id > 0;
  if (!wants_stream || options.stage_subgraph_on_cpu) return Status();
  return Status(Code::kFailedPrecondition,
                "Headrace options: streams is " + std::to_string(options.streams) +
                    " and stage_subgraph_stream_id is " +
                    std::to_string(options.stage_subgraph_stream_id) +
                    ", but this session has no GPU: remove stage_subgraph_stream_id and the "
                    "multi-stream fields from the options");
}

}  // namespace

Status SetSessionOptions(const Carrier& carrier, StagingRequest* request) {
  if (Status s = ParseStageOptions(carrier, &request->session); !s.ok()) return s;
  request->has_carrier = true;
  request->carrier = carrier;
  request->carrier.set_name(kCarrierName);
  AddGraphWide(request->session, request);
  return Status();
}

bool HasCarrier(const tensorflow::ConfigProto& config) {
  const auto& entries = config.graph_options().rewrite_options().custom_optimizers();
  return std::any_of(entries.begin(), entries.end(),
                     [](const Carrier& entry) { return entry.name() == kCarrierName; });
}

Status ReadSessionOptions(const tensorflow::ConfigProto& config, StagingRequest* request) {
  const Carrier* found = nullptr;
  for (const Carrier& entry : config.graph_options().rewrite_options().custom_optimizers()) {
    if (entry.name() != kCarrierName) continue;
    if (found != nullptr) {
      return Status(Code::kInvalidArgument,
                    std::string("Headrace options: the ConfigProto has two entries named '") +
                        kCarrierName + "' in graph_options.rewrite_options.custom_optimizers");
    }
    found = &entry;
  }
  if (found != nullptr) return SetSessionOptions(*found, request);
  request->session.smart = false;
  return Status();
}

bool HasMarks(const tensorflow::Graph& graph) {
  for (const Node* node : graph.op_nodes()) {
    if (node->attrs().Find(kStagedAttr) != nullptr) return true;
  }
  return false;
}

Status ReadMarks(const tensorflow::Graph& graph, StagingRequest* request) {
  std::vector<const Node*> marked;
  for (const Node* node : graph.op_nodes()) {
    if (node->attrs().Find(kStagedAttr) != nullptr) marked.push_back(node);
  }
  std::sort(marked.begin(), marked.end(),
            [](const Node* a, const Node* b) { return a->name() < b->name(); });

  std::map<int, std::string> options_of_group;
  for (const Node* node : marked) {
    int group = 0;
    if (!tensorflow::TryGetNodeAttr(node->attrs(), kStagedAttr, &group) || group < 0) {
      return Status(Code::kInvalidArgument, "node '" + node->name() + "' has an attribute " +
                                                kStagedAttr + " that is no group number >= 0");
    }
    std::string options;
    tensorflow::TryGetNodeAttr(node->attrs(), kOptionsAttr, &options);
    const auto [entry, is_new] = options_of_group.emplace(group, options);
    if (!is_new) {
      if (entry->second == options) continue;
      return Status(Code::kInvalidArgument, "node '" + node->name() +
                                                "' carries other options than "
                                                "the rest of its group of tf.staged marks");
    }
    Carrier merged = request->carrier;
    if (Status s = MergeOptions(options, &merged); !s.ok()) return s;
    StageOptions parsed;
    if (Status s = ParseStageOptions(merged, &parsed); !s.ok()) {
      return Status(s.code(), s.message() + " (of the tf.staged mark '" + node->name() + "')");
    }
    AddGraphWide(parsed, request);
    request->marks.emplace(group, std::move(merged));
  }
  return Status();
}

Status CheckStreams(const StagingRequest& request, bool has_gpu) {
  if (has_gpu) return Status();
  if (Status s = CheckStreamsOf(request.carrier); !s.ok()) return s;
  for (const auto& [group, carrier] : request.marks) {
    if (Status s = CheckStreamsOf(carrier); !s.ok()) return s;
  }
  return Status();
}

const Carrier& OptionsOfStage(const StagingRequest& request, int mark) {
  const auto found = request.marks.find(mark);
  return found == request.marks.end() ? request.carrier : found->second;
}

}  // namespace headrace
