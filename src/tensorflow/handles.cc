#include "tensorflow/handles.h"

#include <algorithm>
#include <unordered_set>

#include "tensorflow/core/framework/node_def_util.h"
#include "tensorflow/core/framework/types.pb.h"
#include "tensorflow/core/graph/graph.h"

namespace headrace {
namespace {

using ::tensorflow::Edge;
using ::tensorflow::Graph;
using ::tensorflow::Node;

bool MakesHandles(const Node& node) {
  switch (LookUpOp(node.type_string())) {
    case OpGroup::kIteratorHandle:
    case OpGroup::kIteratorFromString:
    case OpGroup::kQueueHandle:
    case OpGroup::kOrderedQueueHandle:
    case OpGroup::kReaderHandle:
    case OpGroup::kImmutableTableHandle:
    case OpGroup::kMutableTableHandle:
    case OpGroup::kVariableHandle:
    case OpGroup::kOtherHandle: return true;
    case OpGroup::kArgument: return node.IsArg() && node.output_type(0) == tensorflow::DT_RESOURCE;
    default: return false;
  }
}

// Equal for nodes that share their resource: by TensorFlow's rule, those of one container and
// shared name, a node without one going by its own. Handles made from strings may all be the same
// one.
std::string SharingKey(const Node& node) {
  if (LookUpOp(node.type_string()) == OpGroup::kIteratorFromString) return "from string";
  std::string container;
  std::string shared_name;
  tensorflow::TryGetNodeAttr(node.attrs(), "container", &container);
  tensorflow::TryGetNodeAttr(node.attrs(), "shared_name", &shared_name);
  if (shared_name.empty()) shared_name = node.name();
  return std::to_string(static_cast<int>(LookUpOp(node.type_string()))) + '\n' + container + '\n' +
         shared_name;
}

void KeepFirst(const std::string& name, std::string* first) {
  if (first->empty() || name < *first) *first = name;
}

}  // namespace

Handles::Handles(const Graph& graph, FunctionAnalyzer* functions) {
  for (const Node* node : graph.op_nodes()) {
    if (!MakesHandles(*node)) continue;
    Resource& resource = resources_[SharingKey(*node)];
    KeepFirst(node->name(), &resource.name);
    resource.group = LookUpOp(node->type_string());
    by_producer_[node] = &resource;
  }
  for (const Node* node : graph.op_nodes()) AddUses(*node, functions);
  for (auto& [key, resource] : resources_) {
    std::sort(resource.makers.begin(), resource.makers.end(),
              [](const Node* a, const Node* b) { return a->name() < b->name(); });
    std::sort(resource.consumers.begin(), resource.consumers.end());
  }
}

const Node* Handles::Producer(const Node* node, int output) {
  while (node->type_string() == "Identity" || node->type_string() == "IdentityN") {
    const Edge* edge = nullptr;
    if (!node->input_edge(output, &edge).ok()) return nullptr;
    node = edge->src();
    output = edge->src_output();
  }
  return output == 0 && node->IsOp() && MakesHandles(*node) ? node : nullptr;
}

const Handles::Resource* Handles::OfProducer(const Node* producer) const {
  const auto found = by_producer_.find(producer);
  return found == by_producer_.end() ? nullptr : found->second;
}

const Handles::Resource* Handles::OfInput(const Node& node, int input) const {
  const Edge* edge = nullptr;
  if (!node.input_edge(input, &edge).ok()) return nullptr;
  return OfProducer(Producer(edge->src(), edge->src_output()));
}

std::vector<const Handles::Resource*> Handles::UsedByDatasets(const Resource& iterator) const {
  std::map<std::string, const Resource*> used;
  std::unordered_set<const Node*> seen;
  std::vector<const Node*> open;
  const auto visit = [&](const Edge* edge) {
    if (edge->IsControlEdge() || !edge->src()->IsOp()) return;
    if (seen.insert(edge->src()).second) open.push_back(edge->src());
  };
  for (const Node* maker : iterator.makers) {
    const Edge* dataset = nullptr;
    if (maker->input_edge(0, &dataset).ok()) visit(dataset);
  }
  while (!open.empty()) {
    const Node* node = open.back();
    open.pop_back();
    if (const Resource* resource = OfProducer(node)) used.emplace(resource->name, resource);
    for (const Edge* edge : node->in_edges()) visit(edge);
  }
  std::vector<const Resource*> resources;
  for (const auto& [name, resource] : used) resources.push_back(resource);
  return resources;
}

Handles::Resource* Handles::Find(const Edge& edge) {
  const auto found = by_producer_.find(Producer(edge.src(), edge.src_output()));
  return found == by_producer_.end() ? nullptr : found->second;
}

void Handles::AddUses(const Node& node, FunctionAnalyzer* functions) {
  const OpGroup group = LookUpOp(node.type_string());
  if (node.type_string() == "Identity" || node.type_string() == "IdentityN") return;
  FunctionEffects effects;
  bool calls = false;
  for (const Edge* edge : node.in_edges()) {
    if (edge->IsControlEdge() || node.input_type(edge->dst_input()) != tensorflow::DT_RESOURCE) {
      continue;
    }
    Resource* const resource = Find(*edge);
    if (resource == nullptr) continue;
    if (!calls) {
      effects = functions->OfNode(node.def(), node.num_inputs());
      calls = functions->RunsFunctions(node.def());
    }
    const int input = edge->dst_input();
    if (group == OpGroup::kMakeIterator) resource->makers.push_back(&node);
    if (IsSource(group)) resource->consumers.push_back(node.name());
    if (group == OpGroup::kSaveIterator) KeepFirst(node.name(), &resource->saver);
    if (effects.iterators_saved.count(input) > 0) KeepFirst(node.name(), &resource->saver);
    if (effects.iterators_made.count(input) > 0) KeepFirst(node.name(), &resource->hidden_maker);
    if (effects.elements_read.count(input) > 0) KeepFirst(node.name(), &resource->hidden_reader);
    bool reads = group == OpGroup::kVariableRead || group == OpGroup::kTableRead;
    if (calls) reads = effects.other_uses.count(input) == 0;
    if (group == OpGroup::kDataset) reads = functions->OnlyReads(node.def());
    if (!reads) KeepFirst(node.name(), &resource->writer);
  }
}

}  // namespace headrace
