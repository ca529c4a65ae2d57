// Plans and rewrites a GraphDef as the pass would do it in a session, without one.
#ifndef HEADRACE_TENSORFLOW_EXPLAIN_H_
#define HEADRACE_TENSORFLOW_EXPLAIN_H_

#include <string>

#include "absl/status/status.h"

namespace tensorflow {
class GraphDef;
class RewriterConfig_CustomGraphOptimizer;
}  // namespace tensorflow

namespace headrace {

struct Explanation {
  std::string json;  // docs/formats.md
  std::string text;  // for people
};

// The plan, and so its hash, is the one that the pass makes of this graph with these options.
// Errors: INVALID_ARGUMENT for bad options or a graph that TensorFlow refuses; others are the
// pass's own.
absl::Status ExplainGraphDef(const tensorflow::GraphDef& graph_def,
                             const tensorflow::RewriterConfig_CustomGraphOptimizer& options,
                             Explanation* explanation);

// The graph that the session would run; `graph_def` itself, with defaults filled in, if nothing is
// staged.
absl::Status RewriteGraphDef(const tensorflow::GraphDef& graph_def,
                             const tensorflow::RewriterConfig_CustomGraphOptimizer& options,
                             tensorflow::GraphDef* rewritten);

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_EXPLAIN_H_
