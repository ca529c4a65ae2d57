#include "tensorflow/device_copies.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "tensorflow/attributes.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/memory_types.h"
#include "tensorflow/core/framework/node_def_util.h"
#include "tensorflow/core/framework/types.h"
#include "tensorflow/core/graph/algorithm.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/core/graph/node_builder.h"
#include "tensorflow/core/util/device_name_utils.h"

namespace headrace {
namespace {

using ::tensorflow::DataType;
using ::tensorflow::DeviceNameUtils;
using ::tensorflow::Edge;
using ::tensorflow::Graph;
using ::tensorflow::Node;
using ::tensorflow::NodeBuilder;
using ::tensorflow::PartialTensorShape;

// An input in the memory of an accelerator that gets one of a StagedOutputs' tensors.
struct Use {
  int output = 0;
  std::string device;
  const Edge* edge = nullptr;
};

std::string DeviceOf(const Node& node) {
  return node.assigned_device_name().empty() ? node.requested_device()
                                             : node.assigned_device_name();
}

bool Parse(const Node& node, DeviceNameUtils::ParsedName* parsed) {
  return DeviceNameUtils::ParseFullName(DeviceOf(node), parsed) && parsed->has_type;
}

// What TensorFlow keeps in host memory whatever the device is never crosses to it.
bool CanBeOnDevice(DataType type) {
  return tensorflow::DataTypeCanUseMemcpy(type) && !tensorflow::DataTypeAlwaysOnHost(type);
}

// Whether the edge ends in the memory of an accelerator that `host` can copy to.
bool EndsOnAccelerator(const Graph& graph, const Node& host, const Edge& edge) {
  DeviceNameUtils::ParsedName from, to;
  if (!Parse(*edge.dst(), &to) || to.type != tensorflow::DEVICE_GPU) return false;
  if (!Parse(host, &from) || !DeviceNameUtils::IsSameAddressSpace(from, to)) return false;
  tensorflow::MemoryTypeVector inputs, outputs;
  const absl::Status known = MemoryTypesForNode(&graph.flib_def(), tensorflow::DeviceType(to.type),
                                                edge.dst()->def(), &inputs, &outputs);
  return known.ok() && edge.dst_input() < static_cast<int>(inputs.size()) &&
         inputs[edge.dst_input()] == tensorflow::DEVICE_MEMORY;
}

// An op on the host that only passes its input on, as those do that keep a tensor's name.
bool PassesOn(const Node& node) {
  if (!node.IsIdentity() && node.type_string() != "IdentityN") return false;
  DeviceNameUtils::ParsedName parsed;
  if (!Parse(node, &parsed) || parsed.type != tensorflow::DEVICE_CPU) return false;
  for (const Edge* edge : node.in_edges()) {
    if (edge->IsControlEdge() && edge->src()->IsOp()) return false;
  }
  return true;
}

void FindUses(const Graph& graph, const Node& outputs, const Node& from, int slot, int output,
              std::vector<Use>* uses) {
  for (const Edge* edge : from.out_edges()) {
    if (edge->IsControlEdge() || edge->src_output() != slot) continue;
    if (PassesOn(*edge->dst())) {
      FindUses(graph, outputs, *edge->dst(), edge->dst_input(), output, uses);
    } else if (EndsOnAccelerator(graph, outputs, *edge)) {
      uses->push_back({output, DeviceOf(*edge->dst()), edge});
    }
  }
}

// Of all tensors of a StagedOutputs, by output and device.
std::vector<Use> UsesOf(const Graph& graph, const Node& outputs) {
  std::vector<Use> uses;
  for (int i = 0; i < outputs.num_outputs(); ++i) {
    if (CanBeOnDevice(outputs.output_type(i))) FindUses(graph, outputs, outputs, i, i, &uses);
  }
  std::stable_sort(uses.begin(), uses.end(), [](const Use& a, const Use& b) {
    return std::tie(a.output, a.device) < std::tie(b.output, b.device);
  });
  return uses;
}

std::vector<Node*> NodesOf(const Graph& graph, const char* op) {
  std::vector<Node*> found;
  for (Node* node : graph.op_nodes()) {
    if (node->type_string() == op) found.push_back(node);
  }
  return found;
}

absl::StatusOr<Node*> CallOf(const Node& outputs) {
  Node* call = nullptr;
  TF_RETURN_IF_ERROR(outputs.input_node(0, &call));
  return call;
}

// 8 hex digits, the same in every process.
std::string Digest(const std::vector<int>& outputs, const std::vector<std::string>& devices) {
  std::uint32_t hash = 2166136261;
  const auto add = [&hash](const std::string& text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619;
  };
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    add(absl::StrCat(outputs[i], "@", devices[i], ";"));
  }
  return absl::StrFormat("%08x", hash);
}

// Takes a StagedOutputs' uses on one device from a new node there. Adds to `relieved` what they
// were taken from.
absl::Status AddDeviceOutputs(Node* call, const Node& outputs, const std::string& device,
                              const std::vector<Use>& uses, std::set<Node*>* relieved,
                              Graph* graph) {
  std::vector<int> origins, copied;
  std::vector<std::string> devices;
  std::vector<PartialTensorShape> shapes;
  std::vector<int> num_outputs;
  TF_RETURN_IF_ERROR(GetNodeAttr(outputs.attrs(), "outputs", &origins));
  TF_RETURN_IF_ERROR(GetNodeAttr(outputs.attrs(), "output_shapes", &shapes));
  TF_RETURN_IF_ERROR(GetNodeAttr(outputs.attrs(), "source_num_outputs", &num_outputs));
  TF_RETURN_IF_ERROR(GetNodeAttr(call->attrs(), kCopyOutputsAttr, &copied));
  TF_RETURN_IF_ERROR(GetNodeAttr(call->attrs(), kCopyDevicesAttr, &devices));

  tensorflow::DataTypeVector types;
  std::vector<PartialTensorShape> taken_shapes;
  std::vector<int> taken, copies;
  std::map<int, int> position;                     // of a StagedOutputs' output in the new node
  std::vector<std::pair<const Edge*, int>> moved;  // to that position
  for (const Use& use : uses) {
    if (use.device != device) continue;
    if (position.count(use.output) == 0) {
      std::size_t copy = 0;
      while (copy < copied.size() &&
             (copied[copy] != origins[use.output] || devices[copy] != device)) {
        ++copy;
      }
      // Not there when the graph was placed: TensorFlow's own transfer serves it.
      if (copy == copied.size()) continue;
      position[use.output] = static_cast<int>(taken.size());
      types.push_back(outputs.output_type(use.output));
      taken_shapes.push_back(shapes[use.output]);
      taken.push_back(origins[use.output]);
      copies.push_back(static_cast<int>(copy));
    }
    moved.emplace_back(use.edge, position[use.output]);
  }
  if (taken.empty()) return absl::OkStatus();

  DeviceNameUtils::ParsedName parsed;
  DeviceNameUtils::ParseFullName(device, &parsed);
  Node* node = nullptr;
  TF_RETURN_IF_ERROR(NodeBuilder(absl::StrCat(outputs.name(), "/", parsed.type, "_", parsed.id),
                                 kStagedDeviceOutputsOp)
                         .Input(call, 0)
                         .Attr("Tout", types)
                         .Attr("output_shapes", taken_shapes)
                         .Attr("source_num_outputs", num_outputs)
                         .Attr("outputs", taken)
                         .Attr("copies", copies)
                         .Attr("num_copies", static_cast<int>(copied.size()))
                         .Device(device)
                         .Finalize(graph, &node));
  node->set_assigned_device_name(device);
  node->SetStackTrace(call->GetStackTrace());
  for (const auto& [edge, slot] : moved) {
    Node* to = edge->dst();
    const int input = edge->dst_input();
    relieved->insert(edge->src());
    graph->RemoveEdge(edge);
    graph->AddEdge(node, slot, to, input);
  }
  return absl::OkStatus();
}

// Removes those of `nodes`, and what they alone take from, that nothing takes from any more: a
// StagedOutputs, or ops that pass its tensors on.
void RemoveUnused(std::set<Node*> nodes, Graph* graph) {
  while (!nodes.empty()) {
    Node* node = *nodes.begin();
    nodes.erase(nodes.begin());
    const auto& out = node->out_edges();
    if (std::any_of(out.begin(), out.end(), [](const Edge* edge) { return edge->dst()->IsOp(); })) {
      continue;
    }
    for (const Edge* edge : node->in_edges()) {
      Node* from = edge->src();
      if (from->IsOp() && (from->type_string() == kStagedOutputsOp || PassesOn(*from))) {
        nodes.insert(from);
      }
    }
    graph->RemoveNode(node);
  }
}

}  // namespace

absl::Status MarkCopies(Graph* graph) {
  for (const Node* outputs : NodesOf(*graph, kStagedOutputsOp)) {
    std::vector<int> origins, copied;
    TF_RETURN_IF_ERROR(GetNodeAttr(outputs->attrs(), "outputs", &origins));
    std::vector<std::string> devices;
    const Use* last = nullptr;
    const std::vector<Use> uses = UsesOf(*graph, *outputs);
    for (const Use& use : uses) {
      const bool again =
          last != nullptr && last->output == use.output && last->device == use.device;
      last = &use;
      if (again) continue;
      copied.push_back(origins[use.output]);
      devices.push_back(use.device);
    }
    if (copied.empty()) continue;
    TF_ASSIGN_OR_RETURN(Node * call, CallOf(*outputs));
    LOG(INFO) << "Headrace: the stage of '" << call->name() << "' copies " << copied.size()
              << (copied.size() == 1 ? " tensor" : " tensors") << " to "
              << absl::StrJoin(std::set<std::string>(devices.begin(), devices.end()), ", ");
    const std::string name = call->name();
    call->set_name(absl::StrCat(name, "-", Digest(copied, devices)));
    call->AddAttr(kCopyOutputsAttr, copied);
    call->AddAttr(kCopyDevicesAttr, devices);
    for (Node* start : NodesOf(*graph, kStageStartOp)) {
      std::string of;
      TF_RETURN_IF_ERROR(GetNodeAttr(start->attrs(), "call", &of));
      if (of != name) continue;
      start->set_name(absl::StrCat(call->name(), "/start"));
      start->ClearAttr("call");
      start->AddAttr("call", call->name());
      start->AddAttr(kCopyOutputsAttr, copied);
      start->AddAttr(kCopyDevicesAttr, devices);
    }
  }
  return absl::OkStatus();
}

absl::Status TakeCopies(bool is_function_graph, Graph* graph) {
  std::set<Node*> relieved;
  for (Node* outputs : NodesOf(*graph, kStagedOutputsOp)) {
    TF_ASSIGN_OR_RETURN(Node * call, CallOf(*outputs));
    if (call->attrs().Find(kCopyOutputsAttr) == nullptr) continue;
    const std::vector<Use> uses = UsesOf(*graph, *outputs);
    std::set<std::string> devices;
    for (const Use& use : uses) devices.insert(use.device);
    for (const std::string& device : devices) {
      TF_RETURN_IF_ERROR(AddDeviceOutputs(call, *outputs, device, uses, &relieved, graph));
    }
  }
  if (relieved.empty()) return absl::OkStatus();
  if (!is_function_graph) RemoveUnused(std::move(relieved), graph);
  tensorflow::FixupSourceAndSinkEdges(graph);
  return absl::OkStatus();
}

}  // namespace headrace
