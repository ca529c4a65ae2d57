// Builds the running stage that a StagedCall node describes.
#ifndef HEADRACE_TENSORFLOW_RUNTIME_STAGE_BUILDER_H_
#define HEADRACE_TENSORFLOW_RUNTIME_STAGE_BUILDER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "stage/stage.h"
#include "tensorflow/core/framework/attr_value.pb.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/runtime/function_runtime.h"
#include "tensorflow/runtime/output_origin.h"
#include "tensorflow/stage_options.h"

namespace headrace {

// A call node's attributes (ops.cc), checked.
struct StageSpec {
  enum class SourceKind { kIterator, kIteratorOptional, kResource, kDraw, kState };
  struct SourceSpec {
    tensorflow::NameAttrList function;
    SourceKind kind = SourceKind::kIterator;
    std::string node;       // which it replaces
    std::vector<int> args;  // indices into the call's inputs; the first is the resource consumed
    int num_outputs = 0;
  };
  // One of the results of a ticket, for the memory of an accelerator.
  struct CopySpec {
    OutputOrigin from;
    std::string device;  // full name
  };
  std::string stage;      // name, for people
  std::string call_node;  // unique in the session
  std::vector<SourceSpec> sources;
  tensorflow::NameAttrList body;
  std::vector<int> body_args;
  std::vector<CopySpec> copies;
  std::string body_device;      // logical device of the body's ops; empty: the host
  bool has_body = false;        // some output comes from the body
  bool elements_cross = false;  // some output comes from an element
  StageOptions options;

  static absl::Status FromAttrs(tensorflow::OpKernelConstruction* ctx, StageSpec* spec);
};

// A running stage, and what it runs on.
struct BuiltStage {
  std::shared_ptr<stage::Stage> stage;
  std::shared_ptr<FunctionRuntime> runtime;
  // Sources of resources that belong to kernels of the same session, and end with them.
  std::vector<std::shared_ptr<stage::Source>> session_sources;
};

// Finds or makes the sources of `spec` for the handles in the context's inputs, and a stage on
// them.
absl::Status BuildStage(tensorflow::OpKernelContext* ctx, const StageSpec& spec, BuiltStage* built);

// The tensors that the body function takes: those of all elements, then the call's body_args.
std::vector<tensorflow::Tensor> BodyArguments(const std::vector<stage::Payload>& inputs,
                                              absl::Span<const tensorflow::Tensor> body_args);
std::vector<tensorflow::Tensor> SelectInputs(tensorflow::OpKernelContext* ctx,
                                             const std::vector<int>& indices);

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_RUNTIME_STAGE_BUILDER_H_
