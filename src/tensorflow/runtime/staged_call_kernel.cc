// Headrace>StagedCall: takes the next step's tensors from the stage.
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/resource_handle.h"
#include "tensorflow/runtime/convert.h"
#include "tensorflow/runtime/process_domain.h"
#include "tensorflow/runtime/stage_builder.h"

namespace headrace {
namespace {

using ::tensorflow::AsyncOpKernel;
using ::tensorflow::CancellationManager;
using ::tensorflow::CancellationToken;
using ::tensorflow::OpKernelConstruction;
using ::tensorflow::OpKernelContext;
using ::tensorflow::ResourceHandle;
using stage::Stage;
using stage::Taken;

// Whether work that the step's executor schedules runs at once, on the thread that schedules it
// (inter_op_thread_pool = -1, eager code): then a wait must block this thread, since there is none
// to go on with the step later.
bool RunsInline(OpKernelContext* ctx) {
  struct Probe {
    const std::thread::id caller = std::this_thread::get_id();
    std::atomic<bool> ran_here{false};
  };
  auto probe = std::make_shared<Probe>();
  (*ctx->runner())([probe] {
    if (std::this_thread::get_id() == probe->caller) probe->ran_here = true;
  });
  return probe->ran_here;
}

// Ends one take's wait when its step is cancelled.
//
// The callback may run before the take has an id and after it was served, on any thread, so it owns
// what it needs. Disarm() is called while the step's manager still exists, possibly from inside the
// callback.
class CancelWait {
 public:
  CancelWait(OpKernelContext* ctx, std::shared_ptr<Stage> stage)
      : manager_(ctx->cancellation_manager()), state_(std::make_shared<State>()) {
    state_->stage = std::move(stage);
    if (manager_ == nullptr) return;
    token_ = manager_->get_cancellation_token();
    if (!manager_->RegisterCallback(token_, [state = state_] { state->Cancel(); })) state_->Cancel();
  }

  // The take waits under `id` from now on.
  void Arm(Stage::TakeId id) { state_->Arm(id); }
  void Disarm() {
    if (manager_ != nullptr) manager_->TryDeregisterCallback(token_);
  }

 private:
  struct State {
    std::mutex mu;
    bool cancelled = false;
    Stage::TakeId id = 0;
    std::shared_ptr<Stage> stage;

    void Cancel() {
      std::unique_lock<std::mutex> lock(mu);
      cancelled = true;
      End(&lock);
    }
    void Arm(Stage::TakeId take) {
      std::unique_lock<std::mutex> lock(mu);
      id = take;
      if (cancelled) End(&lock);
    }
    void End(std::unique_lock<std::mutex>* lock) {
      const Stage::TakeId take = id;
      lock->unlock();
      if (take != 0) stage->EndWait(take, Status(Code::kCancelled, "the step was cancelled"));
    }
  };

  CancellationManager* const manager_;
  CancellationToken token_ = 0;
  const std::shared_ptr<State> state_;
};

class StagedCallOp : public AsyncOpKernel {
 public:
  explicit StagedCallOp(OpKernelConstruction* ctx) : AsyncOpKernel(ctx) {
    OP_REQUIRES_OK(ctx, StageSpec::FromAttrs(ctx, &spec_));
  }

  void ComputeAsync(OpKernelContext* ctx, DoneCallback done) override {
    std::shared_ptr<Stage> stage;
    OP_REQUIRES_OK_ASYNC(ctx, StageFor(ctx, &stage), done);
    Status status;
    Taken taken;
    if (stage->TryTake(&status, &taken)) {
      Deliver(ctx, status, taken);
      done();
      return;
    }
    if (RunsInline(ctx)) {
      CancelWait cancel(ctx, stage);
      status = stage->Take(&taken, [&](Stage::TakeId id) { cancel.Arm(id); });
      cancel.Disarm();
      Deliver(ctx, status, taken);
      done();
      return;
    }
    // The callback runs on a thread of the stage: hand over to the step's own threads at once.
    auto cancel = std::make_shared<CancelWait>(ctx, stage);
    Stage::TakeId id = 0;
    const bool served = stage->TakeOrWait(
        &status, &taken, &id, [this, ctx, done, cancel](const Status& s, Taken what) {
          cancel->Disarm();
          auto result = std::make_shared<std::pair<Status, Taken>>(s, std::move(what));
          (*ctx->runner())([this, ctx, done, result] {
            Deliver(ctx, result->first, result->second);
            done();
          });
        });
    if (served) {
      cancel->Disarm();
      Deliver(ctx, status, taken);
      done();
      return;
    }
    cancel->Arm(id);  // touches neither ctx nor this: the step may be over
  }

 private:
  // The stage of these handles; they seldom change, and a stage whose source is closed is replaced.
  absl::Status StageFor(OpKernelContext* ctx, std::shared_ptr<Stage>* stage) {
    std::lock_guard<std::mutex> lock(mu_);
    for (auto it = stages_.begin(); it != stages_.end();) {
      if (it->stage->source_closed()) {
        it = stages_.erase(it);
      } else if (SameHandles(ctx, it->handles)) {
        *stage = it->stage;
        return absl::OkStatus();
      } else {
        ++it;
      }
    }
    Entry entry;
    std::string key = absl::StrCat(ctx->session_handle(), "/", spec_.call_node);
    for (int i = 0; i < ctx->num_inputs(); ++i) {
      entry.handles.push_back(tensorflow::HandleFromInput(ctx, i));
      const ResourceHandle& handle = entry.handles.back();
      absl::StrAppend(&key, "|", handle.device(), "|", handle.container(), "|", handle.name());
    }
    TF_RETURN_IF_ERROR(BuildStage(ctx, spec_, &entry.stage));
    StageDirectory::Get().Add(key, entry.stage);
    *stage = entry.stage;
    stages_.push_back(std::move(entry));
    return absl::OkStatus();
  }

  static bool SameHandles(OpKernelContext* ctx, const std::vector<ResourceHandle>& handles) {
    for (int i = 0; i < ctx->num_inputs(); ++i) {
      const ResourceHandle& handle = tensorflow::HandleFromInput(ctx, i);
      if (handle.name() != handles[i].name() || handle.container() != handles[i].container() ||
          handle.device() != handles[i].device() || handle.hash_code() != handles[i].hash_code()) {
        return false;
      }
    }
    return true;
  }

  void Deliver(OpKernelContext* ctx, const Status& status, const Taken& taken) const {
    if (!status.ok()) {
      ctx->SetStatus(ToAbsl(status));
      return;
    }
    for (std::size_t i = 0; i < spec_.outputs.size(); ++i) {
      const StageSpec::OutputSpec& from = spec_.outputs[i];
      const stage::Payload& payload = from.source < 0 ? taken.body : taken.inputs[from.source];
      ctx->set_output(static_cast<int>(i), TensorsOf(payload)[from.component]);
    }
  }

  struct Entry {
    std::vector<ResourceHandle> handles;
    std::shared_ptr<Stage> stage;
  };

  StageSpec spec_;  // constant after construction
  std::mutex mu_;
  std::vector<Entry> stages_;  // guarded by mu_
};

REGISTER_KERNEL_BUILDER(Name("Headrace>StagedCall").Device(tensorflow::DEVICE_CPU), StagedCallOp);

}  // namespace
}  // namespace headrace
