#include "tensorflow/test_graph.h"

#include <algorithm>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "tensorflow/core/common_runtime/graph_constructor.h"
#include "tensorflow/core/framework/graph_def_util.h"
#include "tensorflow/core/framework/versions.pb.h"
#include "tensorflow/core/public/version.h"

namespace headrace {
namespace {

using ::tensorflow::DataType;
using ::tensorflow::DT_INT32;
using ::tensorflow::DT_INT64;
using ::tensorflow::Edge;
using ::tensorflow::Graph;
using ::tensorflow::Node;
using ::tensorflow::PartialTensorShape;
using ::tensorflow::Tensor;

const std::vector<DataType>& Int64() {
  static const auto* const types = new std::vector<DataType>{DT_INT64};
  return *types;
}

std::vector<PartialTensorShape> VectorShape() {
  return {PartialTensorShape({-1})};
}

}  // namespace

TestGraph& TestGraph::Add(const std::string& name, const std::string& op,
                          const std::vector<std::string>& inputs, const Attrs& attrs) {
  tensorflow::NodeDef* node = def_.add_node();
  node->set_name(name);
  node->set_op(op);
  for (const std::string& input : inputs) node->add_input(input);
  for (const auto& [key, value] : attrs) (*node->mutable_attr())[key] = value;
  def_.mutable_versions()->set_producer(TF_GRAPH_DEF_VERSION);
  return *this;
}

TestGraph& TestGraph::AddNumber(const std::string& name, std::int64_t value) {
  Tensor tensor(DT_INT64, {});
  tensor.scalar<std::int64_t>()() = value;
  return Add(name, "Const", {}, {{"dtype", Attr(DT_INT64)}, {"value", Attr(tensor)}});
}

TestGraph& TestGraph::AddIndex(const std::string& name, int value) {
  Tensor tensor(DT_INT32, {});
  tensor.scalar<int>()() = value;
  return Add(name, "Const", {}, {{"dtype", Attr(DT_INT32)}, {"value", Attr(tensor)}});
}

TestGraph& TestGraph::AddIterator(const std::string& name) {
  const Attrs element = {{"output_types", Attr(Int64())}, {"output_shapes", Attr(VectorShape())}};
  Attrs iterator = element;
  iterator.emplace_back("shared_name", Attr(""));
  iterator.emplace_back("container", Attr(""));
  Add(name, "IteratorV2", {}, iterator);
  return Add(name + "/next", "IteratorGetNext", {name}, element);
}

TestGraph& TestGraph::AddInitializer(const std::string& iterator) {
  const std::string scope = iterator + "/dataset";
  AddNumber(scope + "/start", 0).AddNumber(scope + "/stop", 100).AddNumber(scope + "/step", 1);
  AddNumber(scope + "/batch", 2);
  Add(scope + "/remainder", "Const", {},
      {{"dtype", Attr(tensorflow::DT_BOOL)}, {"value", Attr(Tensor(true))}});
  const std::vector<PartialTensorShape> scalar = {PartialTensorShape({})};
  Add(scope + "/range", "RangeDataset", {scope + "/start", scope + "/stop", scope + "/step"},
      {{"output_types", Attr(Int64())}, {"output_shapes", Attr(scalar)}});
  Add(scope + "/batched", "BatchDatasetV2",
      {scope + "/range", scope + "/batch", scope + "/remainder"},
      {{"output_types", Attr(Int64())}, {"output_shapes", Attr(VectorShape())}});
  return Add(iterator + "/init", "MakeIterator", {scope + "/batched", iterator});
}

TestGraph& TestGraph::AddVariable(const std::string& name) {
  Add(name, "VarHandleOp", {},
      {{"dtype", Attr(DT_INT64)},
       {"shape", Attr(PartialTensorShape({}))},
       {"shared_name", Attr(name)}});
  AddNumber(name + "/zero", 0);
  return Add(name + "/init", "AssignVariableOp", {name, name + "/zero"},
             {{"dtype", Attr(DT_INT64)}});
}

TestGraph& TestGraph::AddFunction(const tensorflow::FunctionDef& function) {
  *def_.mutable_library()->add_function() = function;
  return *this;
}

tensorflow::NodeDef* TestGraph::Find(const std::string& node) {
  for (tensorflow::NodeDef& candidate : *def_.mutable_node()) {
    if (candidate.name() == node) return &candidate;
  }
  LOG(FATAL) << "no node " << node;
}

TestGraph& TestGraph::SetDevice(const std::string& node, const std::string& device) {
  Find(node)->set_device(device);
  return *this;
}

TestGraph& TestGraph::SetAttr(const std::string& node, const std::string& key,
                              const tensorflow::AttrValue& value) {
  (*Find(node)->mutable_attr())[key] = value;
  return *this;
}

std::unique_ptr<Graph> TestGraph::Build() const {
  tensorflow::GraphDef def = def_;
  const tensorflow::FunctionLibraryDefinition library = Library();
  CHECK_OK(tensorflow::AddDefaultAttrsToGraphDef(&def, library, 0));
  auto graph = std::make_unique<Graph>(tensorflow::OpRegistry::Global());
  tensorflow::GraphConstructorOptions options;
  options.allow_internal_ops = true;
  CHECK_OK(tensorflow::ConvertGraphDefToGraph(options, def, graph.get()));
  return graph;
}

tensorflow::FunctionLibraryDefinition TestGraph::Library() const {
  return tensorflow::FunctionLibraryDefinition(tensorflow::OpRegistry::Global(), def_.library());
}

tensorflow::FunctionDef MakeFunction(const std::string& name,
                                     const std::vector<std::string>& parameters,
                                     const std::vector<std::string>& results,
                                     const std::vector<FunctionNode>& nodes,
                                     const std::vector<std::string>& returns,
                                     const std::vector<std::string>& effects) {
  using Helper = tensorflow::FunctionDefHelper;
  std::vector<Helper::Node> body;
  for (const FunctionNode& node : nodes) {
    Helper::Node& added = body.emplace_back();
    added.ret = {node.name};
    added.op = node.op;
    for (const std::string& input : node.inputs) {
      if (input[0] == '^') {
        added.dep.push_back(input.substr(1));
      } else {
        added.arg.push_back(input);
      }
    }
    for (const auto& [key, value] : node.attrs) {
      Helper::AttrValueWrapper wrapper;
      wrapper.proto = value;
      added.attr.emplace_back(key, wrapper);
    }
  }
  std::vector<std::pair<std::string, std::string>> returned;
  for (std::size_t i = 0; i < results.size(); ++i) {
    returned.emplace_back(results[i].substr(0, results[i].find(':')), returns[i]);
  }
  std::vector<std::pair<std::string, std::string>> controls;
  for (const std::string& effect : effects) controls.emplace_back(effect, effect);
  return Helper::Create(name, parameters, results, {}, body, returned, controls);
}

tensorflow::AttrValue FunctionAttr(const std::string& name) {
  tensorflow::AttrValue attr;
  attr.mutable_func()->set_name(name);
  return attr;
}

Node* FindNode(const Graph& graph, const std::string& name) {
  for (Node* node : graph.op_nodes()) {
    if (node->name() == name) return node;
  }
  return nullptr;
}

std::vector<std::string> InputsOf(const Graph& graph, const std::string& name) {
  const Node* node = FindNode(graph, name);
  if (node == nullptr) return {"no node " + name};
  std::vector<std::string> inputs(node->num_inputs());
  std::vector<std::string> controls;
  for (const Edge* edge : node->in_edges()) {
    if (!edge->src()->IsOp()) continue;
    if (edge->IsControlEdge()) {
      controls.push_back("^" + edge->src()->name());
    } else {
      inputs[edge->dst_input()] = absl::StrCat(edge->src()->name(), ":", edge->src_output());
    }
  }
  std::sort(controls.begin(), controls.end());
  inputs.insert(inputs.end(), controls.begin(), controls.end());
  return inputs;
}

std::vector<std::string> NamesOf(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node* node : graph.op_nodes()) names.push_back(node->name());
  std::sort(names.begin(), names.end());
  return names;
}

TestGraph TrainingGraph() {
  TestGraph graph;
  graph.AddIterator("it").AddInitializer("it").AddVariable("v");
  graph.Add("text", "AsString", {"it/next"}, {{"T", Attr(DT_INT64)}});
  graph.Add("hash", "StringToHashBucketFast", {"text"}, {{"num_buckets", Attr(10)}});
  graph.Add("v/read", "ReadVariableOp", {"v"}, {{"dtype", Attr(DT_INT64)}});
  graph.Add("sum", "AddV2", {"hash", "v/read"}, {{"T", Attr(DT_INT64)}});
  graph.AddIndex("axis", 0);
  graph.Add("total", "Sum", {"sum", "axis"}, {{"T", Attr(DT_INT64)}, {"Tidx", Attr(DT_INT32)}});
  graph.Add("v/update", "AssignAddVariableOp", {"v", "total"}, {{"dtype", Attr(DT_INT64)}});
  return graph;
}

}  // namespace headrace
