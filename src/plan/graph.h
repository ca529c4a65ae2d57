// What the planner knows of a graph: nodes with traits, and who feeds whom.
//
// The TensorFlow side (src/tensorflow) translates ops into traits; the planner never sees an op's
// name except to print it. Indices are positions in Graph::nodes.
#ifndef HEADRACE_PLAN_GRAPH_H_
#define HEADRACE_PLAN_GRAPH_H_

#include <cstdint>
#include <string>
#include <vector>

namespace headrace::plan {

// What running a node ahead of the training step would mean.
enum class Trait : std::uint8_t {
  kConstant,  // no effect and always the same value; may be copied to either side of a cut
  kHandle,    // yields a resource handle (iterator, queue, reader, table, variable); stays in the
              // main graph, and the stage receives the handle as an argument
  kSource,    // consumes one element of its resource per run
  kDraw,  // stateful random op, or private state: its value depends on how often it ran before, and
          // on nothing else that the program can change (or the runtime notices that it did)
  kPure,  // value depends on its inputs only (NoOp and reads of read-only state included)
  kAssert,      // like kPure, has no outputs, may fail
  kQueueWrite,  // writes into a queue: never staged; a stage that feeds nothing else is pointless
  kBarrier,     // never staged; Node::barrier_code and Node::barrier_text say why
};

// Why a node is not staged. Stable: tools and golden files use the names of ReasonCodeName().
enum class ReasonCode : std::uint8_t {
  kNone,
  kVariableWrite,
  kVariableRead,  // of a variable that something in the program may write
  kPlaceholder,
  kFunctionArgument,
  kControlFlow,  // v1 control flow, and sources inside conditionals or loops
  kStateful,     // stateful, and not known to be safe to run ahead
  kSummary,
  kPrint,
  kPyFunc,
  kQueueWrite,
  kFileWrite,
  kMutableTable,
  kRefType,
  kTarget,              // marked by mark_target_node
  kExcluded,            // named in StageOptions.exclude
  kKept,                // named in keep()
  kSecondRead,          // its resource is read by another node too
  kSerializedIterator,  // the position of its iterator is saved in this graph
  kSourceInput,         // a source that needs a value computed from non-constant inputs
  kDevice,              // asks for another task or device than the stage's
  kBlockedInput,        // an input is not staged; `ancestor` names the node that blocks
  kBlockedControl,      // a control input is not staged; `ancestor` as above
  kMeeting,             // combines sources that a fetch could consume one without the other
  kDrawOutside,         // a random op whose value is also used where no element is consumed
  kNoSource,            // does not depend on any source
  kPastMark,            // downstream of tf.staged while growing past it was not asked for
  kUnmarkedSource,      // the graph has tf.staged marks, and this part feeds none of them
  kOnlyFeedsQueue,      // read ahead already by the queue that it feeds
  kCheapToRecompute,    // staged too if needed there, but computed again in the main graph
  kCostsMore,           // moving it would cost more than it saves
  kUnused,              // nothing outside the stage uses it (function graphs)
  kMainInput,           // constants and handles: belong to the main graph
};
const char* ReasonCodeName(ReasonCode code);

struct OutputInfo {
  std::string dtype;        // "float32"; for people
  std::string shape = "?";  // "[512,13]", "[?,13]", "?"; for people
  std::int64_t bytes = -1;  // payload per element when statically known, else -1
  bool can_cross = true;    // false for ref types
};

struct Endpoint {
  int node = -1;
  int output = 0;
  bool operator==(const Endpoint& o) const { return node == o.node && output == o.output; }
};

struct Node {
  std::string name;  // unique in the graph
  std::string op;    // for people
  Trait trait = Trait::kPure;

  // kBarrier only. Codes up to kDevice; the later ones are the planner's own.
  ReasonCode barrier_code = ReasonCode::kNone;
  std::string barrier_text;  // one clause, e.g. "reads variable 'w', which 'train/Assign' writes"

  std::vector<Endpoint> inputs;     // data inputs in order
  std::vector<int> control_inputs;  // nodes that must run first
  std::vector<OutputInfo> outputs;

  // kSource: name of the resource it consumes (equal names mean the same resource). Else empty.
  std::string resource;
  // Requested placement, already reduced to what must not be mixed in one stage, e.g.
  // "/job:worker/task:0/device:GPU:1"; empty = anywhere.
  std::string device;
  // The accelerator that it asks for by name, e.g. "/device:GPU:0", also where the stage is pinned
  // to the host; for people.
  std::string accelerator;

  bool target = false;    // marked by mark_target_node: it and all below it stay out
  bool excluded = false;  // by name
  bool keep = false;      // by keep(): must remain feedable and fetchable under its own name
  int mark = -1;          // >= 0: a tf.staged mark of that group

  double cost = 1.0;   // static estimate of one run, in units of one small kernel launch (~1 us)
  bool cheap = false;  // metadata-only (Reshape, Shape, ExpandDims, Identity, ...): may be
                       // computed in the main graph instead of crossing
};

// In function graphs, what the function returns is consumed by nodes (a kBarrier for each result):
// a pure node that nothing uses is taken to be dead.
struct Graph {
  std::vector<Node> nodes;
};

}  // namespace headrace::plan

#endif  // HEADRACE_PLAN_GRAPH_H_
