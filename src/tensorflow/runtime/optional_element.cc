#include "tensorflow/runtime/optional_element.h"

#include <utility>

#include "tensorflow/core/framework/variant.h"
#include "tensorflow/core/kernels/data/optional_ops_util.h"
#include "tensorflow/runtime/convert.h"

namespace headrace {
namespace {

// IteratorGetNext reports the end of data so; other ops inside a dataset may fail with OUT_OF_RANGE
// too, and that is an error.
bool IsEndOfData(const Status& status) {
  return status.code() == Code::kOutOfRange &&
         status.message().find("End of sequence") != std::string::npos;
}

}  // namespace

stage::ReadResult AsOptional(const stage::ReadResult& read) {
  using ::tensorflow::data::OptionalVariant;
  if (!read.status.ok() && !IsEndOfData(read.status)) return read;
  tensorflow::Tensor scalar(tensorflow::DT_VARIANT, tensorflow::TensorShape({}));
  scalar.scalar<tensorflow::Variant>()() =
      read.status.ok() ? OptionalVariant(TensorsOf(read.value)) : OptionalVariant();
  stage::ReadResult optional = ToReadResult(absl::OkStatus(), {std::move(scalar)});
  optional.bytes = read.bytes;
  return optional;
}

}  // namespace headrace
