#include "tensorflow/graph_view.h"

#include <algorithm>
#include <set>

#include "tensorflow/attributes.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/node_def_util.h"
#include "tensorflow/core/framework/types.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/core/util/device_name_utils.h"
#include "tensorflow/op_traits.h"
#include "tensorflow/staging_request.h"

namespace headrace {
namespace {

using plan::Trait;
using ::tensorflow::DataType;
using ::tensorflow::DeviceNameUtils;
using ::tensorflow::Edge;
using ::tensorflow::Graph;
using ::tensorflow::Node;
using ::tensorflow::PartialTensorShape;

// Payload up to which an elementwise op costs no more than a launch.
constexpr std::int64_t kSmallBytes = 256;

bool Flag(const Node& node, const char* attr) {
  bool value = false;
  return tensorflow::TryGetNodeAttr(node.attrs(), attr, &value) && value;
}

// "[?,13]", "?" for an unknown rank.
std::string ShapeText(const PartialTensorShape& shape) {
  if (shape.unknown_rank()) return "?";
  std::string text = "[";
  for (int i = 0; i < shape.dims(); ++i) {
    if (i > 0) text += ',';
    text += shape.dim_size(i) < 0 ? "?" : std::to_string(shape.dim_size(i));
  }
  return text + "]";
}

std::int64_t Bytes(DataType type, const PartialTensorShape& shape) {
  const std::int64_t elements = shape.num_elements();
  const int size = tensorflow::DataTypeSize(type);
  return elements < 0 || size == 0 ? -1 : elements * size;
}

plan::OutputInfo Describe(DataType type, const PartialTensorShape& shape) {
  plan::OutputInfo info;
  info.dtype = tensorflow::DataTypeString(type);
  info.shape = ShapeText(shape);
  info.bytes = Bytes(type, shape);
  info.can_cross = !tensorflow::IsRefType(type);
  return info;
}

// Nodes whose shapes matter: those that could be staged, by their own trait and their inputs'.
std::unordered_set<const Node*> MayBeStaged(const GraphView& view) {
  std::unordered_set<const Node*> staged(view.nodes.begin(), view.nodes.end());
  std::vector<const Node*> open;
  for (std::size_t i = 0; i < view.nodes.size(); ++i) {
    const Trait trait = view.graph.nodes[i].trait;
    if (trait == Trait::kBarrier || trait == Trait::kQueueWrite) open.push_back(view.nodes[i]);
  }
  for (const Node* node : open) staged.erase(node);
  while (!open.empty()) {
    const Node* node = open.back();
    open.pop_back();
    for (const Edge* edge : node->out_edges()) {
      if (!edge->IsControlEdge() && edge->dst()->IsOp() && staged.erase(edge->dst()) > 0) {
        open.push_back(edge->dst());
      }
    }
  }
  return staged;
}

void FillEdges(const GraphView& view, const Node& node, plan::Node* out) {
  out->inputs.resize(node.num_inputs());
  std::vector<int> controls;
  for (const Edge* edge : node.in_edges()) {
    if (!edge->src()->IsOp()) continue;
    const int source = view.index.at(edge->src());
    if (!edge->IsControlEdge()) {
      out->inputs[edge->dst_input()] = {source, edge->src_output()};
    } else {
      controls.push_back(source);
    }
  }
  std::sort(controls.begin(), controls.end());
  out->control_inputs = std::move(controls);
}

// tf.control_dependencies([assert]) often holds back a constant, and only thereby what uses it. A
// constant that may be copied to either side waits for nothing, so its users wait in its place.
void PassOnControls(plan::Graph* graph) {
  const auto waits = [graph](int node) {
    const plan::Node& n = graph->nodes[node];
    return n.trait == Trait::kConstant && !n.control_inputs.empty();
  };
  bool any = false;
  for (plan::Node& node : graph->nodes) {
    std::set<int> controls;
    std::set<int> passed;
    std::vector<int> open(node.control_inputs);
    for (const plan::Endpoint& input : node.inputs) {
      if (waits(input.node)) open.push_back(input.node);
    }
    while (!open.empty()) {
      const int control = open.back();
      open.pop_back();
      if (!waits(control)) {
        controls.insert(control);
      } else if (passed.insert(control).second) {
        const std::vector<int>& behind = graph->nodes[control].control_inputs;
        open.insert(open.end(), behind.begin(), behind.end());
      }
    }
    any |= !passed.empty();
    node.control_inputs.assign(controls.begin(), controls.end());
  }
  if (!any) return;
  for (plan::Node& node : graph->nodes) {
    if (node.trait == Trait::kConstant) node.control_inputs.clear();
  }
}

// Requested devices of the resources that a node uses.
std::vector<std::string> HandleDevices(const Node& node) {
  std::vector<std::string> devices;
  for (const Edge* edge : node.in_edges()) {
    if (edge->IsControlEdge() || node.input_type(edge->dst_input()) != tensorflow::DT_RESOURCE) {
      continue;
    }
    const Node* producer = Handles::Producer(edge->src(), edge->src_output());
    if (producer != nullptr) devices.push_back(producer->requested_device());
  }
  std::sort(devices.begin(), devices.end());
  return devices;
}

// A node that takes a handle runs where the handle is; a stage takes its handles on the host.
void SetDevice(const Node& node, bool on_cpu, plan::Node* out) {
  out->device = StageDevice(node.requested_device(), on_cpu);
  for (const std::string& device : HandleDevices(node)) {
    const std::string reduced = StageDevice(device, on_cpu);
    if (!reduced.empty()) out->device = reduced;
    DeviceNameUtils::ParsedName parsed;
    const bool on_accelerator =
        DeviceNameUtils::ParseFullName(device, &parsed) && parsed.has_type && parsed.type != "CPU";
    if (!on_accelerator || (out->trait != Trait::kSource && out->trait != Trait::kPure)) continue;
    out->trait = Trait::kBarrier;
    out->barrier_code = plan::ReasonCode::kDevice;
    out->barrier_text =
        "uses a resource on '" + device + "', and a stage's resources are on the host";
  }
}

// "/device:GPU:0"; empty where none is asked for.
std::string RequestedAccelerator(const std::string& requested) {
  DeviceNameUtils::ParsedName parsed;
  if (!DeviceNameUtils::ParseFullName(requested, &parsed) || !parsed.has_type) return "";
  if (parsed.type == tensorflow::DEVICE_CPU) return "";
  return StageDevice(requested, /*on_cpu=*/false);
}

plan::Node Translate(const Node& node, const StagingRequest& request, TraitFinder* finder) {
  plan::Node out;
  out.name = node.name();
  out.op = node.type_string();
  NodeTraits traits = finder->Of(node);
  out.trait = traits.trait;
  out.barrier_code = traits.code;
  out.barrier_text = std::move(traits.text);
  out.resource = std::move(traits.resource);
  SetDevice(node, request.session.stage_subgraph_on_cpu, &out);
  out.accelerator = RequestedAccelerator(node.requested_device());
  out.target = Flag(node, kTargetAttr);
  out.excluded = request.exclude.count(node.name()) > 0;
  out.keep = Flag(node, kKeepAttr);
  if (!tensorflow::TryGetNodeAttr(node.attrs(), kStagedAttr, &out.mark)) out.mark = -1;
  out.cost = OpCost(node.type_string());
  return out;
}

void AddShapes(const Shapes& shapes, const Node& node, plan::Node* out) {
  const auto known = shapes.find(&node);
  bool small = node.num_outputs() > 0;
  for (int i = 0; i < node.num_outputs(); ++i) {
    const PartialTensorShape shape =
        known == shapes.end() ? PartialTensorShape() : known->second[i];
    out->outputs.push_back(Describe(node.output_type(i), shape));
    const std::int64_t bytes = out->outputs.back().bytes;
    small &= bytes >= 0 && bytes <= kSmallBytes;
  }
  out->cheap =
      out->trait == Trait::kPure && (IsMetadataOp(out->op) || (small && IsCheapOnSmall(out->op)));
}

}  // namespace

std::string StageDevice(const std::string& requested, bool on_cpu) {
  DeviceNameUtils::ParsedName parsed;
  if (requested.empty() || !DeviceNameUtils::ParseFullName(requested, &parsed)) return requested;
  if (parsed.has_type && (on_cpu || parsed.type == "CPU")) {
    parsed.has_type = false;
    parsed.has_id = false;
  }
  // A type alone means its first device.
  if (parsed.has_type && !parsed.has_id) {
    parsed.has_id = true;
    parsed.id = 0;
  }
  if (!parsed.has_type) parsed.has_id = false;
  return DeviceNameUtils::ParsedNameToString(parsed);
}

GraphView MakeGraphView(const Graph& graph, const tensorflow::FunctionLibraryDefinition& library,
                        const StagingRequest& request, TraitFinder* finder) {
  GraphView view;
  for (Node* node : graph.op_nodes()) view.nodes.push_back(node);
  std::sort(view.nodes.begin(), view.nodes.end(),
            [](const Node* a, const Node* b) { return a->name() < b->name(); });
  for (std::size_t i = 0; i < view.nodes.size(); ++i)
    view.index[view.nodes[i]] = static_cast<int>(i);
  for (const Node* node : view.nodes) {
    plan::Node out = Translate(*node, request, finder);
    FillEdges(view, *node, &out);
    view.graph.nodes.push_back(std::move(out));
  }
  PassOnControls(&view.graph);
  view.shapes = InferShapes(graph, library, MayBeStaged(view));
  for (std::size_t i = 0; i < view.nodes.size(); ++i) {
    AddShapes(view.shapes, *view.nodes[i], &view.graph.nodes[i]);
  }
  return view;
}

bool HasSource(const Graph& graph, const tensorflow::FunctionLibraryDefinition& library) {
  FunctionAnalyzer functions(&library);
  for (const Node* node : graph.op_nodes()) {
    if (IsSource(LookUpOp(node->type_string()))) return true;
    if (!functions.RunsFunctions(node->def())) continue;
    const FunctionEffects effects = functions.OfNode(node->def(), node->num_inputs());
    if (effects.has_source || effects.has_hidden_source) return true;
  }
  return false;
}

}  // namespace headrace
