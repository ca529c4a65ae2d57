#include "tensorflow/infer_shapes.h"

#include "tensorflow/core/common_runtime/shape_refiner.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/graph/algorithm.h"
#include "tensorflow/core/graph/graph.h"

namespace headrace {

using ::tensorflow::Edge;
using ::tensorflow::Node;
using ::tensorflow::PartialTensorShape;

Shapes InferShapes(const tensorflow::Graph& graph,
                   const tensorflow::FunctionLibraryDefinition& library,
                   const std::unordered_set<const Node*>& wanted) {
  Shapes shapes;
  tensorflow::ShapeRefiner refiner(graph.versions(), graph.op_registry());
  refiner.set_require_shape_inference_fns(false);
  refiner.set_function_library_for_shape_inference(&library);
  std::vector<Node*> order;
  tensorflow::GetReversePostOrder(graph, &order, tensorflow::NodeComparatorName());
  for (const Node* node : order) {
    if (wanted.count(node) == 0) continue;
    bool inputs_known = true;
    for (const Edge* edge : node->in_edges()) {
      inputs_known &= edge->IsControlEdge() || shapes.count(edge->src()) > 0;
    }
    if (!inputs_known || !refiner.AddNode(node).ok()) continue;
    tensorflow::shape_inference::InferenceContext* context = refiner.GetContext(node);
    if (context == nullptr) continue;
    std::vector<PartialTensorShape>& outputs = shapes[node];
    for (int i = 0; i < node->num_outputs(); ++i) {
      tensorflow::TensorShapeProto proto;
      context->ShapeHandleToProto(context->output(i), &proto);
      outputs.emplace_back(proto);
    }
  }
  return shapes;
}

}  // namespace headrace
