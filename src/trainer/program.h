// An exported job in a TensorFlow session: its variables, its three pipelines, its saver.
#ifndef HEADRACE_TRAINER_PROGRAM_H_
#define HEADRACE_TRAINER_PROGRAM_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/protobuf/meta_graph.pb.h"
#include "tensorflow/core/public/session.h"
#include "trainer/executor_choice.h"
#include "trainer/exported_job.h"
#include "trainer/runtime_graph.h"
#include "trainer/settings.h"

namespace headrace::trainer {

// Ownership: owns the session and everything in it.
// Thread safety: one thread at a time.
// Errors: of the three step functions, OUT_OF_RANGE is the end of the iterator, and FromData() says
// whether an error came from its data; others come from the model.
class Program {
 public:
  enum class Mode { kTrain, kEvaluate, kPredict };

  // The variables have the values that were exported.
  static Status Load(const ExportedJob& job, const Settings& settings,
                     std::unique_ptr<Program>* program);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // All variables, from and to TensorFlow checkpoints with this prefix.
  Status Restore(const std::string& prefix);
  Status Save(const std::string& prefix);

  // A new iterator, which reads from the queue of ranges that the exported job names. The one
  // before is gone, with all that it held, when this returns; End() leaves none.
  Status Begin(Mode mode);
  Status End(Mode mode);

  struct Trained {
    double loss = 0;
    std::int64_t step = 0;                 // of the model, after this one
    std::vector<std::int64_t> identities;  // of the batch
  };
  Status Train(Trained* trained);
  // Adds to *sums.
  Status Evaluate(std::vector<double>* sums, std::vector<std::int64_t>* identities);
  // outputs: as ExportedJob::outputs, one row for each identity.
  Status Predict(std::vector<tensorflow::Tensor>* outputs, std::vector<std::int64_t>* identities);

  // The results of evaluation, from summed contributions.
  Status Metrics(const std::vector<double>& sums, std::map<std::string, double>* values);

  // Nothing of the model was touched by the step that failed so.
  bool FromData(const Status& error) const;
  // The error with the line of the model file, where its op is known.
  Status Explain(const Status& error) const;

  // What a pipeline's stage did so far; zero while it is not staged.
  struct StageTimes {
    double waited_s = 0;  // steps, for the stage
    double body_s = 0;    // in the stage's body, all threads
  };
  StageTimes TimesOf(Mode mode) const;

 private:
  using Callable = tensorflow::Session::CallableHandle;

  Program(const ExportedJob& job, const Settings& settings);
  absl::Status Open();
  absl::Status Initialize();
  absl::Status RunSaver(const std::string& target, const std::string& fetch,
                        const std::string& prefix);
  absl::Status MakeCallable(const Pipeline& pipeline, int inter_op_pool, Callable* callable);
  absl::Status Call(Callable callable, std::vector<tensorflow::Tensor>* results,
                    std::vector<std::int64_t>* identities);
  const Pipeline& PipelineOf(Mode mode) const;

  const ExportedJob job_;
  const Settings settings_;
  tensorflow::MetaGraphDef exported_;  // without its graph, once that is in the session
  RuntimeGraph graph_;                 // likewise
  std::unique_ptr<tensorflow::Session> session_;
  ExecutorChoice train_choice_;
  Callable train_[2] = {-1, -1};  // on TensorFlow's pool, on the caller's thread
  Callable evaluate_ = -1, predict_ = -1;
};

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_PROGRAM_H_
