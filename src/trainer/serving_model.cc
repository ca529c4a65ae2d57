#include "trainer/serving_model.h"

#include <filesystem>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/util/tensor_bundle/tensor_bundle.h"
#include "tensorflow/runtime/convert.h"
#include "trainer/directory.h"
#include "trainer/object_graph.h"

namespace headrace::trainer {
namespace {

namespace fs = std::filesystem;
using ::tensorflow::BundleReader;
using ::tensorflow::BundleWriter;
using ::tensorflow::Tensor;

constexpr char kVariables[] = "/variables/variables";

absl::Status Read(BundleReader* reader, const std::string& key, Tensor* value) {
  tensorflow::DataType dtype;
  tensorflow::TensorShape shape;
  TF_RETURN_IF_ERROR(reader->LookupDtypeAndShape(key, &dtype, &shape));
  *value = Tensor(dtype, shape);
  return reader->Lookup(key, value);
}

absl::Status CheckSame(const std::string& key, const Tensor& untrained, const Tensor& trained) {
  if (untrained.dtype() == trained.dtype() && untrained.shape() == trained.shape()) {
    return absl::OkStatus();
  }
  return absl::DataLossError(absl::StrCat("the trained value of '", key, "' is ",
                                          trained.DebugString(0), ", the model's ",
                                          untrained.DebugString(0)));
}

// The values of `untrained`, with those of `prefix` in their place.
absl::Status WriteVariables(const std::string& untrained, const std::string& prefix,
                            const std::string& output) {
  auto* const env = tensorflow::Env::Default();
  BundleReader model(env, untrained);
  TF_RETURN_IF_ERROR(model.status());
  BundleReader checkpoint(env, prefix);
  TF_RETURN_IF_ERROR(checkpoint.status());
  BundleWriter writer(env, output);
  TF_RETURN_IF_ERROR(writer.status());
  model.Seek(tensorflow::kHeaderEntryKey);
  for (model.Next(); model.Valid(); model.Next()) {
    const std::string key(model.key());
    Tensor value;
    TF_RETURN_IF_ERROR(Read(&model, key, &value));
    // The two hold their variables in other ways.
    if (key != kObjectGraph && checkpoint.Contains(key)) {
      Tensor now;
      TF_RETURN_IF_ERROR(Read(&checkpoint, key, &now));
      TF_RETURN_IF_ERROR(CheckSame(key, value, now));
      value = std::move(now);
    }
    TF_RETURN_IF_ERROR(writer.Add(key, value));
  }
  return writer.Finish();
}

}  // namespace

Status WriteServingModel(const std::string& untrained, const std::string& prefix,
                         const std::string& output) {
  const auto fill = [&](const std::string& temporary) {
    fs::copy(untrained, temporary, fs::copy_options::recursive);
    fs::remove_all(temporary + "/variables");
    fs::create_directories(temporary + "/variables");
    // It is of the untrained values.
    fs::remove(temporary + "/fingerprint.pb");
    return FromAbsl(WriteVariables(untrained + kVariables, prefix, temporary + kVariables));
  };
  std::int64_t bytes = 0;
  return WriteDirectory(output, fill, &bytes);
}

}  // namespace headrace::trainer
