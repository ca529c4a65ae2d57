// GPU streams for stages. TensorFlow runs the ops of a device on one stream; what has streams of
// its own are the logical devices that one GPU is divided into.
#ifndef HEADRACE_TENSORFLOW_STREAM_DEVICE_H_
#define HEADRACE_TENSORFLOW_STREAM_DEVICE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace tensorflow {
class Device;
class Graph;
}  // namespace tensorflow

namespace headrace {

// Full name of logical device GPU:`stream` of `host`'s task, a part of the same physical GPU as its
// GPU:0. Errors: FAILED_PRECONDITION, naming the GPU devices that there are.
absl::StatusOr<std::string> StreamDevice(const std::vector<tensorflow::Device*>& devices,
                                         const std::string& host, int stream);

// Gives the stages of a rewritten graph that ask for a stream, and are not pinned to the host,
// their device (kStageDeviceAttr). Errors: as StreamDevice.
absl::Status PlaceStages(const std::vector<tensorflow::Device*>& devices, tensorflow::Graph* graph);

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_STREAM_DEVICE_H_
