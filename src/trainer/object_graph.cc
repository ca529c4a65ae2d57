#include "trainer/object_graph.h"

#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/util/tensor_bundle/tensor_bundle.h"

namespace headrace::trainer {

absl::StatusOr<std::string> ReadObjectGraph(const std::string& prefix) {
  tensorflow::BundleReader reader(tensorflow::Env::Default(), prefix);
  if (!reader.status().ok()) return reader.status();
  tensorflow::Tensor value(tensorflow::DT_STRING, {});
  if (absl::Status status = reader.Lookup(kObjectGraph, &value); !status.ok()) return status;
  return std::string(value.scalar<tensorflow::tstring>()());
}

}  // namespace headrace::trainer
