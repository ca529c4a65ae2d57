#include "master/job.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <system_error>
#include <vector>

#include "ledger/codec.h"

namespace headrace::master {
namespace {

using Json = nlohmann::json;

constexpr std::array<const char*, 4> kTypes = {"training-only", "training-with-evaluation",
                                               "evaluation-only", "prediction-only"};
constexpr std::array<const char*, 3> kModels = {"none", "local", "shared"};

// Reads the members of one object; the first error stays. Finish() refuses members that nobody
// read.
class Reader {
 public:
  Reader(const Json& object, std::string path) : object_(object), path_(std::move(path)) {
    if (!object.is_object()) Fail("", "give an object");
  }

  const Json* Find(const char* key) {
    read_.emplace_back(key);
    if (!status_.ok()) return nullptr;
    const auto it = object_.find(key);
    return it == object_.end() ? nullptr : &*it;
  }
  const Json* Require(const char* key) {
    const Json* value = Find(key);
    if (value == nullptr) Fail(key, "is missing");
    return value;
  }
  void Text(const char* key, std::string* value) {
    const Json* found = Find(key);
    if (found == nullptr) return;
    if (!found->is_string()) return Fail(key, "give a string");
    *value = found->get<std::string>();
  }
  void Number(const char* key, std::int64_t* value) {
    const Json* found = Find(key);
    if (found == nullptr) return;
    const bool fits = found->is_number_integer() &&
                      (!found->is_number_unsigned() ||
                       found->get<std::uint64_t>() <=
                           static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
    if (!fits) return Fail(key, "give a whole number");
    *value = found->get<std::int64_t>();
  }
  void Flag(const char* key, bool* value) {
    const Json* found = Find(key);
    if (found == nullptr) return;
    if (!found->is_boolean()) return Fail(key, "give true or false");
    *value = found->get<bool>();
  }
  template <std::size_t n>
  void Choice(const char* key, const std::array<const char*, n>& names, std::size_t* value) {
    std::string text;
    Text(key, &text);
    if (!status_.ok()) return;
    const auto it = std::find(names.begin(), names.end(), text);
    if (it != names.end()) {
      *value = static_cast<std::size_t>(it - names.begin());
      return;
    }
    std::string choices;
    for (const char* name : names) choices += std::string(choices.empty() ? "" : ", ") + name;
    Fail(key, "is '" + text + "'; give one of " + choices);
  }
  void Fail(const std::string& key, const std::string& why) {
    if (status_.ok()) status_ = Status(Code::kInvalidArgument, "'" + path_ + key + "' " + why);
  }
  Status Finish() {
    for (auto it = object_.begin(); status_.ok() && it != object_.end(); ++it) {
      if (std::find(read_.begin(), read_.end(), it.key()) == read_.end()) {
        Fail(it.key(), "is not a key of a job file; see docs/formats.md");
      }
    }
    return status_;
  }
  const Status& status() const { return status_; }
  void Adopt(const Status& status) {
    if (status_.ok()) status_ = status;
  }

 private:
  const Json& object_;
  const std::string path_;
  std::vector<std::string> read_;
  Status status_;
};

void ReadFiles(Reader* reader, const char* key, std::vector<ledger::FileSpec>* files) {
  const Json* list = reader->Find(key);
  if (list == nullptr) return;
  if (!list->is_array())
    return reader->Fail(key, "give a list of {\"path\", \"records\", \"whole\"}");
  for (std::size_t i = 0; i < list->size(); ++i) {
    Reader file((*list)[i], std::string(key) + "[" + std::to_string(i) + "].");
    ledger::FileSpec spec;
    if (file.Require("path") != nullptr) file.Text("path", &spec.path);
    if (file.Require("records") != nullptr) file.Number("records", &spec.records);
    file.Flag("whole", &spec.whole);
    reader->Adopt(file.Finish());
    files->push_back(std::move(spec));
  }
}

void ReadSpec(Reader* reader, ledger::JobSpec* spec) {
  ReadFiles(reader, "files", &spec->files);
  ReadFiles(reader, "evaluation_files", &spec->evaluation_files);
  const struct {
    const char* key;
    std::int64_t* value;
  } numbers[] = {
      {"task_records", &spec->task_records},
      {"epochs", &spec->epochs},
      {"model_version", &spec->model_version},
      {"lease_ms", &spec->lease_ms},
      {"straggler_ms", &spec->straggler_ms},
      {"max_attempts", &spec->max_attempts},
      {"max_losses", &spec->max_losses},
      {"max_quarantined", &spec->max_quarantined},
      {"backoff_ms", &spec->backoff_ms},
      {"max_backoff_ms", &spec->max_backoff_ms},
      {"evaluation_task_records", &spec->evaluation_task_records},
      {"evaluation_every_steps", &spec->evaluation_every_steps},
      {"evaluation_every_ms", &spec->evaluation_every_ms},
  };
  for (const auto& number : numbers) reader->Number(number.key, number.value);
  std::int64_t seed = 0;
  reader->Number("seed", &seed);
  if (seed < 0) reader->Fail("seed", "give 0 or more");
  spec->seed = static_cast<std::uint64_t>(seed);
  reader->Flag("shuffle", &spec->shuffle);
  reader->Flag("strict_epochs", &spec->strict_epochs);
  reader->Flag("train_backup", &spec->train_backup);
  reader->Flag("evaluation_at_end", &spec->evaluation_at_end);
}

ledger::TaskType TaskTypeOf(JobType type) {
  switch (type) {
    case JobType::kEvaluation: return ledger::TaskType::kEvaluate;
    case JobType::kPrediction: return ledger::TaskType::kPredict;
    default: return ledger::TaskType::kTrain;
  }
}

// What the parts mean together.
Status CheckJob(const Job& job) {
  const auto invalid = [](const std::string& why) { return Status(Code::kInvalidArgument, why); };
  const ledger::JobSpec& spec = job.spec;
  if (job.name.empty()) return invalid("'name' is empty; give the job a name");
  const bool trains = spec.type == ledger::TaskType::kTrain;
  if (!trains && job.model != ModelKind::kNone) {
    return invalid(std::string("'model' is '") + Name(job.model) + "', but a job of type " +
                   Name(job.type) + " changes no model; give 'none'");
  }
  if (job.model == ModelKind::kNone &&
      (!job.checkpoint_directory.empty() || job.checkpoint_every_steps != 0)) {
    return invalid("'checkpoint' is given, but 'model' is 'none'; leave one of them out");
  }
  if (job.exact && job.model != ModelKind::kShared) {
    return invalid(std::string("'exact' is given, but 'model' is '") + Name(job.model) +
                   "'; leave it out: only a shared model can see a record twice");
  }
  if (job.exact && spec.train_backup) {
    return invalid("'exact' and 'train_backup' are given; leave one of them out");
  }
  if (job.step_timeout_ms < 0) return invalid("'step_timeout_ms' give 0 or more; 0: never");
  if (job.checkpoint_every_steps < 0) return invalid("'checkpoint.every_steps' give 0 or more");
  if (job.checkpoint_every_steps > 0 && job.checkpoint_directory.empty()) {
    return invalid("'checkpoint.every_steps' is given, but no 'checkpoint.directory'");
  }
  const bool triggered =
      spec.evaluation_every_steps > 0 || spec.evaluation_every_ms > 0 || spec.evaluation_at_end;
  if (job.type == JobType::kTrainingWithEvaluation && !triggered) {
    return invalid(
        "'type' is 'training-with-evaluation', but nothing says when: give evaluation_every_steps, "
        "evaluation_every_ms or evaluation_at_end");
  }
  if (job.type != JobType::kTrainingWithEvaluation &&
      (triggered || !spec.evaluation_files.empty())) {
    return invalid(std::string("'type' is '") + Name(job.type) +
                   "', but evaluation_* are given; leave them out, or make it "
                   "'training-with-evaluation'");
  }
  return Validate(spec);
}

}  // namespace

const char* Name(JobType type) {
  return kTypes[static_cast<std::size_t>(type)];
}

const char* Name(ModelKind kind) {
  return kModels[static_cast<std::size_t>(kind)];
}

Status ParseJob(std::string_view json, Job* job) {
  Json root;
  try {
    root = Json::parse(json);
  } catch (const Json::parse_error& error) {
    return {Code::kInvalidArgument, std::string("not JSON: ") + error.what()};
  }
  Job read;
  Reader reader(root, "");
  std::int64_t version = 0;
  if (reader.Require("version") != nullptr) reader.Number("version", &version);
  if (reader.status().ok() && version > kJobFileVersion) {
    return {Code::kUnimplemented,
            "job file of version " + std::to_string(version) + ", this program reads version " +
                std::to_string(kJobFileVersion) + "; use the release of Headrace that wrote it"};
  }
  if (version < 1) reader.Fail("version", "give 1");
  if (reader.Require("name") != nullptr) reader.Text("name", &read.name);
  std::size_t choice = 0;
  if (reader.Require("type") != nullptr) reader.Choice("type", kTypes, &choice);
  read.type = static_cast<JobType>(choice);
  read.spec.type = TaskTypeOf(read.type);
  choice = 0;
  if (reader.Find("model") != nullptr) reader.Choice("model", kModels, &choice);
  read.model = static_cast<ModelKind>(choice);
  reader.Flag("exact", &read.exact);
  ReadSpec(&reader, &read.spec);
  reader.Number("step_timeout_ms", &read.step_timeout_ms);
  if (const Json* checkpoint = reader.Find("checkpoint")) {
    Reader section(*checkpoint, "checkpoint.");
    section.Text("directory", &read.checkpoint_directory);
    section.Number("every_steps", &read.checkpoint_every_steps);
    reader.Adopt(section.Finish());
  }
  if (const Json* trainer = reader.Find("trainer")) {
    if (!trainer->is_object()) reader.Fail("trainer", "give an object");
    read.trainer = trainer->dump();
  }
  Status status = reader.Finish();
  if (status.ok()) status = CheckJob(read);
  if (status.ok()) *job = std::move(read);
  return status;
}

Status ReadJobFile(const std::string& path, Job* job) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    const int error = errno;
    return {error == EACCES ? Code::kPermissionDenied : Code::kNotFound,
            "job file " + path + ": " + std::generic_category().message(error)};
  }
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (file.bad()) return {Code::kUnavailable, "job file " + path + ": cannot be read"};
  const Status status = ParseJob(text, job);
  return status.ok() ? status : Status(status.code(), "job file " + path + ": " + status.message());
}

std::vector<std::string> ServersOf(const Job& job) {
  const Json trainer = Json::parse(job.trainer, nullptr, /*allow_exceptions=*/false);
  std::vector<std::string> servers;
  if (!trainer.is_object() || !trainer.contains("parameter_servers")) return servers;
  for (const Json& address : trainer["parameter_servers"]) {
    if (address.is_string()) servers.push_back(address);  // else the trainer refuses it
  }
  return servers;
}

std::string JournalName(const Job& job) {
  ledger::Encoder encoder;
  encoder(job.spec, job.type, job.model, job.exact);
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx",
                static_cast<unsigned long long>(ledger::Fingerprint(encoder.bytes())));
  return job.name + "#" + digits;
}

}  // namespace headrace::master
