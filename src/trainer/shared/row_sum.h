// The mean of sparse gradients, some rows of a table each.
#ifndef HEADRACE_TRAINER_SHARED_ROW_SUM_H_
#define HEADRACE_TRAINER_SHARED_ROW_SUM_H_

#include <cstdint>
#include <string>

#include "tensorflow/core/framework/tensor_shape.h"
#include "trainer/shared/graph_edit.h"

namespace headrace::trainer {

// Accumulators drop what is older than their own count of steps: what is here was looked at.
inline constexpr std::int64_t kNeverOld = std::int64_t{1} << 62;

struct RowSum {
  std::string prefix;       // of the nodes' names
  std::string shared_name;  // under which the sum is kept between steps
  tensorflow::DataType dtype = tensorflow::DT_INVALID;
  tensorflow::TensorShape shape;  // of the table
};

struct RowMean {
  tensorflow::Node* add = nullptr;  // adds one gradient
  // Takes the sum of `count` gradients, divided by their number: int64 [rows], each row once, and
  // dtype [rows, ...].
  GraphEdit::Out indices, values;
};

// indices: int64 [n], each row at most once, in any order; values: dtype [n, ...].
// place: int64, of this gradient among those of its mean, from 0 on; count: int32.
// All on the device that `edit` is at. Error: in edit->status().
RowMean AddRowMean(const RowSum& sum, const GraphEdit::Out& indices, const GraphEdit::Out& values,
                   tensorflow::Node* place, tensorflow::Node* count, GraphEdit* edit);

}  // namespace headrace::trainer

#endif  // HEADRACE_TRAINER_SHARED_ROW_SUM_H_
