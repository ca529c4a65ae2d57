// The resources of a graph: which node makes a handle, which handles name the same resource, and
// what the graph does to it.
#ifndef HEADRACE_TENSORFLOW_HANDLES_H_
#define HEADRACE_TENSORFLOW_HANDLES_H_

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "tensorflow/function_effects.h"
#include "tensorflow/op_traits.h"

namespace tensorflow {
class Edge;
class Graph;
class Node;
}  // namespace tensorflow

namespace headrace {

// Ownership: points into the graph, which must outlive it and stay as it is. Not thread-safe.
class Handles {
 public:
  // Everything known of one resource.
  struct Resource {
    std::string name;  // of the node that makes the handle; of several, the first by name
    OpGroup group = OpGroup::kOtherHandle;  // kArgument: passed to the function from outside
    std::string writer;  // of a variable: the first node by name that may change it; "" = none
    std::string saver;   // of an iterator: a node that saves or restores its position
    std::string
        hidden_maker;  // of an iterator: a node that initializes it where no reset can be put
    std::string hidden_reader;                    // a node that consumes elements inside a function
    std::vector<const tensorflow::Node*> makers;  // MakeIterator nodes on it, by name
    std::vector<std::string> consumers;           // nodes that take elements from it, by name
  };

  Handles(const tensorflow::Graph& graph, FunctionAnalyzer* functions);

  // Where the handle in output `output` of `node` comes from, through Identity; null if that is no
  // node that is known to make handles.
  static const tensorflow::Node* Producer(const tensorflow::Node* node, int output);
  // Of what arrives at data input `input` of `node`; null as above.
  const Resource* OfInput(const tensorflow::Node& node, int input) const;
  const Resource* OfProducer(const tensorflow::Node* producer) const;
  // What the datasets of an iterator use while they are read: captured variables, tables and so on,
  // in the order of their names.
  std::vector<const Resource*> UsedByDatasets(const Resource& iterator) const;

 private:
  Resource* Find(const tensorflow::Edge& edge);
  void AddUses(const tensorflow::Node& node, FunctionAnalyzer* functions);

  std::map<std::string, Resource> resources_;  // by container, name and kind
  std::unordered_map<const tensorflow::Node*, Resource*> by_producer_;
};

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_HANDLES_H_
