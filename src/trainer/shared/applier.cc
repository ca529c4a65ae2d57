#include "trainer/shared/applier.h"

#include <chrono>
#include <utility>

#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "tensorflow/cc/saved_model/reader.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/graph/graph.h"
#include "tensorflow/core/protobuf/saved_model.pb.h"
#include "tensorflow/runtime/convert.h"
#include "trainer/shared/applier_graph.h"

namespace headrace::trainer {
namespace {

using ::tensorflow::DT_INT64;
using ::tensorflow::Graph;
using ::tensorflow::Node;
using ::tensorflow::Tensor;

constexpr char kTake[] = "take";  // fetch: a push

// To find out that nobody listens.
constexpr std::chrono::milliseconds kServerIsGone{200};

absl::StatusOr<tensorflow::GraphDef> MailGraph() {
  Graph graph(tensorflow::OpRegistry::Global());
  GraphEdit edit("", &graph);
  Node* pushes = AddPushes(&edit, "pushes");
  AddDequeue(kTake, pushes, {}, &edit);
  if (!edit.status().ok()) return edit.status();
  tensorflow::GraphDef def;
  graph.ToGraphDef(&def);
  return def;
}

std::string AnswerOp(const Push& push) {
  return absl::StrCat(push.kind == Push::Kind::kFence ? "answer_fence_" : "answer_", push.number);
}

// What is fed to it: int64 [2].
std::string AnswerFeed(const Push& push) {
  return AnswerOp(push) + "_value";
}

// What is added for a queue that is new.
absl::StatusOr<tensorflow::GraphDef> AnswerGraph(const Push& push) {
  Graph graph(tensorflow::OpRegistry::Global());
  GraphEdit edit("", &graph);
  edit.On(Cluster::WorkerDevice());
  Node* feed = edit.Add(AnswerFeed(push), "Placeholder", {},
                        {Attr("dtype", DT_INT64), Attr("shape", tensorflow::TensorShape({2}))});
  const std::string name = AnswerOp(push);
  Node* queue = push.kind == Push::Kind::kFence
                    ? AddFenceAnswers(&edit, name + "_queue", push.number)
                    : AddAnswers(&edit, name + "_queue", push.number);
  AddEnqueue(name, queue, feed, {}, &edit);
  if (!edit.status().ok()) return edit.status();
  tensorflow::GraphDef def;
  graph.ToGraphDef(&def);
  return def;
}

}  // namespace

Status Applier::Open(const Cluster& cluster, const std::string& exported,
                     std::int64_t grads_to_wait, std::unique_ptr<Applier>* applier) {
  std::unique_ptr<Applier> opened(new Applier(cluster, grads_to_wait));
  if (Status status = LoadExportedJob(exported, &opened->job_); !status.ok()) return status;
  tensorflow::SavedModel saved;
  if (absl::Status s = tensorflow::ReadSavedModel(exported, &saved); !s.ok()) return FromAbsl(s);
  opened->exported_ = std::move(*saved.mutable_meta_graphs(0));
  if (Status status = ModelServers::Open(cluster, kApplierNumber, &opened->servers_);
      !status.ok()) {
    return status;
  }
  absl::StatusOr<tensorflow::GraphDef> mail = MailGraph();
  absl::Status status = mail.status();
  if (status.ok()) status = cluster.NewSession({}, &opened->mail_);
  if (status.ok()) status = opened->mail_->Create(*mail);
  if (!status.ok()) return FromAbsl(status);
  // Whoever looks whether it is there may push from now on.
  if (Status said = opened->servers_->Announce({FingerprintOf(opened->job_), grads_to_wait});
      !said.ok()) {
    return said;
  }
  *applier = std::move(opened);
  return Status();
}

Status Applier::Serve() {
  std::vector<Tensor> taken;
  if (absl::Status s = mail_->Run({}, {absl::StrCat(kTake, ":0")}, {}, &taken); !s.ok()) {
    return FromAbsl(s);
  }
  const Push push = PushOf(taken[0]);
  if (push.generation != rounds_.generation() || model_ == nullptr) {
    if (Status status = TakeUp(push.generation); !status.ok()) return status;
  }
  const bool of_this_model = model_ != nullptr && push.generation == rounds_.generation();
  switch (rounds_.Take(push)) {
    case Rounds::Answer::kNone:
    case Rounds::Answer::kTaken: break;
    case Rounds::Answer::kAnswered: {
      if (Status status = Answer(push, Decision::kTaken); !status.ok()) return status;
      break;
    }
    case Rounds::Answer::kRefused: {
      if (!of_this_model) return Answer(push, Decision::kLost);
      if (Status status = Run(kDropPush, {{kApplyKey, Tensor(KeyOf(push))}}); !status.ok())
        return Lose(status);
      if (Status status = Answer(push, Decision::kRefused); !status.ok()) return status;
      break;
    }
  }
  if (!of_this_model) return Status();
  while (const auto pushes = rounds_.Ready()) {
    if (Status status = Step(*pushes); !status.ok()) return status;
  }
  return Status();
}

Status Applier::TakeUp(std::int64_t generation) {
  if (generation == 0 || !IsThere(generation)) return Status();
  if (model_ != nullptr) model_->Close().IgnoreError();
  model_.reset();
  tensorflow::GraphDef graph;
  if (absl::Status status =
          MakeApplierGraph(job_, exported_, cluster_.servers(), generation, &graph);
      !status.ok()) {
    return FromAbsl(status);
  }
  std::unique_ptr<tensorflow::Session> model;
  absl::Status status = cluster_.NewSession({}, &model);
  if (status.ok()) status = model->Create(std::move(graph));
  std::vector<Tensor> step;
  if (status.ok()) status = model->Run({}, {kModelStep}, {}, &step);
  if (!status.ok()) {
    // A server went away in between: the model is lost, and whoever pushed is told so.
    LOG(WARNING) << "Headrace: the model of generation " << generation
                 << " cannot be taken up: " << status;
    return Status();
  }
  model_ = std::move(model);
  rounds_.Begin(generation, step[0].scalar<std::int64_t>()());
  LOG(INFO) << "Headrace: applies gradients to the model of generation " << generation << ", step "
            << rounds_.step();
  return Status();
}

bool Applier::IsThere(std::int64_t generation) {
  std::int64_t held = 0;
  Status status = servers_->Generation(&held);
  if (!status.ok() && cluster_.Reach(kServerIsGone).ok()) {
    // One was started again since: it does not know the session.
    status = ModelServers::Open(cluster_, kApplierNumber, &servers_);
    if (status.ok()) status = servers_->Generation(&held);
  }
  return status.ok() && held == generation;
}

Status Applier::Step(const std::vector<Push>& pushes) {
  Status status;
  std::int64_t place = 0;
  for (const Push& push : pushes) {
    if (!status.ok()) break;
    status = Run(kAddPush, {{kApplyKey, Tensor(KeyOf(push))}, {kApplyPlace, Tensor(place++)}});
  }
  const auto count = static_cast<std::int32_t>(pushes.size());
  if (status.ok()) status = Run(kApply, {{kApplyCount, Tensor(count)}});
  if (status.ok()) rounds_.Begin(rounds_.generation(), rounds_.step() + 1);
  for (const Push& push : pushes) {
    const Decision decision = status.ok() ? Decision::kTaken : Decision::kLost;
    if (Status answered = Answer(push, decision); !answered.ok()) return answered;
  }
  return status.ok() ? status : Lose(status);
}

Status Applier::Lose(const Status& why) {
  LOG(ERROR) << "Headrace: the model is lost, since a step failed on the way: " << why.ToString();
  if (model_ != nullptr) model_->Close().IgnoreError();
  model_.reset();
  // With a server gone nobody can use the model anyway.
  servers_->Publish(0).IgnoreError();
  for (const Push& push : rounds_.Abandon()) {
    if (Status status = Answer(push, Decision::kLost); !status.ok()) return status;
  }
  return Status();
}

Status Applier::Run(const char* target, const Feeds& feeds) {
  return FromAbsl(model_->Run(feeds, {}, {target}, nullptr));
}

Status Applier::Answer(const Push& push, Decision decision) {
  const std::string op = AnswerOp(push);
  if (answers_.insert(op).second) {
    absl::StatusOr<tensorflow::GraphDef> added = AnswerGraph(push);
    if (!added.ok()) return FromAbsl(added.status());
    if (absl::Status s = mail_->Extend(*added); !s.ok()) return FromAbsl(s);
  }
  Tensor answer(DT_INT64, {2});
  answer.flat<std::int64_t>()(0) = static_cast<std::int64_t>(decision);
  answer.flat<std::int64_t>()(1) = rounds_.step();
  return FromAbsl(mail_->Run({{AnswerFeed(push), answer}}, {}, {op}, nullptr));
}

}  // namespace headrace::trainer
