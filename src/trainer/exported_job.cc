#include "trainer/exported_job.h"

#include <fstream>
#include <nlohmann/json.hpp>

namespace headrace::trainer {
namespace {

using nlohmann::json;

ElementSpec ReadElement(const json& from) {
  ElementSpec spec;
  spec.name = from.at("name");
  spec.dtype = from.at("dtype");
  const json& shape = from.at("shape");
  spec.known_rank = !shape.is_null();
  if (!spec.known_rank) return spec;
  for (const json& size : shape) spec.shape.push_back(size.is_null() ? -1 : size.get<int64_t>());
  return spec;
}

std::vector<ElementSpec> ReadElements(const json& from) {
  std::vector<ElementSpec> specs;
  for (const json& element : from) specs.push_back(ReadElement(element));
  return specs;
}

DatasetSpec ReadDataset(const json& from) {
  return {from.at("signature"), from.at("account"), ReadElements(from.at("elements"))};
}

FunctionSpec ReadFunction(const json& from) {
  FunctionSpec spec;
  spec.signature = from.at("signature");
  if (from.contains("inputs")) spec.inputs = from.at("inputs").get<std::vector<std::string>>();
  return spec;
}

std::vector<GradientSpec> ReadGradients(const json& from, const char* default_name) {
  std::vector<GradientSpec> specs;
  for (const json& item : from) {
    GradientSpec spec;
    spec.name = item.value("name", default_name + std::to_string(specs.size()));
    spec.variable = item.at("variable");
    spec.sparse = item.value("sparse", false);
    spec.dtype = item.at("dtype");
    spec.shape = item.at("shape").get<std::vector<std::int64_t>>();
    specs.push_back(std::move(spec));
  }
  return specs;
}

void Read(const json& from, ExportedJob* job) {
  job->id = from.value("id", "");
  job->model_file = from.at("model_file");
  const json& datasets = from.at("datasets");
  job->training = ReadDataset(datasets.at("training"));
  job->evaluation = ReadDataset(datasets.at("evaluation"));
  job->prediction = ReadDataset(datasets.at("prediction"));
  job->train = ReadFunction(from.at("train"));
  job->evaluate = ReadFunction(from.at("evaluate"));
  job->metrics = ReadFunction(from.at("metrics"));
  job->predict = ReadFunction(from.at("predict"));
  job->sums = from.at("evaluate").at("sums");
  job->outputs = ReadElements(from.at("predict").at("outputs"));
  job->sharded = from.value("sharded", false);
  if (from.contains("gradients")) {
    const json& gradients = from.at("gradients");
    job->gradients = ReadFunction(gradients);
    job->gradient_specs = ReadGradients(gradients.at("gradients"), "gradient_");
    job->state_specs = ReadGradients(gradients.at("state"), "state_");
  }
  job->lines = from.at("lines").get<std::map<std::string, int>>();
}

}  // namespace

std::vector<std::string> ExportedJob::GradientOutputs() const {
  std::vector<std::string> outputs{"loss"};
  for (const auto* specs : {&gradient_specs, &state_specs}) {
    for (const GradientSpec& spec : *specs) {
      if (spec.sparse) {
        outputs.push_back(spec.indices());
        outputs.push_back(spec.values());
      } else {
        outputs.push_back(spec.name);
      }
    }
  }
  return outputs;
}

Status LoadExportedJob(const std::string& directory, ExportedJob* job) {
  const std::string path = directory + "/assets.extra/headrace_job.json";
  std::ifstream file(path);
  if (!file) {
    return Status(Code::kNotFound,
                  path + " cannot be read: is " + directory +
                      " what `headrace export` wrote? With several machines the folder of the job "
                      "must be on a file system that all of them see");
  }
  const json parsed = json::parse(file, nullptr, false);
  if (parsed.is_discarded()) return Status(Code::kDataLoss, path + " is no JSON: export again");
  *job = ExportedJob();
  job->directory = directory;
  try {
    const int version = parsed.at("version");
    if (version > ExportedJob::kVersion) {
      return Status(Code::kUnimplemented, path + " has version " + std::to_string(version) +
                                              ", and this Headrace reads up to " +
                                              std::to_string(ExportedJob::kVersion) +
                                              ": export again, or update Headrace");
    }
    Read(parsed, job);
  } catch (const json::exception& error) {
    return Status(Code::kDataLoss, path + ": " + error.what() + ": export again");
  }
  return Status();
}

}  // namespace headrace::trainer
