// Inlines the function calls that hide a source, or that mix what may run ahead with what may not.
//
// Session graphs do not inline calls by themselves, and Keras calls its training step through one.
#ifndef HEADRACE_TENSORFLOW_INLINE_CALLS_H_
#define HEADRACE_TENSORFLOW_INLINE_CALLS_H_

#include <set>
#include <string>

#include "absl/status/status.h"

namespace tensorflow {
class FunctionLibraryDefinition;
class Graph;
class Node;
}  // namespace tensorflow

namespace headrace {

// Changes `graph`. A call is inlined if its function (or a function that this one calls) consumes
// an element, or if it depends on a source and is not pure; so are the calls that come to light by
// that. Left alone: calls named in `leave`, calls with a mark of their own (target, keep),
// recursion, and what TensorFlow itself does not inline.
//
// Nodes of the body are named "<call>/<node>". In session graphs the call remains fetchable under
// its name, in function graphs it remains a valid target. The same graph always gives the same
// names, whatever the order of its nodes.
absl::Status InlineCalls(const tensorflow::FunctionLibraryDefinition& library,
                         const std::set<std::string>& leave, bool is_function_graph,
                         tensorflow::Graph* graph);

// Inlines every call that TensorFlow can inline, and the calls that come to light by that, except
// those with the attribute `leave`. For graphs of sessions; names and fetches as above.
absl::Status InlineAllCalls(const tensorflow::FunctionLibraryDefinition& library, const char* leave,
                            tensorflow::Graph* graph);

// Inlines one call; all of its nodes get its device.
absl::Status InlineOnDevice(const tensorflow::FunctionLibraryDefinition& library,
                            tensorflow::Node* call, tensorflow::Graph* graph);

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_INLINE_CALLS_H_
