#include "trainer/program.h"

#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tensorflow/c/c_api.h"
#include "tensorflow/c_api.h"
#include "tensorflow/cc/saved_model/loader_util.h"
#include "tensorflow/cc/saved_model/reader.h"
#include "tensorflow/core/protobuf/config.pb.h"
#include "tensorflow/core/protobuf/rewriter_config.pb.h"
#include "tensorflow/core/protobuf/saved_model.pb.h"
#include "tensorflow/core/protobuf/saver.pb.h"
#include "tensorflow/runtime/convert.h"

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

Status LoadOps(const std::string& path) {
  std::unique_ptr<TF_Status, void (*)(TF_Status*)> status(TF_NewStatus(), TF_DeleteStatus);
  TF_LoadLibrary(path.c_str(), status.get());  // stays loaded: its ops may be in use until the end
  if (TF_GetCode(status.get()) == TF_OK) return Status();
  return Status(Code::kInvalidArgument,
                "the op library " + path + " cannot be loaded: " + TF_Message(status.get()));
}

tensorflow::SessionOptions SessionOptionsOf(const Settings& settings) {
  tensorflow::SessionOptions options;
  options.config.set_intra_op_parallelism_threads(static_cast<int>(settings.intra_op_threads));
  options.config.set_inter_op_parallelism_threads(static_cast<int>(settings.inter_op_threads));
  if (!settings.staging.empty()) {
    options.config.mutable_graph_options()
        ->mutable_rewrite_options()
        ->add_custom_optimizers()
        ->ParseFromString(settings.staging);
  }
  return options;
}

}  // namespace

Program::Program(const ExportedJob& job, const Settings& settings)
    : job_(job), settings_(settings) {}

Program::~Program() {
  if (session_ != nullptr) session_->Close().IgnoreError();
}

Status Program::Load(const ExportedJob& job, const Settings& settings,
                     std::unique_ptr<Program>* program) {
  for (const std::string& library : settings.op_libraries) {
    if (Status status = LoadOps(library); !status.ok()) return status;
  }
  std::unique_ptr<Program> loaded(new Program(job, settings));
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
  absl::StatusOr<RuntimeGraph> graph = BuildRuntimeGraph(job_, exported_);
  if (!graph.ok()) return graph.status();
  graph_ = *std::move(graph);
  exported_.clear_graph_def();

  session_.reset(tensorflow::NewSession(SessionOptionsOf(settings_)));
  if (session_ == nullptr) return absl::InternalError("TensorFlow made no session");
  TF_RETURN_IF_ERROR(session_->Create(std::move(graph_.graph)));
  graph_.graph.Clear();
  TF_RETURN_IF_ERROR(RunSaver(exported_.saver_def().restore_op_name(), "",
                              job_.directory + "/variables/variables"));
  TF_RETURN_IF_ERROR(Initialize());

  TF_RETURN_IF_ERROR(MakeCallable(graph_.train, 0, &train_[kPool]));
  TF_RETURN_IF_ERROR(MakeCallable(graph_.train, -1, &train_[kCaller]));
  TF_RETURN_IF_ERROR(MakeCallable(graph_.evaluate, 0, &evaluate_));
  TF_RETURN_IF_ERROR(MakeCallable(graph_.predict, 0, &predict_));
  if (settings_.executor == Settings::Executor::kPool) train_choice_.Fix(kPool);
  if (settings_.executor == Settings::Executor::kCaller) train_choice_.Fix(kCaller);
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

absl::Status Program::RunSaver(const std::string& target, const std::string& fetch,
                               const std::string& prefix) {
  std::vector<std::string> targets, fetches;
  if (!target.empty()) targets.push_back(target);
  if (!fetch.empty()) fetches.push_back(fetch);
  std::vector<Tensor> results;
  return session_->Run({{exported_.saver_def().filename_tensor_name(), Scalar(prefix)}}, fetches,
                       targets, &results);
}

Status Program::Restore(const std::string& prefix) {
  return FromAbsl(RunSaver(exported_.saver_def().restore_op_name(), "", prefix));
}

Status Program::Save(const std::string& prefix) {
  return FromAbsl(RunSaver("", exported_.saver_def().save_tensor_name(), prefix));
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

Status Program::Train(Trained* trained) {
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

Program::StageTimes Program::TimesOf(Mode mode) const {
  char* const text = headrace_stats("");
  const auto figures = nlohmann::json::parse(text, nullptr, false);
  headrace_free(text);
  StageTimes times;
  if (!figures.is_object()) return times;
  for (const auto& stage : figures.value("stages", nlohmann::json::array())) {
    // Stages are named after their source.
    if (!absl::StrContains(stage.value("name", ""), PipelineOf(mode).next)) continue;
    times.waited_s += stage.value("consumer_wait_us", 0.0) / 1e6;
    times.body_s += stage.value("body_us", 0.0) / 1e6;
  }
  return times;
}

}  // namespace headrace::trainer
