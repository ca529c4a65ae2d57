// Where a tensor that crosses comes from, within a ticket.
#ifndef HEADRACE_TENSORFLOW_RUNTIME_OUTPUT_ORIGIN_H_
#define HEADRACE_TENSORFLOW_RUNTIME_OUTPUT_ORIGIN_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "stage/element.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/runtime/convert.h"

namespace headrace {

struct OutputOrigin {
  int source = -1;  // >= 0: element of that source; -1: the body
  int component = 0;
};

// Of an entry of the attribute `outputs` (ops.cc). `num_outputs`: tensors of each source's element.
inline absl::StatusOr<OutputOrigin> OriginOf(int output, const std::vector<int>& num_outputs) {
  OutputOrigin origin;
  if (output < 0) {
    origin.component = -output - 1;
    return origin;
  }
  origin.component = output;
  origin.source = 0;
  const int sources = static_cast<int>(num_outputs.size());
  while (origin.source < sources && origin.component >= num_outputs[origin.source]) {
    origin.component -= num_outputs[origin.source++];
  }
  if (origin.source < sources) return origin;
  return absl::InvalidArgumentError(
      absl::StrCat("output names element tensor ", output, ", which is not there"));
}

// Of all entries of a kernel's `outputs`.
inline absl::Status ReadOrigins(tensorflow::OpKernelConstruction* ctx,
                                std::vector<OutputOrigin>* origins) {
  std::vector<int> outputs, num_outputs;
  TF_RETURN_IF_ERROR(ctx->GetAttr("outputs", &outputs));
  TF_RETURN_IF_ERROR(ctx->GetAttr("source_num_outputs", &num_outputs));
  for (const int output : outputs) {
    TF_ASSIGN_OR_RETURN(const OutputOrigin origin, OriginOf(output, num_outputs));
    origins->push_back(origin);
  }
  return absl::OkStatus();
}

inline const tensorflow::Tensor& TensorAt(const OutputOrigin& origin,
                                          const std::vector<stage::Payload>& elements,
                                          const Tensors& body) {
  return (origin.source >= 0 ? TensorsOf(elements[origin.source]) : body)[origin.component];
}

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_RUNTIME_OUTPUT_ORIGIN_H_
