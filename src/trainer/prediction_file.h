// What prediction jobs write: the model's outputs, with the identity of the record that each row is
// of.
//
// A part holds the rows of one task, in the order of its records; its name says which:
// part-FILE-BEGIN-END.EXT (numbers padded with zeros, so that names sort as records do). Parts
// appear by rename. MergeParts() makes one file of each input file's parts.
#ifndef HEADRACE_TRAINER_PREDICTION_FILE_H_
#define HEADRACE_TRAINER_PREDICTION_FILE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "tensorflow/core/framework/tensor.h"
#include "trainer/exported_job.h"

namespace headrace::trainer {

// Rows are (docs/formats.md, "Predictions"):
//   jsonl     {"file": path, "record": n, "outputs": {name: value or nested lists}}
//   csv       file,record,output,... with one column for each number of an output's row
//   tfrecord, recordio   tf.train.Example: bytes `file`, int64 `record`, and each output
// Thread safety: one thread at a time.
class PredictionPart {
 public:
  // format: one of the above. `path`: of the input file.
  PredictionPart(const std::string& format, const std::string& path,
                 const std::vector<ElementSpec>& outputs)
      : format_(format), path_(path), outputs_(outputs) {}

  // Row i of the tensors is of records[i]. A record may have several rows (flat_map); they stay in
  // the order in which they are added.
  Status Add(const std::vector<tensorflow::Tensor>& outputs,
             const std::vector<std::int64_t>& records);
  Status Write(const std::string& file) const;

 private:
  std::string Row(const std::vector<tensorflow::Tensor>& outputs, std::int64_t row,
                  std::int64_t record) const;
  std::string Header() const;

  const std::string format_, path_;
  const std::vector<ElementSpec> outputs_;
  std::multimap<std::int64_t, std::string> rows_;  // by record; equal keys in order of insertion
};

std::string PartName(const std::string& format, std::int64_t file, std::int64_t begin,
                     std::int64_t end);

// Puts the parts of `parts` together: predictions-FILE.EXT in `output` for each input file. A part
// whose records a larger one holds, too, is left out: both are of the same model, and one of the
// two tasks was not accepted. *files: what was written. Errors: DATA_LOSS if parts overlap
// otherwise.
Status MergeParts(const std::string& parts, const std::string& output,
                  std::vector<std::string>* files);

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_PREDICTION_FILE_H_
