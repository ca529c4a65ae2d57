// Static shapes of the tensors that may be staged, as far as they can be inferred.
#ifndef HEADRACE_TENSORFLOW_INFER_SHAPES_H_
#define HEADRACE_TENSORFLOW_INFER_SHAPES_H_

#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tensorflow/core/framework/tensor_shape.h"

namespace tensorflow {
class FunctionLibraryDefinition;
class Graph;
class Node;
}  // namespace tensorflow

namespace headrace {

// Shapes of each node's outputs. A node that is not in the map has unknown shapes.
using Shapes =
    std::unordered_map<const tensorflow::Node*, std::vector<tensorflow::PartialTensorShape>>;

// Of the nodes in `wanted`, which must hold the inputs of each of its nodes. A node whose shape
// function fails, and all that depend on it, are left out: the graph may still be right when it
// runs.
Shapes InferShapes(const tensorflow::Graph& graph,
                   const tensorflow::FunctionLibraryDefinition& library,
                   const std::unordered_set<const tensorflow::Node*>& wanted);

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_INFER_SHAPES_H_
