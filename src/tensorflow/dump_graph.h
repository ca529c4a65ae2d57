// Writes a graph where the option dump_graph says.
#ifndef HEADRACE_TENSORFLOW_DUMP_GRAPH_H_
#define HEADRACE_TENSORFLOW_DUMP_GRAPH_H_

#include <string>

#include "absl/status/status.h"

namespace tensorflow {
class FunctionLibraryDefinition;
class Graph;
}  // namespace tensorflow

namespace headrace {

// `path`, or for the graph of a function, `path` with the function's name before its extension. A
// file that is there is replaced. Text if it ends in .pbtxt, else a serialized GraphDef.
std::string DumpPath(const std::string& path, const std::string& function);

absl::Status DumpGraph(const tensorflow::Graph& graph,
                       const tensorflow::FunctionLibraryDefinition& library,
                       const std::string& path, const std::string& function);

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_DUMP_GRAPH_H_
