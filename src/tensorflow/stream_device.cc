#include "tensorflow/stream_device.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tensorflow/attributes.h"
#include "tensorflow/core/common_runtime/device.h"
#include "tensorflow/core/framework/node_def_util.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/core/util/device_name_utils.h"
#include "tensorflow/options.h"
#include "tensorflow/runtime/convert.h"

namespace headrace {
namespace {

using ::tensorflow::Device;
using ::tensorflow::DeviceNameUtils;

// Whether `device` is of the task that `host` names; of any, as far as `host` leaves it open.
bool InTask(const Device& device, const DeviceNameUtils::ParsedName& host) {
  const auto& parsed = device.parsed_name();
  return (!host.has_job || host.job == parsed.job) &&
         (!host.has_replica || host.replica == parsed.replica) &&
         (!host.has_task || host.task == parsed.task);
}

}  // namespace

absl::StatusOr<std::string> StreamDevice(const std::vector<Device*>& devices,
                                         const std::string& host, int stream) {
  DeviceNameUtils::ParsedName parsed;
  if (!DeviceNameUtils::ParseFullName(host, &parsed)) parsed.Clear();
  std::map<int, const Device*> gpus;  // by id
  for (const Device* device : devices) {
    if (device->device_type() == tensorflow::DEVICE_GPU && InTask(*device, parsed)) {
      gpus.emplace(device->parsed_name().id, device);
    }
  }
  const auto main = gpus.find(0);
  const auto found = gpus.find(stream);
  const bool same_gpu = main != gpus.end() && found != gpus.end() &&
                        main->second->attributes().physical_device_desc() ==
                            found->second->attributes().physical_device_desc();
  if (same_gpu) return found->second->name();
  std::vector<std::string> there;
  for (const auto& [id, device] : gpus) {
    there.push_back(
        absl::StrCat("'", device->name(), "' (", device->attributes().physical_device_desc(), ")"));
  }
  return absl::FailedPreconditionError(
      absl::StrCat("Headrace options: stage_subgraph_stream_id is ", stream, ", but GPU:", stream,
                   found == gpus.end() ? " is not there" : " is another GPU than GPU:0",
                   ". There are: ", there.empty() ? "none" : absl::StrJoin(there, ", "),
                   ". Divide the GPU into as many logical devices as there are streams "
                   "(gpu_options.experimental.virtual_devices: one memory_limit_mb each), or set "
                   "stage_subgraph_on_cpu, or leave the streams out"));
}

absl::Status PlaceStages(const std::vector<Device*>& devices, tensorflow::Graph* graph) {
  for (tensorflow::Node* node : graph->op_nodes()) {
    if (node->type_string() != kStagedCallOp && node->type_string() != kStageStartOp) continue;
    std::string carried;
    TF_RETURN_IF_ERROR(tensorflow::GetNodeAttr(node->attrs(), "options", &carried));
    StageOptions options;
    TF_RETURN_IF_ERROR(ToAbsl(ParseStageOptions(carried, &options)));
    if (options.stage_subgraph_stream_id == 0 || options.stage_subgraph_on_cpu) continue;
    TF_ASSIGN_OR_RETURN(const std::string device, StreamDevice(devices, node->requested_device(),
                                                               options.stage_subgraph_stream_id));
    node->AddAttr(kStageDeviceAttr, device);
  }
  return absl::OkStatus();
}

}  // namespace headrace
