// What a StagedCall hands to its StagedOutputs within one step.
#ifndef HEADRACE_TENSORFLOW_RUNTIME_STAGE_TICKET_H_
#define HEADRACE_TENSORFLOW_RUNTIME_STAGE_TICKET_H_

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "stage/stage.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/framework/variant_tensor_data.h"
#include "tensorflow/runtime/partial_body.h"

namespace headrace {

struct StageTicket {
  stage::Taken taken;
  // Not OK: the body failed as a whole, and `partial` runs what a step needs of it on the elements
  // and the handles in `body_args`.
  Status failure;
  std::shared_ptr<PartialBody> partial;
  std::vector<tensorflow::Tensor> body_args;
};

// The value of a ticket tensor. It never leaves the process.
struct TicketVariant {
  std::shared_ptr<StageTicket> ticket;

  std::string TypeName() const { return "headrace::StageTicket"; }
  std::string DebugString() const { return TypeName(); }
  void Encode(tensorflow::VariantTensorData*) const {}
  bool Decode(const tensorflow::VariantTensorData&) { return false; }
};

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_RUNTIME_STAGE_TICKET_H_
