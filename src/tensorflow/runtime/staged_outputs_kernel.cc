// Headrace>StagedOutputs gives a step the tensors of its ticket; Headrace>StagedOpsRan waits for
// staged ops.
#include <set>
#include <utility>
#include <vector>

#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/variant.h"
#include "tensorflow/runtime/convert.h"
#include "tensorflow/runtime/output_origin.h"
#include "tensorflow/runtime/stage_builder.h"
#include "tensorflow/runtime/stage_ticket.h"

namespace headrace {
namespace {

using ::tensorflow::OpKernel;
using ::tensorflow::OpKernelConstruction;
using ::tensorflow::OpKernelContext;

class StagedOutputsOp : public OpKernel {
 public:
  explicit StagedOutputsOp(OpKernelConstruction* ctx) : OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ReadOrigins(ctx, &outputs_));
  }

  // So that it, and what is cheap behind it, runs on the thread that took.
  bool IsExpensive() override { return false; }

  void Compute(OpKernelContext* ctx) override {
    const auto* held = ctx->input(0).scalar<tensorflow::Variant>()().get<TicketVariant>();
    OP_REQUIRES(ctx, held != nullptr, absl::InternalError("the input is no ticket of a stage"));
    StageTicket& ticket = *held->ticket;
    Tensors part;
    const Tensors* body = ticket.taken.body == nullptr ? &part : &TensorsOf(ticket.taken.body);
    const bool failed = !ticket.failure.ok();
    if (failed) OP_REQUIRES_OK(ctx, RunPart(ctx, ticket, &part));
    // Nobody else has this ticket; who else could see the body's results has let go of them.
    if (!failed && ticket.taken.body.use_count() == 1) return MoveOutputs(ctx, ticket);
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      if (failed && !ctx->output_required(static_cast<int>(i))) continue;
      ctx->set_output(static_cast<int>(i), TensorAt(outputs_[i], ticket.taken.inputs, *body));
    }
  }

 private:
  void MoveOutputs(OpKernelContext* ctx, const StageTicket& ticket) const {
    Tensors& body = MutableTensorsOf(ticket.taken.body);
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const auto [source, component] = outputs_[i];
      if (source < 0) {
        ctx->set_output(static_cast<int>(i), std::move(body[component]));
      } else {
        ctx->set_output(static_cast<int>(i), TensorsOf(ticket.taken.inputs[source])[component]);
      }
    }
  }

  // The body failed as a whole: computes what this step needs of it, if that is not all of it.
  absl::Status RunPart(OpKernelContext* ctx, const StageTicket& ticket, Tensors* results) const {
    std::set<int> needed;
    bool all = true;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      if (outputs_[i].source >= 0) continue;
      if (ctx->output_required(static_cast<int>(i))) {
        needed.insert(outputs_[i].component);
      } else {
        all = false;
      }
    }
    if (all) return ToAbsl(ticket.failure);
    if (needed.empty()) return absl::OkStatus();
    return ticket.partial->Run(BodyArguments(ticket.taken.inputs, ticket.body_args), needed,
                               results);
  }

  std::vector<OutputOrigin> outputs_;  // constant after construction
};

// What it is for happens before it runs: its input tells the step's outputs what is needed.
class StagedOpsRanOp : public OpKernel {
 public:
  using OpKernel::OpKernel;
  void Compute(OpKernelContext*) override {}
  bool IsExpensive() override { return false; }
};

REGISTER_KERNEL_BUILDER(Name("Headrace>StagedOutputs").Device(tensorflow::DEVICE_CPU),
                        StagedOutputsOp);
REGISTER_KERNEL_BUILDER(Name("Headrace>StagedOpsRan").Device(tensorflow::DEVICE_CPU),
                        StagedOpsRanOp);

}  // namespace
}  // namespace headrace
