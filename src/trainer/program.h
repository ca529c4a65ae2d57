// An exported job in a TensorFlow session: its variables, its three pipelines, its saver.
#ifndef HEADRACE_TRAINER_PROGRAM_H_
#define HEADRACE_TRAINER_PROGRAM_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "feed/counters.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"
#include "tensorflow/core/public/session.h"
#include "trainer/executor_choice.h"
#include "trainer/exported_job.h"
#include "trainer/runtime_graph.h"
#include "trainer/settings.h"
#include "trainer/shared/shared_model.h"

namespace headrace::trainer {

// Ownership: owns the session and everything in it.
// Thread safety: one thread at a time.
// Errors: of the three step functions, OUT_OF_RANGE is the end of the iterator, and FromData() says
// whether an error came from its data; others come from the model.
class Program {
 public:
  enum class Mode { kTrain, kEvaluate, kPredict };

  // The variables have the values that were exported; with `shared` (which outlives the program),
  // those that the parameter servers have.
  static Status Load(const ExportedJob& job, const Settings& settings, const SharedModel* shared,
                     std::unique_ptr<Program>* program);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Prefix of the values that were exported.
  std::string exported_values() const { return job_.directory + "/variables/variables"; }
  // All variables, from and to TensorFlow checkpoints with this prefix.
  Status Restore(const std::string& prefix);
  Status Save(const std::string& prefix);

  // A new iterator, which reads from the queue of ranges that the exported job names. The one
  // before is gone, with all that it held, when this returns; End() leaves none.
  Status Begin(Mode mode);
  Status End(Mode mode);

  struct Trained {
    bool applied = true;  // false: the synchronous step went on without it; call again
    double loss = 0;
    std::int64_t step = 0;                 // of the model, after this one
    std::vector<std::int64_t> identities;  // of the batch
  };
  // A synchronous step that is not applied keeps its batch: the next call computes on it again,
  // with the model as it is then.
  Status Train(Trained* trained);
  // Adds to *sums.
  Status Evaluate(std::vector<double>* sums, std::vector<std::int64_t>* identities);
  // outputs: as ExportedJob::outputs, one row for each identity.
  Status Predict(std::vector<tensorflow::Tensor>* outputs, std::vector<std::int64_t>* identities);

  // The results of evaluation, from summed contributions.
  Status Metrics(const std::vector<double>& sums, std::map<std::string, double>* values);

  // Nothing of the model was touched by the step that failed so.
  bool FromData(const Status& error) const;
  // The model on the parameter servers is gone, or not this process's to write any more.
  bool LostModel(const Status& error) const;
  // The error with the line of the model file, where its op is known.
  Status Explain(const Status& error) const;

  // Whether the synchronous step of this process's program waits for other trainers' gradients:
  // they come, or the master gives up on those trainers. Any thread, at any time.
  static bool WaitsForOthers();

  // Batches that synchronous steps got so far. Any thread.
  std::int64_t batches() const { return batches_ == nullptr ? 0 : batches_->load(); }

  // What a pipeline's stage did so far; zero while it is not staged.
  struct StageFigures {
    std::int64_t ready = 0;  // results that no step has taken so far
    std::int64_t taken = 0;  // by steps
    double waited_s = 0;     // steps, for the stage
    double read_s = 0;       // in reads: the dataset function, and what it waits for
    double body_s = 0;       // in the stage's body, all threads
  };
  StageFigures FiguresOf(Mode mode) const;

 private:
  using Callable = tensorflow::Session::CallableHandle;

  Program(const ExportedJob& job, const Settings& settings, const SharedModel* shared);
  absl::Status Open();
  absl::Status Connect();
  absl::Status Initialize();
  absl::Status RunSaver(const std::string& feed, const std::string& target,
                        const std::string& prefix);
  absl::Status Share();
  absl::Status MakeSynchronous();
  Status TrainSynchronously(Trained* trained);
  absl::Status MakeCallable(const Pipeline& pipeline, int inter_op_pool, Callable* callable);
  absl::Status Call(Callable callable, std::vector<tensorflow::Tensor>* results,
                    std::vector<std::int64_t>* identities);
  const Pipeline& PipelineOf(Mode mode) const;

  const ExportedJob job_;
  const Settings settings_;
  const SharedModel* const shared_;
  tensorflow::MetaGraphDef exported_;  // without its graph, once that is in the session
  RuntimeGraph graph_;                 // likewise
  std::unique_ptr<tensorflow::Session> session_;
  ExecutorChoice train_choice_;
  Callable train_[2] = {-1, -1};  // on TensorFlow's pool, on the caller's thread
  Callable evaluate_ = -1, predict_ = -1;

  // Of synchronous training.
  Callable push_ = -1, push_again_ = -1;
  std::shared_ptr<feed::Counter> batches_, pushed_, decided_;
  std::vector<std::int64_t> kept_;  // identities of the batch that is to be computed again
  std::int64_t step_ = 0;           // of the model, as last told
};

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_PROGRAM_H_
