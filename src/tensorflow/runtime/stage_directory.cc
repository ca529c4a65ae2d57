#include "tensorflow/runtime/stage_directory.h"

#include <iterator>
#include <map>
#include <mutex>
#include <utility>

namespace headrace {
namespace {

struct Known {
  std::weak_ptr<stage::Stage> stage;
  std::vector<std::weak_ptr<stage::Source>> session_sources;
  std::weak_ptr<FunctionRuntime> runtime;
};

struct Entries {
  std::mutex mu;
  std::map<std::string, Known> stages;
};

Entries& AllEntries() {
  static Entries* const entries = new Entries;  // kernels may outlive static destruction
  return *entries;
}

}  // namespace

StageDirectory& StageDirectory::Get() {
  static StageDirectory* const directory = new StageDirectory;
  return *directory;
}

absl::Status StageDirectory::FindOrMake(const std::string& key,
                                        const std::function<absl::Status(BuiltStage*)>& make,
                                        BuiltStage* built) {
  Entries& entries = AllEntries();
  std::lock_guard<std::mutex> lock(entries.mu);
  auto it = entries.stages.find(key);
  if (it != entries.stages.end()) {
    built->stage = it->second.stage.lock();
    built->runtime = it->second.runtime.lock();
    if (built->stage != nullptr && built->runtime != nullptr && !built->stage->source_closed()) {
      for (const auto& source : it->second.session_sources) {
        if (auto alive = source.lock()) built->session_sources.push_back(std::move(alive));
      }
      return absl::OkStatus();
    }
  }
  for (it = entries.stages.begin(); it != entries.stages.end();) {
    it = it->second.stage.expired() ? entries.stages.erase(it) : std::next(it);
  }
  *built = BuiltStage();
  TF_RETURN_IF_ERROR(make(built));
  entries.stages[key] = {
      built->stage, {built->session_sources.begin(), built->session_sources.end()}, built->runtime};
  return absl::OkStatus();
}

std::vector<std::shared_ptr<stage::Stage>> StageDirectory::Tagged(const std::string& tag) {
  Entries& entries = AllEntries();
  std::vector<std::shared_ptr<stage::Stage>> found;
  std::lock_guard<std::mutex> lock(entries.mu);
  for (const auto& entry : entries.stages) {
    std::shared_ptr<stage::Stage> stage = entry.second.stage.lock();
    if (stage != nullptr && (tag.empty() || stage->config().tag == tag))
      found.push_back(std::move(stage));
  }
  return found;
}

}  // namespace headrace
