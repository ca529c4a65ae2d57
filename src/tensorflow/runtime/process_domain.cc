#include "tensorflow/runtime/process_domain.h"

#include <map>
#include <mutex>
#include <utility>

#include "absl/log/log.h"

namespace headrace {
namespace {

struct Entries {
  std::mutex mu;
  std::map<std::string, std::weak_ptr<stage::Stage>> stages;
};

Entries& AllEntries() {
  static Entries* const entries = new Entries;  // kernels may outlive static destruction
  return *entries;
}

}  // namespace

std::shared_ptr<stage::Domain> ProcessDomain() {
  static std::mutex* const mu = new std::mutex;
  static auto* const current = new std::weak_ptr<stage::Domain>;
  std::lock_guard<std::mutex> lock(*mu);
  std::shared_ptr<stage::Domain> domain = current->lock();
  if (domain == nullptr) {
    stage::Domain::Options options;
    options.log = [](const std::string& line) { LOG(WARNING) << "Headrace: " << line; };
    domain = std::make_shared<stage::Domain>(std::move(options));
    *current = domain;
  }
  return domain;
}

StageDirectory& StageDirectory::Get() {
  static StageDirectory* const directory = new StageDirectory;
  return *directory;
}

std::shared_ptr<stage::Stage> StageDirectory::Find(const std::string& key) {
  Entries& entries = AllEntries();
  std::lock_guard<std::mutex> lock(entries.mu);
  auto it = entries.stages.find(key);
  return it == entries.stages.end() ? nullptr : it->second.lock();
}

void StageDirectory::Add(const std::string& key, const std::shared_ptr<stage::Stage>& stage) {
  Entries& entries = AllEntries();
  std::lock_guard<std::mutex> lock(entries.mu);
  for (auto it = entries.stages.begin(); it != entries.stages.end();) {
    it = it->second.expired() ? entries.stages.erase(it) : std::next(it);
  }
  entries.stages[key] = stage;
}

std::vector<std::shared_ptr<stage::Stage>> StageDirectory::Tagged(const std::string& tag) {
  Entries& entries = AllEntries();
  std::vector<std::shared_ptr<stage::Stage>> found;
  std::lock_guard<std::mutex> lock(entries.mu);
  for (const auto& entry : entries.stages) {
    std::shared_ptr<stage::Stage> stage = entry.second.lock();
    if (stage != nullptr && (tag.empty() || stage->config().tag == tag)) found.push_back(std::move(stage));
  }
  return found;
}

}  // namespace headrace
