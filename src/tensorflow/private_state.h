// Private state: a variable that a function reads and writes for nobody but itself, such as the
// seed that a Keras layer counts up. What it is in a step depends on how often the step ran, so it
// can be made ahead like a random op; the runtime writes the variable when a step takes what was
// made of it, and begins anew where somebody else has written it.
#ifndef HEADRACE_TENSORFLOW_PRIVATE_STATE_H_
#define HEADRACE_TENSORFLOW_PRIVATE_STATE_H_

#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace tensorflow {
class Graph;
class Node;
}  // namespace tensorflow

namespace headrace {

struct GraphView;

// Everything that one variable's state is made with, in a function's graph: the nodes that use the
// variable, and those between its reads and its writes.
struct PrivateState {
  std::string variable;                      // name of the node that yields its handle
  tensorflow::Node* handle = nullptr;        // that node
  std::vector<tensorflow::Node*> nodes;      // by name
  std::vector<tensorflow::Node*> constants;  // that these need, and what passes the handle on
};

// Finds the variables, by name, whose every use is a read or a write that depends on nothing but
// the variable itself and constants, and whose value is only used together with elements. `view`:
// of a function's graph. Variables on an accelerator are left out, and so is what the user has
// named (excluded, kept, marked). `leave`: names of variables (PrivateState::variable) that are to
// be left alone.
std::vector<PrivateState> FindPrivateState(const GraphView& view,
                                           const std::set<std::string>& leave);

// `view`: as it was when the states were found, of `graph`. Puts a Headrace>PrivateState node
// (ops.cc) into the place of each state's nodes. What waits for one of them without taking a result
// is named in the node and waits no more: whoever stages the node lets it wait for the stage's
// call. What points into the graph is stale afterwards.
absl::Status ReplacePrivateState(const std::vector<PrivateState>& states, const GraphView& view,
                                 tensorflow::Graph* graph);

// What a Headrace>PrivateState node says of itself; empty if it is none.
std::string VariableOf(const tensorflow::Node& node);
// Names of the nodes that it stands for, and of those that waited for one of them.
std::vector<std::string> NamesIn(const tensorflow::Node& node);
std::vector<std::string> WaitingFor(const tensorflow::Node& node);

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_PRIVATE_STATE_H_
