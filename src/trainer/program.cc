#include "trainer/program.h"

#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tensorflow/c_api.h"
#include "tensorflow/cc/saved_model/loader_util.h"
#include "tensorflow/cc/saved_model/reader.h"
#include "tensorflow/core/protobuf/config.pb.h"
#include "tensorflow/core/protobuf/rewriter_config.pb.h"
#include "tensorflow/core/protobuf/saved_model.pb.h"
#include "tensorflow/core/protobuf/saver.pb.h"
#include "tensorflow/runtime/convert.h"
#include "trainer/object_graph.h"
#include "trainer/op_library.h"
#include "trainer/shared/push.h"
#include "trainer/shared/saver.h"
#include "trainer/shared/shared_graph.h"

namespace headrace::trainer {
namespace {

using ::tensorflow::Session;
using ::tensorflow::Tensor;

constexpr int kPool = 0, kCaller = 1;  // places in train_

Tensor Scalar(const std::string& text) {
  Tensor tensor(tensorflow::DT_STRING, {});
  tensor.scalar<tensorflow::tstring>()() = text;
  return tensor;
}

// Of a loss or a metric, whatever its floating type.
double ToDouble(const Tensor& tensor) {
  switch (tensor.dtype()) {
    case tensorflow::DT_FLOAT: return tensor.scalar<float>()();
    case tensorflow::DT_DOUBLE: return tensor.scalar<double>()();
    case tensorflow::DT_HALF: return static_cast<double>(tensor.scalar<Eigen::half>()());
    case tensorflow::DT_BFLOAT16:
      return static_cast<double>(tensor.scalar<tensorflow::bfloat16>()());
    default: return 0;
  }
}

tensorflow::ConfigProto ConfigOf(const Settings& settings) {
  tensorflow::ConfigProto config;
  config.set_intra_op_parallelism_threads(static_cast<int>(settings.intra_op_threads));
  config.set_inter_op_parallelism_threads(static_cast<int>(settings.inter_op_threads));
  if (!settings.staging.empty()) {
    config.mutable_graph_options()
        ->mutable_rewrite_options()
        ->add_custom_optimizers()
        ->ParseFromString(settings.staging);
  }
  return config;
}

}  // namespace

Program::Program(const ExportedJob& job, const Settings& settings, const SharedModel* shared)
    : job_(job), settings_(settings), shared_(shared) {}

Program::~Program() {
  if (session_ != nullptr) session_->Close().IgnoreError();
  for (const char* counter : {kBatchesCounter, kPushedCounter, kDecidedCounter}) {
    feed::Counters::Get().Close(counter);
  }
}

bool Program::WaitsForOthers() {
  const auto decided = feed::Counters::Get().Find(kDecidedCounter);
  const auto pushed = feed::Counters::Get().Find(kPushedCounter);
  return pushed != nullptr && decided != nullptr && pushed->load() > decided->load();
}

Status Program::Load(const ExportedJob& job, const Settings& settings, const SharedModel* shared,
                     std::unique_ptr<Program>* program) {
  for (const std::string& library : settings.op_libraries) {
    if (Status status = LoadOpLibrary(library); !status.ok()) return status;
  }
  std::unique_ptr<Program> loaded(new Program(job, settings, shared));
  if (absl::Status status = loaded->Open(); !status.ok()) {
    return loaded->Explain(FromAbsl(status));
  }
  *program = std::move(loaded);
  return Status();
}

absl::Status Program::Open() {
  tensorflow::SavedModel saved;
  TF_RETURN_IF_ERROR(tensorflow::ReadSavedModel(job_.directory, &saved));
  if (saved.meta_graphs_size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat(job_.directory, " holds ",
                                                   saved.meta_graphs_size(),
                                                   " graphs, and must hold one: export again"));
  }
  exported_ = std::move(*saved.mutable_meta_graphs(0));
  TF_RETURN_IF_ERROR(Connect());
  exported_.clear_graph_def();
  TF_RETURN_IF_ERROR(session_->Create(std::move(graph_.graph)));
  graph_.graph.Clear();
  if (shared_ == nullptr) TF_RETURN_IF_ERROR(ToAbsl(Restore(exported_values())));
  TF_RETURN_IF_ERROR(Initialize());

  if (settings_.synchronous) {
    TF_RETURN_IF_ERROR(MakeSynchronous());
  } else {
    TF_RETURN_IF_ERROR(MakeCallable(graph_.train, 0, &train_[kPool]));
    TF_RETURN_IF_ERROR(MakeCallable(graph_.train, -1, &train_[kCaller]));
  }
  TF_RETURN_IF_ERROR(MakeCallable(graph_.evaluate, 0, &evaluate_));
  TF_RETURN_IF_ERROR(MakeCallable(graph_.predict, 0, &predict_));
  if (settings_.executor == Settings::Executor::kPool) train_choice_.Fix(kPool);
  if (settings_.executor == Settings::Executor::kCaller) train_choice_.Fix(kCaller);
  // A session in a cluster has no thread of the caller's.
  if (shared_ != nullptr) train_choice_.Fix(kPool);
  return absl::OkStatus();
}

absl::Status Program::Connect() {
  if (shared_ != nullptr) {
    TF_RETURN_IF_ERROR(Share());
    return shared_->cluster().NewSession(ConfigOf(settings_), &session_);
  }
  absl::StatusOr<RuntimeGraph> graph = BuildRuntimeGraph(job_, exported_, /*synchronous=*/false);
  if (!graph.ok()) return graph.status();
  graph_ = *std::move(graph);
  tensorflow::SessionOptions options;
  options.config = ConfigOf(settings_);
  session_.reset(tensorflow::NewSession(options));
  return session_ == nullptr ? absl::InternalError("TensorFlow made no session") : absl::OkStatus();
}

absl::Status Program::Share() {
  const int servers = shared_->cluster().servers();
  if (!job_.sharded) {
    return absl::InvalidArgumentError(
        absl::StrCat(job_.directory, " was exported for a model in one process: export again"));
  }
  SharedGraph graph;
  TF_RETURN_IF_ERROR(LoadGraph(job_, exported_, settings_.synchronous, servers, &graph));
  TF_ASSIGN_OR_RETURN(graph.objects, ReadObjectGraph(exported_values()));
  if (settings_.synchronous) {
    TF_RETURN_IF_ERROR(AddPushesOf(job_, servers, shared_->writer(), &graph));
  }
  TF_RETURN_IF_ERROR(
      Distribute(RootsOf(exported_, graph.runtime), shared_->writer(), /*saves=*/true, &graph));
  graph_ = std::move(graph.runtime);
  graph.graph.ToGraphDef(&graph_.graph);
  return absl::OkStatus();
}

absl::Status Program::MakeSynchronous() {
  auto& counters = feed::Counters::Get();
  TF_RETURN_IF_ERROR(ToAbsl(counters.Open(kBatchesCounter, &batches_)));
  TF_RETURN_IF_ERROR(ToAbsl(counters.Open(kPushedCounter, &pushed_)));
  TF_RETURN_IF_ERROR(ToAbsl(counters.Open(kDecidedCounter, &decided_)));
  for (auto [pipeline, callable] :
       {std::make_pair(&graph_.train, &push_), std::make_pair(&graph_.again, &push_again_)}) {
    tensorflow::CallableOptions options;
    options.add_feed(absl::StrCat(kPushedStep, ":0"));
    for (const std::string& output : pipeline->outputs) options.add_fetch(output);
    if (!pipeline->identities.empty()) options.add_fetch(pipeline->identities);
    TF_RETURN_IF_ERROR(session_->MakeCallable(options, callable));
  }
  return absl::OkStatus();
}

// Tables are filled, from assets among others.
absl::Status Program::Initialize() {
  std::string init;
  TF_RETURN_IF_ERROR(tensorflow::internal::GetInitOp(job_.directory, exported_, &init));
  if (init.empty()) return absl::OkStatus();
  std::vector<tensorflow::AssetFileDef> assets;
  TF_RETURN_IF_ERROR(tensorflow::internal::GetAssetFileDefs(exported_, &assets));
  std::vector<std::pair<std::string, Tensor>> feeds;
  for (const auto& asset : assets) {
    feeds.emplace_back(asset.tensor_info().name(),
                       Scalar(absl::StrCat(job_.directory, "/assets/", asset.filename())));
  }
  return session_->Run(feeds, {}, {init}, nullptr);
}

absl::Status Program::RunSaver(const std::string& feed, const std::string& target,
                               const std::string& prefix) {
  return session_->Run({{feed, Scalar(prefix)}}, {}, {target}, nullptr);
}

Status Program::Restore(const std::string& prefix) {
  if (shared_ != nullptr) return FromAbsl(RunSaver(kRestorePrefix, kRestore, prefix));
  const auto& saver = exported_.saver_def();
  return FromAbsl(RunSaver(saver.filename_tensor_name(), saver.restore_op_name(), prefix));
}

Status Program::Save(const std::string& prefix) {
  if (shared_ != nullptr) return FromAbsl(RunSaver(kSavePrefix, kSave, prefix));
  const auto& saver = exported_.saver_def();
  return FromAbsl(RunSaver(saver.filename_tensor_name(), NodeOf(saver.save_tensor_name()), prefix));
}

absl::Status Program::MakeCallable(const Pipeline& pipeline, int inter_op_pool,
                                   Callable* callable) {
  tensorflow::CallableOptions options;
  options.add_fetch(pipeline.identities);
  for (const std::string& output : pipeline.outputs) options.add_fetch(output);
  options.mutable_run_options()->set_inter_op_thread_pool(inter_op_pool);
  return session_->MakeCallable(options, callable);
}

const Pipeline& Program::PipelineOf(Mode mode) const {
  if (mode == Mode::kTrain) return graph_.train;
  return mode == Mode::kEvaluate ? graph_.evaluate : graph_.predict;
}

Status Program::Begin(Mode mode) {
  return FromAbsl(session_->Run({}, {}, {PipelineOf(mode).begin}, nullptr));
}

Status Program::End(Mode mode) {
  return FromAbsl(session_->Run({}, {}, {PipelineOf(mode).end}, nullptr));
}

absl::Status Program::Call(Callable callable, std::vector<Tensor>* results,
                           std::vector<std::int64_t>* identities) {
  results->clear();
  TF_RETURN_IF_ERROR(session_->RunCallable(callable, {}, results, nullptr));
  const auto values = results->front().flat<std::int64_t>();
  identities->assign(values.data(), values.data() + values.size());
  return absl::OkStatus();
}

Status Program::TrainSynchronously(Trained* trained) {
  const bool again = !kept_.empty();
  std::vector<Tensor> results;
  const absl::Status status =
      session_->RunCallable(again ? push_again_ : push_, {Tensor(step_)}, &results, nullptr);
  decided_->store(pushed_->load());
  if (!status.ok()) return FromAbsl(status);
  if (!again) {
    const auto identities = results[2].flat<std::int64_t>();
    kept_.assign(identities.data(), identities.data() + identities.size());
  }
  const auto answer = results[1].flat<std::int64_t>();
  const auto decision = static_cast<Decision>(answer(0));
  step_ = answer(1);
  trained->loss = ToDouble(results[0]);
  trained->step = step_;
  trained->applied = decision == Decision::kTaken;
  if (decision == Decision::kLost) {
    return Status(Code::kAborted,
                  "the applier of the parameter servers has no such model any more");
  }
  if (trained->applied) trained->identities = std::exchange(kept_, {});
  return Status();
}

Status Program::Train(Trained* trained) {
  if (settings_.synchronous) return TrainSynchronously(trained);
  std::vector<Tensor> results;
  const int way = train_choice_.Next();
  const auto begin = std::chrono::steady_clock::now();
  if (absl::Status status = Call(train_[way], &results, &trained->identities); !status.ok()) {
    return FromAbsl(status);
  }
  train_choice_.Took(std::chrono::steady_clock::now() - begin);
  trained->loss = ToDouble(results[1]);
  trained->step = results[2].scalar<std::int64_t>()();
  return Status();
}

Status Program::Evaluate(std::vector<double>* sums, std::vector<std::int64_t>* identities) {
  std::vector<Tensor> results;
  if (absl::Status status = Call(evaluate_, &results, identities); !status.ok()) {
    return FromAbsl(status);
  }
  const auto values = results[1].flat<double>();
  sums->resize(values.size(), 0.0);
  for (Eigen::Index i = 0; i < values.size(); ++i) (*sums)[i] += values(i);
  return Status();
}

Status Program::Predict(std::vector<Tensor>* outputs, std::vector<std::int64_t>* identities) {
  std::vector<Tensor> results;
  if (absl::Status status = Call(predict_, &results, identities); !status.ok()) {
    return FromAbsl(status);
  }
  outputs->assign(results.begin() + 1, results.end());
  for (std::size_t i = 0; i < outputs->size(); ++i) {
    const Tensor& output = (*outputs)[i];
    if (output.dims() > 0 && output.dim_size(0) == static_cast<int64_t>(identities->size())) {
      continue;
    }
    return Status(Code::kInvalidArgument, job_.model_file + ": the model's output '" +
                                              job_.outputs[i].name + "' has the shape " +
                                              output.shape().DebugString() +
                                              ", not one row for each of " +
                                              std::to_string(identities->size()) + " records");
  }
  return Status();
}

Status Program::Metrics(const std::vector<double>& sums, std::map<std::string, double>* values) {
  if (static_cast<std::int64_t>(sums.size()) != job_.sums) {
    return Status(Code::kInternal, "evaluation gave " + std::to_string(sums.size()) +
                                       " sums, and the job has " + std::to_string(job_.sums));
  }
  Tensor fed(tensorflow::DT_DOUBLE, {job_.sums});
  std::copy(sums.begin(), sums.end(), fed.flat<double>().data());
  std::vector<std::string> fetches;
  for (const auto& [name, fetch] : graph_.metrics) fetches.push_back(fetch);
  std::vector<Tensor> results;
  if (absl::Status status = session_->Run({{graph_.metrics_input, fed}}, fetches, {}, &results);
      !status.ok()) {
    return FromAbsl(status);
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    (*values)[graph_.metrics[i].first] = ToDouble(results[i]);
  }
  return Status();
}

bool Program::FromData(const Status& error) const {
  for (const Pipeline* pipeline : {&graph_.train, &graph_.evaluate, &graph_.predict}) {
    if (absl::StrContains(error.message(), pipeline->next)) return true;
  }
  return absl::StrContains(error.message(), "StagedCall");
}

bool Program::LostModel(const Status& error) const {
  if (shared_ == nullptr) return false;
  switch (error.code()) {
    case Code::kUnavailable:
    case Code::kAborted:
    case Code::kCancelled: return true;
    // A variable that is not there, or a server that does not know this session.
    case Code::kFailedPrecondition:
    case Code::kNotFound: return !FromData(error);
    default: return absl::StrContains(error.message(), kFencedOff);
  }
}

// The innermost op that the message names and that the model file made.
Status Program::Explain(const Status& error) const {
  const std::string& text = error.message();
  for (std::size_t at = 0; (at = text.find("{{node ", at)) != std::string::npos;) {
    at += 7;
    const std::string node = text.substr(at, text.find("}}", at) - at);
    // Inlined ops carry the names of the calls that they were in.
    for (std::size_t slash = 0;; ++slash) {
      const auto line = job_.lines.find(node.substr(slash));
      if (line != job_.lines.end()) {
        return Status(error.code(),
                      text + "\n  made at " + job_.model_file + ":" + std::to_string(line->second));
      }
      slash = node.find('/', slash);
      if (slash == std::string::npos) break;
    }
  }
  return error;
}

Program::StageFigures Program::FiguresOf(Mode mode) const {
  char* const text = headrace_stats("");
  const auto figures = nlohmann::json::parse(text, nullptr, false);
  headrace_free(text);
  StageFigures found;
  if (!figures.is_object()) return found;
  for (const auto& stage : figures.value("stages", nlohmann::json::array())) {
    // Stages are named after their source.
    if (!absl::StrContains(stage.value("name", ""), PipelineOf(mode).next)) continue;
    found.ready += stage.value("depth", std::int64_t{0});
    found.taken += stage.value("taken", std::int64_t{0});
    found.waited_s += stage.value("consumer_wait_us", 0.0) / 1e6;
    found.read_s += stage.value("read_us", 0.0) / 1e6;
    found.body_s += stage.value("body_us", 0.0) / 1e6;
  }
  return found;
}

}  // namespace headrace::trainer
