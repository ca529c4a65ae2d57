// Headrace>StagedCall takes the next step's ticket from its stage; Headrace>StageStart starts one
// early.
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
#include "tensorflow/core/framework/resource_mgr.h"
#include "tensorflow/core/framework/variant.h"
#include "tensorflow/runtime/convert.h"
#include "tensorflow/runtime/partial_body.h"
#include "tensorflow/runtime/source_registry.h"
#include "tensorflow/runtime/stage_builder.h"
#include "tensorflow/runtime/stage_directory.h"
#include "tensorflow/runtime/stage_ticket.h"

namespace headrace {
namespace {

using stage::Stage;
using stage::Taken;
using ::tensorflow::AsyncOpKernel;
using ::tensorflow::CancellationManager;
using ::tensorflow::CancellationToken;
using ::tensorflow::OpKernel;
using ::tensorflow::OpKernelConstruction;
using ::tensorflow::OpKernelContext;
using ::tensorflow::ResourceHandle;

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
// what it needs; but not the stage, whose last reference must not go on one of the stage's own
// threads. Disarm() is called while the step's manager still exists, possibly from inside the
// callback.
class CancelWait {
 public:
  CancelWait(OpKernelContext* ctx, const std::shared_ptr<Stage>& stage)
      : manager_(ctx->cancellation_manager()), state_(std::make_shared<State>()) {
    state_->stage = stage;
    if (manager_ == nullptr) return;
    token_ = manager_->get_cancellation_token();
    if (!manager_->RegisterCallback(token_, [state = state_] { state->Cancel(); }))
      state_->Cancel();
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
    std::weak_ptr<Stage> stage;

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
      if (take == 0) return;
      if (const auto alive = stage.lock()) {
        alive->EndWait(take, Status(Code::kCancelled, "the step was cancelled"));
      }
    }
  };

  CancellationManager* const manager_;
  CancellationToken token_ = 0;
  const std::shared_ptr<State> state_;
};

// The stages of one call node, one for each set of handles that it was run with.
//
// Thread safety: every method may run concurrently.
class CallStages {
 public:
  // Of a resource, without keeping it alive.
  struct Name {
    explicit Name(const ResourceHandle& handle)
        : device(handle.device()),
          container(handle.container()),
          name(handle.name()),
          type(handle.hash_code()) {}
    bool IsOf(const ResourceHandle& handle) const {
      return name == handle.name() && container == handle.container() &&
             device == handle.device() && type == handle.hash_code();
    }
    std::string device, container, name;
    std::uint64_t type;
  };
  struct Entry {
    std::vector<Name> handles;
    std::shared_ptr<Stage> stage;
    std::shared_ptr<PartialBody> partial;
    std::vector<std::shared_ptr<stage::Source>> session_sources;
  };
  using EntryPtr = std::shared_ptr<const Entry>;

  // The session ends. Its iterators end with kernels of their own, but one that is being read lives
  // until the read returns: on the read's thread, and, if that is left to the device manager's
  // destructor, while that holds the lock which the iterator's destructor needs. So reads end here.
  void EndSession() {
    std::lock_guard<std::mutex> lock(mu_);
    for (const EntryPtr& entry : entries_) {
      entry->stage->Close();
      for (const auto& source : entry->session_sources) {
        SourceRegistry::Get().CloseIfUnused(source);
      }
    }
    entries_.clear();
  }

  // The stage of the handles in the context's inputs. They seldom change; a stage whose source is
  // closed is replaced. A StageStart node of the same call may have made it.
  absl::Status Find(OpKernelContext* ctx, const StageSpec& spec, EntryPtr* found) {
    std::lock_guard<std::mutex> lock(mu_);
    for (auto it = entries_.begin(); it != entries_.end();) {
      if ((*it)->stage->source_closed()) {
        it = entries_.erase(it);
      } else if (SameHandles(ctx, (*it)->handles)) {
        *found = *it;
        return absl::OkStatus();
      } else {
        ++it;
      }
    }
    auto entry = std::make_shared<Entry>();
    std::string key = absl::StrCat(ctx->session_handle(), "/", spec.call_node);
    for (int i = 0; i < ctx->num_inputs(); ++i) {
      const Name& name = entry->handles.emplace_back(tensorflow::HandleFromInput(ctx, i));
      absl::StrAppend(&key, "|", name.device, "|", name.container, "|", name.name);
    }
    BuiltStage built;
    TF_RETURN_IF_ERROR(StageDirectory::Get().FindOrMake(
        key, [&](BuiltStage* made) { return BuildStage(ctx, spec, made); }, &built));
    entry->stage = built.stage;
    entry->partial = std::make_shared<PartialBody>(built.runtime, spec.body);
    entry->session_sources = std::move(built.session_sources);
    entries_.push_back(entry);
    *found = std::move(entry);
    return absl::OkStatus();
  }

 private:
  static bool SameHandles(OpKernelContext* ctx, const std::vector<Name>& handles) {
    for (int i = 0; i < ctx->num_inputs(); ++i) {
      if (!handles[i].IsOf(tensorflow::HandleFromInput(ctx, i))) return false;
    }
    return true;
  }

  std::mutex mu_;
  std::vector<EntryPtr> entries_;  // guarded by mu_
};

class StagedCallOp : public AsyncOpKernel {
 public:
  explicit StagedCallOp(OpKernelConstruction* ctx) : AsyncOpKernel(ctx) {
    OP_REQUIRES_OK(ctx, StageSpec::FromAttrs(ctx, &spec_));
  }
  ~StagedCallOp() override { stages_.EndSession(); }

  void ComputeAsync(OpKernelContext* ctx, DoneCallback done) override {
    CallStages::EntryPtr entry;
    OP_REQUIRES_OK_ASYNC(ctx, stages_.Find(ctx, spec_, &entry), done);
    Stage& stage = *entry->stage;
    Status status;
    Taken taken;
    if (stage.TryTake(&status, &taken)) {
      Deliver(ctx, entry->partial, status, std::move(taken));
      done();
      return;
    }
    if (RunsInline(ctx)) {
      CancelWait cancel(ctx, entry->stage);
      status = stage.Take(&taken, [&](Stage::TakeId id) { cancel.Arm(id); });
      cancel.Disarm();
      Deliver(ctx, entry->partial, status, std::move(taken));
      done();
      return;
    }
    // The callback runs on a thread of the stage: hand over to the step's own threads at once. It
    // must not own the stage, whose last reference must not go on one of the stage's threads.
    auto cancel = std::make_shared<CancelWait>(ctx, entry->stage);
    Stage::TakeId id = 0;
    const bool served = stage.TakeOrWait(
        &status, &taken, &id,
        [this, ctx, done, cancel, partial = std::weak_ptr<PartialBody>(entry->partial)](
            const Status& s, Taken what) {
          cancel->Disarm();
          auto result = std::make_shared<std::pair<Status, Taken>>(s, std::move(what));
          // A copy: the step, and the original with it, may be over before this call returns.
          const auto runner = *ctx->runner();
          runner([this, ctx, done, result, partial] {
            const auto body = partial.lock();
            if (body != nullptr) {
              Deliver(ctx, body, result->first, std::move(result->second));
            } else {
              ctx->SetStatus(absl::CancelledError("the stage was closed"));
            }
            done();
          });
        },
        *ctx->runner());
    if (served) {
      cancel->Disarm();
      Deliver(ctx, entry->partial, status, std::move(taken));
      done();
      return;
    }
    cancel->Arm(id);  // touches neither ctx nor this: the step may be over
  }

 private:
  // Hands the ticket to the step. A failed read has no ticket.
  void Deliver(OpKernelContext* ctx, const std::shared_ptr<PartialBody>& partial,
               const Status& status, Taken taken) const {
    auto ticket = std::make_shared<StageTicket>();
    if (!status.ok()) {
      if (taken.inputs.empty()) {
        ctx->SetStatus(ToAbsl(status));
        return;
      }
      ticket->failure = status;
      ticket->partial = partial;
      ticket->body_args = SelectInputs(ctx, spec_.body_args);
    } else if (!spec_.elements_cross) {
      taken.inputs.clear();
    }
    ticket->taken = std::move(taken);
    tensorflow::Tensor* output = nullptr;
    OP_REQUIRES_OK(ctx, ctx->allocate_output(0, {}, &output));
    output->scalar<tensorflow::Variant>()() = TicketVariant{std::move(ticket)};
  }

  StageSpec spec_;  // constant after construction
  CallStages stages_;
};

// Makes the stage that its call node will take from, so that it reads ahead before the first step.
class StageStartOp : public OpKernel {
 public:
  explicit StageStartOp(OpKernelConstruction* ctx) : OpKernel(ctx) {
    OP_REQUIRES_OK(ctx, StageSpec::FromAttrs(ctx, &spec_));
    OP_REQUIRES_OK(ctx, ctx->GetAttr("call", &spec_.call_node));
  }

  void Compute(OpKernelContext* ctx) override {
    CallStages::EntryPtr entry;
    OP_REQUIRES_OK(ctx, stages_.Find(ctx, spec_, &entry));
  }

 private:
  StageSpec spec_;  // constant after construction
  CallStages stages_;
};

REGISTER_KERNEL_BUILDER(Name("Headrace>StagedCall").Device(tensorflow::DEVICE_CPU), StagedCallOp);
REGISTER_KERNEL_BUILDER(Name("Headrace>StageStart").Device(tensorflow::DEVICE_CPU), StageStartOp);

}  // namespace
}  // namespace headrace
