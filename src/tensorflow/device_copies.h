// Which of a stage's results accelerators take: the stage copies these to the device's memory, so
// that no step does.
//
// Where ops run is known once TensorFlow has placed the graph, and what is fed and fetched once it
// has pruned it: hence two passes. Where no accelerator takes what crosses they change nothing.
#ifndef HEADRACE_TENSORFLOW_DEVICE_COPIES_H_
#define HEADRACE_TENSORFLOW_DEVICE_COPIES_H_

#include "absl/status/status.h"

namespace tensorflow {
class Graph;
}  // namespace tensorflow

namespace headrace {

// Tells the stages in a placed graph what to copy: kCopyOutputsAttr and kCopyDevicesAttr on calls
// and starts, which get names of their own, since a session shares a kernel of one name.
absl::Status MarkCopies(tensorflow::Graph* graph);

// In a pruned graph, gives what accelerators take from a StagedOutputs, also through an Identity on
// the host, by a StagedDeviceOutputs on that device. A tensor that is fed is not taken from a
// StagedOutputs any more, and stays as it is. `is_function_graph`: nodes that nothing uses may be
// results by their name, and stay.
absl::Status TakeCopies(bool is_function_graph, tensorflow::Graph* graph);

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_DEVICE_COPIES_H_
