// Adds nodes to a graph.
#ifndef HEADRACE_TRAINER_SHARED_GRAPH_EDIT_H_
#define HEADRACE_TRAINER_SHARED_GRAPH_EDIT_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/core/graph/node_builder.h"

namespace headrace::trainer {

// Names begin with one prefix, and must be new in the graph. The first error is kept, and
// everything after it is not done: nodes are nullptr then. Thread safety: none.
class GraphEdit {
 public:
  using Out = tensorflow::NodeBuilder::NodeOut;
  using Outs = std::vector<Out>;

  GraphEdit(std::string prefix, tensorflow::Graph* graph)
      : prefix_(std::move(prefix)), graph_(graph) {}

  // On which device the nodes after this go; "": not said.
  GraphEdit& On(const std::string& device) {
    device_ = device;
    return *this;
  }
  // `inputs`: one Out for a single tensor, Outs for a list.
  struct Input {
    Input(Out one) : single(std::move(one)) {}                  // NOLINT: short calls
    Input(tensorflow::Node* node) : single(node, 0) {}          // NOLINT
    Input(Outs many) : is_list(true), list(std::move(many)) {}  // NOLINT
    bool is_list = false;
    Out single;
    Outs list;
  };
  using Attrs = std::vector<std::pair<std::string, tensorflow::AttrValue>>;
  tensorflow::Node* Add(const std::string& name, const std::string& op,
                        const std::vector<Input>& inputs = {}, const Attrs& attrs = {},
                        const std::vector<tensorflow::Node*>& after = {});
  tensorflow::Node* Constant(const std::string& name, const tensorflow::Tensor& value);
  template <typename T>
  tensorflow::Node* Scalar(const std::string& name, const T& value) {
    return Constant(name, tensorflow::Tensor(value));
  }

  const absl::Status& status() const { return status_; }

 private:
  const std::string prefix_;
  tensorflow::Graph* const graph_;
  std::string device_;
  absl::Status status_;
};

template <typename T>
std::pair<std::string, tensorflow::AttrValue> Attr(const std::string& name, const T& value) {
  tensorflow::AttrValue made;
  tensorflow::SetAttrValue(value, &made);
  return {name, made};
}

// The tensor that a node takes as an input.
GraphEdit::Out InputOf(const tensorflow::Node& node, int input);

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_SHARED_GRAPH_EDIT_H_
