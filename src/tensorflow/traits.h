// The planner's view of single nodes: what running each of them ahead of the training step would
// mean.
#ifndef HEADRACE_TENSORFLOW_TRAITS_H_
#define HEADRACE_TENSORFLOW_TRAITS_H_

#include <string>
#include <unordered_map>
#include <unordered_set>

#include "plan/graph.h"
#include "tensorflow/function_effects.h"
#include "tensorflow/handles.h"

namespace tensorflow {
class FunctionLibraryDefinition;
class Graph;
class Node;
}  // namespace tensorflow

namespace headrace {

struct NodeTraits {
  plan::Trait trait = plan::Trait::kPure;
  plan::ReasonCode code = plan::ReasonCode::kNone;  // of a barrier
  std::string text;                                 // of a barrier: continues "'node' ..."
  std::string resource;                             // of a source
};

// Ownership: points into the graph and the library, which must outlive it and stay as they are. Not
// thread-safe.
class TraitFinder {
 public:
  TraitFinder(const tensorflow::Graph& graph, const tensorflow::FunctionLibraryDefinition& library,
              bool is_function_graph);

  NodeTraits Of(const tensorflow::Node& node);

  // True if `node` may be dead: it follows v1 control flow.
  bool MayBeDead(const tensorflow::Node& node) const;

  const Handles& handles() const { return handles_; }
  FunctionAnalyzer& functions() { return functions_; }

 private:
  NodeTraits OfSource(const tensorflow::Node& node) const;
  NodeTraits OfDatasets(const Handles::Resource& iterator) const;
  NodeTraits OfVariableRead(const std::string& what, const Handles::Resource* resource) const;
  NodeTraits OfTableRead(const Handles::Resource* resource) const;
  NodeTraits OfCall(const tensorflow::Node& node);
  NodeTraits OfUnlisted(const tensorflow::Node& node) const;
  bool IsConstantLike(const tensorflow::Node& node);

  const bool is_function_graph_;
  FunctionAnalyzer functions_;
  const Handles handles_;
  std::unordered_set<const tensorflow::Node*> may_be_dead_;
  std::unordered_map<const tensorflow::Node*, bool> constant_like_;
};

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_TRAITS_H_
