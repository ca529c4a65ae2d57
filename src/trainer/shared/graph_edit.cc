#include "trainer/shared/graph_edit.h"

#include "tensorflow/core/framework/node_def_util.h"

namespace headrace::trainer {

using ::tensorflow::Node;
using ::tensorflow::NodeBuilder;

Node* GraphEdit::Add(const std::string& name, const std::string& op,
                     const std::vector<Input>& inputs, const Attrs& attrs,
                     const std::vector<Node*>& after) {
  if (!status_.ok()) return nullptr;
  NodeBuilder builder(prefix_ + name, op);
  for (const Input& input : inputs) {
    if (input.is_list) {
      builder.Input(input.list);
    } else {
      builder.Input(input.single);
    }
  }
  for (const auto& [key, value] : attrs) builder.Attr(key, value);
  builder.ControlInputs(after);
  if (!device_.empty()) builder.Device(device_);
  Node* node = nullptr;
  status_ = builder.Finalize(graph_, &node);
  if (!status_.ok()) return nullptr;
  node->set_assigned_device_name("");
  return node;
}

Node* GraphEdit::Constant(const std::string& name, const tensorflow::Tensor& value) {
  return Add(name, "Const", {}, {Attr("dtype", value.dtype()), Attr("value", value)});
}

GraphEdit::Out InputOf(const Node& node, int input) {
  const tensorflow::Edge* edge = nullptr;
  if (!node.input_edge(input, &edge).ok()) return {};
  return {edge->src(), edge->src_output()};
}

}  // namespace headrace::trainer
