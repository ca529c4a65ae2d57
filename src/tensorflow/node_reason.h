// Why the ops of a group never run ahead, whatever their inputs are.
#ifndef HEADRACE_TENSORFLOW_NODE_REASON_H_
#define HEADRACE_TENSORFLOW_NODE_REASON_H_

#include <string>

#include "plan/graph.h"
#include "tensorflow/op_traits.h"

namespace headrace {

struct EffectReason {
  plan::ReasonCode code = plan::ReasonCode::kNone;
  std::string text;  // continues "the node ..."
};

// kNone for groups whose ops may run ahead, at least under conditions that depend on their inputs.
EffectReason ReasonOfGroup(OpGroup group);

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_NODE_REASON_H_
