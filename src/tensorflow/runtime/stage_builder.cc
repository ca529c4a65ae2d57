#include "tensorflow/runtime/stage_builder.h"

#include <atomic>
#include <functional>
#include <optional>

#include "tensorflow/attributes.h"
#include "tensorflow/core/common_runtime/device.h"
#include "tensorflow/core/common_runtime/device_mgr.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/resource_mgr.h"
#include "tensorflow/core/platform/cpu_info.h"
#include "tensorflow/options.h"
#include "tensorflow/runtime/convert.h"
#include "tensorflow/runtime/copy_to_device.h"
#include "tensorflow/runtime/function_runtime.h"
#include "tensorflow/runtime/optional_element.h"
#include "tensorflow/runtime/process_domain.h"
#include "tensorflow/runtime/source_registry.h"
#include "tensorflow/runtime/stage_pool.h"
#include "tensorflow/runtime/state_reader.h"
#include "tensorflow/runtime/weak_handle.h"

namespace headrace {
namespace {

using ::tensorflow::OpKernelConstruction;
using ::tensorflow::OpKernelContext;
using ::tensorflow::Tensor;

absl::Status ParseKind(const std::string& text, StageSpec::SourceKind* kind) {
  using Kind = StageSpec::SourceKind;
  static const auto* const kinds =
      new std::vector<std::pair<const char*, Kind>>{{"iterator", Kind::kIterator},
                                                    {"iterator_optional", Kind::kIteratorOptional},
                                                    {"resource", Kind::kResource},
                                                    {"draw", Kind::kDraw},
                                                    {"state", Kind::kState}};
  for (const auto& [name, value] : *kinds) {
    if (text == name) {
      *kind = value;
      return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError(absl::StrCat("unknown source kind '", text, "'"));
}

// Runs a source function with the handles that it was made for.
class FunctionReader : public stage::SourceReader {
 public:
  FunctionReader(std::unique_ptr<StageFunction> function, std::vector<WeakHandle> handles)
      : function_(std::move(function)), handles_(std::move(handles)) {}

  stage::ReadResult Read(stage::Cancellation* cancel) override {
    std::vector<Tensor> args;
    for (const WeakHandle& handle : handles_) {
      std::optional<Tensor> arg = handle.Lock();
      if (!arg) return ToReadResult(absl::CancelledError("what is read is no longer there"), {});
      args.push_back(*std::move(arg));
    }
    Tensors element;
    const absl::Status status = function_->Run(args, OpThreads(), cancel, &element);
    return ToReadResult(status, std::move(element));
  }

 private:
  const std::unique_ptr<StageFunction> function_;
  const std::vector<WeakHandle> handles_;
};

// Runs the body function, if there is one, then copies to accelerators what they take: the copies
// stand behind the function's results.
class FunctionBody : public stage::StageBody {
 public:
  struct Copy {
    OutputOrigin from;
    tensorflow::Device* device;  // the session's, which outlives its stages
  };

  FunctionBody(std::unique_ptr<StageFunction> function, std::vector<Tensor> args,
               std::vector<Copy> copies, std::shared_ptr<StagePool> pool)
      : function_(std::move(function)),
        args_(std::move(args)),
        copies_(std::move(copies)),
        pool_(std::move(pool)) {}

  stage::ReadResult Run(const std::vector<stage::Payload>& inputs,
                        const stage::Runner* step) override {
    Tensors results;
    absl::Status status = RunFunction(inputs, step, &results);
    if (status.ok() && !copies_.empty()) status = AddCopies(inputs, &results);
    return ToReadResult(status, std::move(results));
  }

  std::int64_t copied_tensors() const override { return copied_.load(std::memory_order_relaxed); }

 private:
  absl::Status RunFunction(const std::vector<stage::Payload>& inputs, const stage::Runner* step,
                           Tensors* results) const {
    if (function_ == nullptr) return absl::OkStatus();
    OpThreads threads;
    if (pool_ != nullptr) {
      threads.runner = [this](std::function<void()> task) { pool_->Schedule(std::move(task)); };
      threads.intra_op = pool_->intra_op();
    } else if (step != nullptr) {
      threads.runner = *step;
    }
    return function_->Run(BodyArguments(inputs, args_), threads, /*cancel=*/nullptr, results);
  }

  absl::Status AddCopies(const std::vector<stage::Payload>& inputs, Tensors* results) {
    std::vector<DeviceCopy> wanted;
    for (const Copy& copy : copies_) {
      wanted.push_back({TensorAt(copy.from, inputs, *results), copy.device});
    }
    Tensors copied;
    TF_RETURN_IF_ERROR(CopyToDevices(wanted, &copied));
    for (Tensor& tensor : copied) results->push_back(std::move(tensor));
    copied_.fetch_add(static_cast<std::int64_t>(copies_.size()), std::memory_order_relaxed);
    return absl::OkStatus();
  }

  const std::unique_ptr<StageFunction> function_;  // may be null
  const std::vector<Tensor> args_;
  const std::vector<Copy> copies_;
  const std::shared_ptr<StagePool> pool_;
  std::atomic<std::int64_t> copied_{0};
};

// A random op keeps its place in its sequence over all plans of a session, so the function that is
// its state must not depend on one plan's lifetime; everything else about it does not differ.
absl::Status MakeSource(OpKernelContext* ctx, const StageSpec::SourceSpec& spec,
                        const std::shared_ptr<FunctionRuntime>& runtime,
                        std::shared_ptr<stage::Source>* source) {
  std::unique_ptr<StageFunction> function;
  TF_RETURN_IF_ERROR(StageFunction::Create(runtime, spec.function, &function));
  std::vector<WeakHandle> handles;
  for (const int arg : spec.args) handles.emplace_back(tensorflow::HandleFromInput(ctx, arg));
  *source = std::make_shared<stage::Source>(
      ProcessDomain(), spec.node,
      std::make_unique<FunctionReader>(std::move(function), std::move(handles)),
      spec.kind == StageSpec::SourceKind::kDraw ? stage::Source::Mode::kOnDraw
                                                : stage::Source::Mode::kAhead);
  return absl::OkStatus();
}

// Of one stage: what another one made of the same variable is no use to it.
absl::Status MakeState(OpKernelContext* ctx, const StageSpec::SourceSpec& spec,
                       const std::shared_ptr<FunctionRuntime>& runtime,
                       std::shared_ptr<stage::Source>* source) {
  std::unique_ptr<StageFunction> function;
  TF_RETURN_IF_ERROR(StageFunction::Create(runtime, spec.function, &function));
  TF_ASSIGN_OR_RETURN(
      std::unique_ptr<stage::StateReader> reader,
      MakeStateReader(ctx, tensorflow::HandleFromInput(ctx, spec.args[0]), std::move(function)));
  *source = std::make_shared<stage::Source>(ProcessDomain(), spec.node, std::move(reader));
  return absl::OkStatus();
}

absl::Status FindOrMakeSource(OpKernelContext* ctx, const StageSpec::SourceSpec& spec,
                              const std::shared_ptr<FunctionRuntime>& runtime,
                              std::shared_ptr<stage::Source>* source) {
  const auto make = [&](std::shared_ptr<stage::Source>* made) {
    return MakeSource(ctx, spec, runtime, made);
  };
  if (spec.kind == StageSpec::SourceKind::kState) return MakeState(ctx, spec, runtime, source);
  SourceRegistry& registry = SourceRegistry::Get();
  if (spec.kind == StageSpec::SourceKind::kDraw) {
    return registry.FindOrMakeDraw(ctx->session_handle(), spec.node, make, source);
  }
  const bool iterator = spec.kind != StageSpec::SourceKind::kResource;
  return registry.FindOrMake(ctx, tensorflow::HandleFromInput(ctx, spec.args[0]),
                             iterator ? "" : spec.node, make, source);
}

absl::Status FindDevices(OpKernelContext* ctx, const StageSpec& spec,
                         std::vector<FunctionBody::Copy>* copies) {
  if (spec.copies.empty()) return absl::OkStatus();
  const tensorflow::DeviceMgr* devices = ctx->function_library()->device_mgr();
  if (devices == nullptr) return absl::InternalError("the step has no device manager");
  for (const StageSpec::CopySpec& copy : spec.copies) {
    tensorflow::Device* device = nullptr;
    TF_RETURN_IF_ERROR(devices->LookupDevice(copy.device, &device));
    copies->push_back({copy.from, device});
  }
  return absl::OkStatus();
}

// Resources without a shared name are private to the kernel that made them; TensorFlow's
// ContainerInfo gives them names with a leading underscore, which users may not choose.
bool EndsWithItsKernel(OpKernelContext* ctx, int input) {
  const std::string& name = tensorflow::HandleFromInput(ctx, input).name();
  return !name.empty() && name[0] == '_';
}

stage::StageConfig MakeConfig(const StageSpec& spec) {
  const StageOptions& options = spec.options;
  stage::StageConfig config;
  config.name = spec.stage;
  config.tag = options.tag;
  config.capacity = static_cast<int>(options.capacity);
  config.num_threads = options.num_threads;
  config.max_threads = tensorflow::port::MaxParallelism();
  config.num_clients = options.num_clients;
  config.timeout = std::chrono::milliseconds(options.timeout_millis);
  config.closed_codes = {options.closed_codes.begin(), options.closed_codes.end()};
  config.ignored_codes = {options.ignored_codes.begin(), options.ignored_codes.end()};
  config.ignored_limit = static_cast<int>(options.ignored_limit);
  config.budget_bytes = static_cast<std::size_t>(options.budget_bytes);
  return config;
}

absl::Status ReadCopies(OpKernelConstruction* ctx, const std::vector<int>& num_outputs,
                        std::vector<StageSpec::CopySpec>* copies) {
  if (!ctx->HasAttr(kCopyOutputsAttr)) return absl::OkStatus();
  std::vector<int> outputs;
  std::vector<std::string> devices;
  TF_RETURN_IF_ERROR(ctx->GetAttr(kCopyOutputsAttr, &outputs));
  TF_RETURN_IF_ERROR(ctx->GetAttr(kCopyDevicesAttr, &devices));
  if (outputs.size() != devices.size()) {
    return absl::InvalidArgumentError("the lists that describe the copies differ in length");
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    TF_ASSIGN_OR_RETURN(const OutputOrigin from, OriginOf(outputs[i], num_outputs));
    copies->push_back({from, devices[i]});
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status StageSpec::FromAttrs(OpKernelConstruction* ctx, StageSpec* spec) {
  std::vector<tensorflow::NameAttrList> functions;
  std::vector<std::string> kinds, nodes;
  std::vector<int> num_args, args, num_outputs, outputs;
  std::string options;
  TF_RETURN_IF_ERROR(ctx->GetAttr("sources", &functions));
  TF_RETURN_IF_ERROR(ctx->GetAttr("source_kinds", &kinds));
  TF_RETURN_IF_ERROR(ctx->GetAttr("source_names", &nodes));
  TF_RETURN_IF_ERROR(ctx->GetAttr("source_num_args", &num_args));
  TF_RETURN_IF_ERROR(ctx->GetAttr("source_args", &args));
  TF_RETURN_IF_ERROR(ctx->GetAttr("source_num_outputs", &num_outputs));
  TF_RETURN_IF_ERROR(ctx->GetAttr("body", &spec->body));
  TF_RETURN_IF_ERROR(ctx->GetAttr("body_args", &spec->body_args));
  TF_RETURN_IF_ERROR(ctx->GetAttr("outputs", &outputs));
  TF_RETURN_IF_ERROR(ctx->GetAttr("stage", &spec->stage));
  TF_RETURN_IF_ERROR(ctx->GetAttr("options", &options));
  TF_RETURN_IF_ERROR(ToAbsl(ParseStageOptions(options, &spec->options)));
  spec->call_node = ctx->def().name();
  if (ctx->HasAttr(kStageDeviceAttr)) {
    TF_RETURN_IF_ERROR(ctx->GetAttr(kStageDeviceAttr, &spec->body_device));
  }

  const std::size_t n = functions.size();
  if (kinds.size() != n || nodes.size() != n || num_args.size() != n || num_outputs.size() != n) {
    return absl::InvalidArgumentError("the lists that describe the sources differ in length");
  }
  const auto is_input = [ctx](int i) { return i >= 0 && i < ctx->num_inputs(); };
  std::size_t next_arg = 0;
  for (std::size_t s = 0; s < n; ++s) {
    SourceSpec source;
    source.function = functions[s];
    source.node = nodes[s];
    source.num_outputs = num_outputs[s];
    TF_RETURN_IF_ERROR(ParseKind(kinds[s], &source.kind));
    for (int k = 0; k < num_args[s]; ++k, ++next_arg) {
      if (next_arg >= args.size() || !is_input(args[next_arg])) {
        return absl::InvalidArgumentError(
            absl::StrCat("source ", s, " names an argument that is not there"));
      }
      source.args.push_back(args[next_arg]);
    }
    if (source.kind != SourceKind::kDraw && source.args.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("source ", s, " has no resource"));
    }
    spec->sources.push_back(std::move(source));
  }
  for (int i : spec->body_args) {
    if (!is_input(i))
      return absl::InvalidArgumentError("the body names an argument that is not there");
  }
  for (const int output : outputs) {
    (output < 0 ? spec->has_body : spec->elements_cross) = true;
  }
  return ReadCopies(ctx, num_outputs, &spec->copies);
}

std::vector<Tensor> SelectInputs(OpKernelContext* ctx, const std::vector<int>& indices) {
  std::vector<Tensor> selected;
  selected.reserve(indices.size());
  for (int i : indices) selected.push_back(ctx->input(i));
  return selected;
}

std::vector<Tensor> BodyArguments(const std::vector<stage::Payload>& inputs,
                                  absl::Span<const Tensor> body_args) {
  std::vector<Tensor> args;
  for (const stage::Payload& input : inputs) {
    const Tensors& element = TensorsOf(input);
    args.insert(args.end(), element.begin(), element.end());
  }
  args.insert(args.end(), body_args.begin(), body_args.end());
  return args;
}

absl::Status BuildStage(OpKernelContext* ctx, const StageSpec& spec, BuiltStage* built) {
  std::shared_ptr<FunctionRuntime>& runtime = built->runtime;
  TF_RETURN_IF_ERROR(FunctionRuntime::Create(ctx->function_library(), &runtime));
  std::vector<stage::Stage::Input> inputs;
  for (const StageSpec::SourceSpec& source : spec.sources) {
    stage::Stage::Input input;
    TF_RETURN_IF_ERROR(FindOrMakeSource(ctx, source, runtime, &input.source));
    if (source.kind == StageSpec::SourceKind::kIteratorOptional) input.adapt = AsOptional;
    const bool drawn =
        source.kind == StageSpec::SourceKind::kDraw || source.kind == StageSpec::SourceKind::kState;
    if (!drawn && EndsWithItsKernel(ctx, source.args[0])) {
      built->session_sources.push_back(input.source);
    }
    inputs.push_back(std::move(input));
  }
  std::unique_ptr<stage::StageBody> body;
  if (spec.has_body || !spec.copies.empty()) {
    std::vector<FunctionBody::Copy> copies;
    TF_RETURN_IF_ERROR(FindDevices(ctx, spec, &copies));
    std::unique_ptr<StageFunction> function;
    if (spec.has_body && spec.body_device.empty()) {
      TF_RETURN_IF_ERROR(StageFunction::Create(runtime, spec.body, &function));
    } else if (spec.has_body) {
      TF_RETURN_IF_ERROR(StageFunction::CreateOn(spec.body_device, runtime, spec.body, &function));
    }
    std::shared_ptr<StagePool> pool;
    // What waits for a device must not go on on a thread of that device.
    if (!spec.body_device.empty()) pool = StagePool::Get({});
    if (spec.options.use_stage_subgraph_thread_pool) {
      pool = StagePool::Get(spec.options.thread_pools[spec.options.stage_subgraph_thread_pool_id]);
    }
    body = std::make_unique<FunctionBody>(std::move(function), SelectInputs(ctx, spec.body_args),
                                          std::move(copies), std::move(pool));
  }
  built->stage = std::make_shared<stage::Stage>(ProcessDomain(), MakeConfig(spec),
                                                std::move(inputs), std::move(body));
  return absl::OkStatus();
}

}  // namespace headrace
