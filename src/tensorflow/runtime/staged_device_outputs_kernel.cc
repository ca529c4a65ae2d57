// Headrace>StagedDeviceOutputs gives a step what its ticket holds in an accelerator's memory.
#include <set>
#include <utility>
#include <vector>

#include "tensorflow/core/common_runtime/device.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/variant.h"
#include "tensorflow/runtime/convert.h"
#include "tensorflow/runtime/copy_to_device.h"
#include "tensorflow/runtime/output_origin.h"
#include "tensorflow/runtime/stage_builder.h"
#include "tensorflow/runtime/stage_ticket.h"

namespace headrace {
namespace {

using ::tensorflow::OpKernel;
using ::tensorflow::OpKernelConstruction;
using ::tensorflow::OpKernelContext;

class StagedDeviceOutputsOp : public OpKernel {
 public:
  explicit StagedDeviceOutputsOp(OpKernelConstruction* ctx) : OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, ReadOrigins(ctx, &origins_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("copies", &copies_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("num_copies", &num_copies_));
    bool fit = copies_.size() == origins_.size();
    for (const int copy : copies_) fit &= copy >= 0 && copy < num_copies_;
    OP_REQUIRES(ctx, fit, absl::InvalidArgumentError("'copies' does not fit the other attributes"));
  }

  bool IsExpensive() override { return false; }

  void Compute(OpKernelContext* ctx) override {
    const auto* held = ctx->input(0).scalar<tensorflow::Variant>()().get<TicketVariant>();
    OP_REQUIRES(ctx, held != nullptr, absl::InternalError("the input is no ticket of a stage"));
    const StageTicket& ticket = *held->ticket;
    if (!ticket.failure.ok()) {
      OP_REQUIRES_OK(ctx, CopyPart(ctx, ticket));
      return;
    }
    const Tensors& body = TensorsOf(ticket.taken.body);
    OP_REQUIRES(ctx, body.size() >= static_cast<std::size_t>(num_copies_),
                absl::InternalError("the ticket holds no copies"));
    // Nobody else has this ticket, and no other op of the step these copies.
    const bool move = ticket.taken.body.use_count() == 1;
    const std::size_t first = body.size() - static_cast<std::size_t>(num_copies_);
    for (std::size_t i = 0; i < copies_.size(); ++i) {
      const std::size_t at = first + static_cast<std::size_t>(copies_[i]);
      if (move) {
        ctx->set_output(static_cast<int>(i), std::move(MutableTensorsOf(ticket.taken.body)[at]));
      } else {
        ctx->set_output(static_cast<int>(i), body[at]);
      }
    }
  }

 private:
  // The body or a copy failed: computes and copies what this step needs here, in the step.
  absl::Status CopyPart(OpKernelContext* ctx, const StageTicket& ticket) const {
    std::set<int> of_body;
    for (std::size_t i = 0; i < origins_.size(); ++i) {
      if (origins_[i].source < 0) of_body.insert(origins_[i].component);
    }
    Tensors part;
    if (!of_body.empty()) {
      TF_RETURN_IF_ERROR(ticket.partial->Run(BodyArguments(ticket.taken.inputs, ticket.body_args),
                                             of_body, &part));
    }
    auto* device = static_cast<tensorflow::Device*>(ctx->device());
    std::vector<DeviceCopy> wanted;
    for (const OutputOrigin& origin : origins_) {
      wanted.push_back({TensorAt(origin, ticket.taken.inputs, part), device});
    }
    Tensors copied;
    TF_RETURN_IF_ERROR(CopyToDevices(wanted, &copied));
    for (std::size_t i = 0; i < copied.size(); ++i) {
      ctx->set_output(static_cast<int>(i), std::move(copied[i]));
    }
    return absl::OkStatus();
  }

  // Constant after construction.
  std::vector<OutputOrigin> origins_;
  std::vector<int> copies_;
  int num_copies_ = 0;
};

REGISTER_KERNEL_BUILDER(
    Name("Headrace>StagedDeviceOutputs").Device(tensorflow::DEVICE_GPU).HostMemory("ticket"),
    StagedDeviceOutputsOp);

}  // namespace
}  // namespace headrace
