// What one graph was asked to do: the session's options and those of its tf.staged marks.
#ifndef HEADRACE_TENSORFLOW_STAGING_REQUEST_H_
#define HEADRACE_TENSORFLOW_STAGING_REQUEST_H_

#include <map>
#include <set>
#include <string>

#include "base/status.h"
#include "tensorflow/core/protobuf/rewriter_config.pb.h"
#include "tensorflow/stage_options.h"

namespace tensorflow {
class ConfigProto;
class Graph;
}  // namespace tensorflow

namespace headrace {

struct StagingRequest {
  // The session carries options. Without them only tf.staged marks are staged, and not past them.
  bool has_carrier = false;
  tensorflow::RewriterConfig_CustomGraphOptimizer carrier;
  // Of the session; without a carrier, the defaults with smart = false.
  StageOptions session;
  // By group of marks: the session's options with those of the call merged in.
  std::map<int, tensorflow::RewriterConfig_CustomGraphOptimizer> marks;
  // What the session and the marks exclude, together.
  std::set<std::string> exclude;
  bool largest_cut = false;
};

bool HasCarrier(const tensorflow::ConfigProto& config);

// Errors are INVALID_ARGUMENT and are the user's: bad options fail the session, they are not
// ignored.
Status ReadSessionOptions(const tensorflow::ConfigProto& config, StagingRequest* request);
Status SetSessionOptions(const tensorflow::RewriterConfig_CustomGraphOptimizer& carrier,
                         StagingRequest* request);
// Adds the marks of `graph`; to be called after ReadSessionOptions.
Status ReadMarks(const tensorflow::Graph& graph, StagingRequest* request);

// True if a node of `graph` is marked by tf.staged.
bool HasMarks(const tensorflow::Graph& graph);

// FAILED_PRECONDITION if streams are asked for, the stage is not pinned to the host, and `has_gpu`
// is false.
Status CheckStreams(const StagingRequest& request, bool has_gpu);

// Options of a stage with this mark (-1: without), as the StagedCall carries them.
const tensorflow::RewriterConfig_CustomGraphOptimizer& OptionsOfStage(const StagingRequest& request,
                                                                      int mark);

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_STAGING_REQUEST_H_
