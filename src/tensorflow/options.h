// Reads and writes StageOptions as a tensorflow.RewriterConfig.CustomGraphOptimizer message.
//
// Errors are INVALID_ARGUMENT and name the field, the value and the range. Every function may be
// called from any thread.
#ifndef HEADRACE_TENSORFLOW_OPTIONS_H_
#define HEADRACE_TENSORFLOW_OPTIONS_H_

#include <string>
#include <string_view>

#include "base/status.h"
#include "tensorflow/stage_options.h"

namespace tensorflow {
class RewriterConfig_CustomGraphOptimizer;
}  // namespace tensorflow

namespace headrace {

// An empty message gives the defaults. `*options` is untouched on error.
Status ParseStageOptions(const tensorflow::RewriterConfig_CustomGraphOptimizer& carrier,
                         StageOptions* options);
// The same for a serialized message (attributes, C interface).
Status ParseStageOptions(std::string_view serialized, StageOptions* options);

// `base` with every key that `override_serialized` holds taken from there: what one tf.staged call
// asks for wins over its session. Checks the message only, not the values.
Status MergeOptions(std::string_view override_serialized,
                    tensorflow::RewriterConfig_CustomGraphOptimizer* base);

// Equal messages give equal bytes (map entries sorted by key), so the result may be hashed.
std::string SerializeOptions(const tensorflow::RewriterConfig_CustomGraphOptimizer& carrier);

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_OPTIONS_H_
