#include "trainer/shared/row_sum.h"

#include <vector>

#include "tensorflow/core/framework/tensor.h"

namespace headrace::trainer {

using ::tensorflow::DT_INT64;
using ::tensorflow::Node;
using Out = GraphEdit::Out;

// TensorFlow's accumulator merges rows only of sorted gradients, and divides each row by how many
// gradients have it. So it is used as a list: row + place * rows is never met twice.
RowMean AddRowMean(const RowSum& sum, const Out& indices, const Out& values, Node* place,
                   Node* count, GraphEdit* edit) {
  const auto name = [&sum](const char* suffix) { return sum.prefix + suffix; };
  std::vector<std::int64_t> dims(sum.shape.dims(), -1);  // as many rows as there are places
  for (int i = 1; i < sum.shape.dims(); ++i) dims[i] = sum.shape.dim_size(i);
  Node* list =
      edit->Add(name("list"), "SparseConditionalAccumulator", {},
                {Attr("dtype", sum.dtype), Attr("shape", tensorflow::PartialTensorShape(dims)),
                 Attr("shared_name", sum.shared_name)});
  Node* rows = edit->Scalar(name("rows"), sum.shape.dim_size(0));
  Node* offset = edit->Add(name("offset"), "Mul", {place, rows});
  Node* keys = edit->Add(name("keys"), "AddV2", {indices, offset});
  tensorflow::Tensor no_shape(DT_INT64, {0});
  RowMean mean;
  mean.add = edit->Add(name("add"), "SparseAccumulatorApplyGradient",
                       {list, edit->Scalar(name("never_old"), kNeverOld), keys, values,
                        edit->Constant(name("no_shape"), no_shape)},
                       {Attr("has_known_shape", false)});
  Node* all = edit->Add(name("all"), "SparseAccumulatorTakeGradient", {list, count},
                        {Attr("dtype", sum.dtype)});
  Node* again = edit->Add(name("again"), "FloorMod", {Out(all, 0), rows});
  Node* distinct = edit->Add(name("distinct"), "Unique", {again}, {Attr("out_idx", DT_INT64)});
  Node* size = edit->Add(name("size"), "Size", {Out(distinct, 0)}, {Attr("out_type", DT_INT64)});
  Node* total =
      edit->Add(name("total"), "UnsortedSegmentSum", {Out(all, 1), Out(distinct, 1), Out(size, 0)});
  Node* number = edit->Add(name("number"), "Cast", {count}, {Attr("DstT", sum.dtype)});
  Node* values_of_mean = edit->Add(name("mean"), "Div", {total, number});
  mean.indices = Out(distinct, 0);
  mean.values = Out(values_of_mean, 0);
  return mean;
}

}  // namespace headrace::trainer
