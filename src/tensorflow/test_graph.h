// Small graphs for tests, written node by node.
#ifndef HEADRACE_TENSORFLOW_TEST_GRAPH_H_
#define HEADRACE_TENSORFLOW_TEST_GRAPH_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tensorflow/core/framework/attr_value.pb.h"
#include "tensorflow/core/framework/attr_value_util.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/graph.pb.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/graph/graph.h"

namespace headrace {

using Attrs = std::vector<std::pair<std::string, tensorflow::AttrValue>>;

template <typename T>
tensorflow::AttrValue Attr(T value) {
  tensorflow::AttrValue attr;
  tensorflow::SetAttrValue(value, &attr);
  return attr;
}

// Add() returns the builder, so that a graph reads top to bottom. An invalid graph ends the test.
class TestGraph {
 public:
  TestGraph& Add(const std::string& name, const std::string& op,
                 const std::vector<std::string>& inputs = {}, const Attrs& attrs = {});
  // "<name>": scalar of type int64; "<name>" of type int32 with AddIndex.
  TestGraph& AddNumber(const std::string& name, std::int64_t value);
  TestGraph& AddIndex(const std::string& name, int value);
  // Iterator over int64 vectors: "<name>" (the handle) and "<name>/next".
  TestGraph& AddIterator(const std::string& name);
  // Dataset of the numbers 0 to 99 in batches of 2, and "<iterator>/init" that sets it.
  TestGraph& AddInitializer(const std::string& iterator);
  // int64 variable "<name>", and "<name>/init" that assigns it.
  TestGraph& AddVariable(const std::string& name);
  TestGraph& AddFunction(const tensorflow::FunctionDef& function);
  TestGraph& SetDevice(const std::string& node, const std::string& device);
  TestGraph& SetAttr(const std::string& node, const std::string& key,
                     const tensorflow::AttrValue& value);

  const tensorflow::GraphDef& def() const { return def_; }
  // As a session builds it.
  std::unique_ptr<tensorflow::Graph> Build() const;
  tensorflow::FunctionLibraryDefinition Library() const;

 private:
  tensorflow::NodeDef* Find(const std::string& node);

  tensorflow::GraphDef def_;
};

// A node of a function body; inputs are "parameter", "node:result:0" or "^node".
struct FunctionNode {
  std::string name;
  std::string op;
  std::vector<std::string> inputs;
  Attrs attrs;
};

// `parameters` and `results`: "name: type"; `returns`: the tensor of each result; `effects`: nodes
// that run although no result needs them.
tensorflow::FunctionDef MakeFunction(const std::string& name,
                                     const std::vector<std::string>& parameters,
                                     const std::vector<std::string>& results,
                                     const std::vector<FunctionNode>& nodes,
                                     const std::vector<std::string>& returns,
                                     const std::vector<std::string>& effects = {});
tensorflow::AttrValue FunctionAttr(const std::string& name);

// The node of this name, or null.
tensorflow::Node* FindNode(const tensorflow::Graph& graph, const std::string& name);
// Sources of a node's data inputs in order ("node:0"), then of its control inputs ("^node"),
// sorted.
std::vector<std::string> InputsOf(const tensorflow::Graph& graph, const std::string& name);
std::vector<std::string> NamesOf(const tensorflow::Graph& graph);

// iterator -> AsString -> hash -> +variable -> sum, and the variable's update by the sum; an
// iterator initializer. The names: it, it/next, text, hash, v, v/read, sum, v/update, it/init.
TestGraph TrainingGraph();

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_TEST_GRAPH_H_
