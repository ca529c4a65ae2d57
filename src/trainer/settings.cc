#include "trainer/settings.h"

#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "base/base64.h"

namespace headrace::trainer {
namespace {

using nlohmann::json;

Status Wrong(const std::string& key, const json& found, const std::string& accepted) {
  return Status(Code::kInvalidArgument,
                "trainer." + key + " is " + found.dump() + ", and must be " + accepted);
}

using Reader = std::function<Status(const std::string& key, const json& value)>;

Reader Text(std::string* to) {
  return [to](const std::string& key, const json& value) {
    if (!value.is_string()) return Wrong(key, value, "a string");
    *to = value.get<std::string>();
    return Status();
  };
}

Reader Count(std::int64_t* to) {
  return [to](const std::string& key, const json& value) {
    if (!value.is_number_integer() || value.get<std::int64_t>() < 0) {
      return Wrong(key, value, "an integer >= 0");
    }
    *to = value.get<std::int64_t>();
    return Status();
  };
}

Reader Flag(bool* to) {
  return [to](const std::string& key, const json& value) {
    if (!value.is_boolean()) return Wrong(key, value, "true or false");
    *to = value.get<bool>();
    return Status();
  };
}

template <typename T>
Reader OneOf(std::map<std::string, T> choices, T* to) {
  return [choices = std::move(choices), to](const std::string& key, const json& value) {
    std::string names;
    for (const auto& [name, choice] : choices) {
      if (value == name) {
        *to = choice;
        return Status();
      }
      names += (names.empty() ? "" : ", ") + name;
    }
    return Wrong(key, value, "one of " + names);
  };
}

Reader Texts(std::vector<std::string>* to) {
  return [to](const std::string& key, const json& value) {
    if (!value.is_array()) return Wrong(key, value, "a list of strings");
    for (const json& item : value) {
      if (!item.is_string()) return Wrong(key, value, "a list of strings");
      to->push_back(item.get<std::string>());
    }
    return Status();
  };
}

Reader Base64(std::string* to) {
  return [to](const std::string& key, const json& value) {
    if (!value.is_string() || !DecodeBase64(value.get<std::string>(), to)) {
      return Wrong(key, value, "a string in base64");
    }
    return Status();
  };
}

std::map<std::string, Reader> Readers(Settings* s) {
  using Verb = Settings::Verb;
  using Executor = Settings::Executor;
  return {
      {"verb",
       OneOf<Verb>(
           {{"train", Verb::kTrain}, {"evaluate", Verb::kEvaluate}, {"predict", Verb::kPredict}},
           &s->verb)},
      {"exported", Text(&s->exported)},
      {"export_id", Text(&s->export_id)},
      {"output", Text(&s->output)},
      {"checkpoints", Text(&s->checkpoints)},
      {"checkpoint_steps", Count(&s->checkpoint_steps)},
      {"keep_checkpoints", Count(&s->keep_checkpoints)},
      {"evaluation_steps", Count(&s->evaluation_steps)},
      {"restore", Text(&s->restore)},
      {"events", Text(&s->events)},
      {"staging", Base64(&s->staging)},
      {"predictions",
       OneOf<std::string>(
           {{"jsonl", "jsonl"}, {"csv", "csv"}, {"tfrecord", "tfrecord"}, {"recordio", "recordio"}},
           &s->predictions)},
      {"op_libraries", Texts(&s->op_libraries)},
      {"parameter_servers", Texts(&s->parameter_servers)},
      {"synchronous", Flag(&s->synchronous)},
      {"grads_to_wait", Count(&s->grads_to_wait)},
      {"executor",
       OneOf<Executor>(
           {{"auto", Executor::kAuto}, {"caller", Executor::kCaller}, {"pool", Executor::kPool}},
           &s->executor)},
      {"intra_op_threads", Count(&s->intra_op_threads)},
      {"inter_op_threads", Count(&s->inter_op_threads)},
      {"die_at", Texts(&s->die_at)},
  };
}

}  // namespace

Status ParseSettings(const std::string& text, Settings* settings) {
  const json parsed = json::parse(text, nullptr, false);
  if (!parsed.is_object()) {
    return Status(Code::kInvalidArgument, "the job's section 'trainer' is no JSON object");
  }
  *settings = Settings();
  const auto readers = Readers(settings);
  for (const auto& [key, value] : parsed.items()) {
    const auto reader = readers.find(key);
    if (reader == readers.end()) {
      return Status(Code::kInvalidArgument, "trainer." + key + " is no setting of this version");
    }
    if (Status status = reader->second(key, value); !status.ok()) return status;
  }
  if (settings->exported.empty()) {
    return Status(Code::kInvalidArgument, "trainer.exported names no directory");
  }
  return Status();
}

}  // namespace headrace::trainer
