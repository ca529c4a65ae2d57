// Things of this process that graphs refer to by name.
#ifndef HEADRACE_FEED_REGISTRY_H_
#define HEADRACE_FEED_REGISTRY_H_

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/status.h"

namespace headrace::feed {

// Thread safety: every method may run concurrently.
template <typename T>
class Registry {
 public:
  // `noun`: what a T is, for people: "an account".
  explicit Registry(std::string noun) : noun_(std::move(noun)) {}

  // Errors: ALREADY_EXISTS.
  Status Open(const std::string& name, std::shared_ptr<T>* opened) {
    std::lock_guard<std::mutex> lock(mu_);
    auto& entry = entries_[name];
    if (entry != nullptr) {
      return Status(Code::kAlreadyExists, "there is " + noun_ + " '" + name + "' already");
    }
    entry = std::make_shared<T>();
    *opened = entry;
    return Status();
  }

  // Null if there is none.
  std::shared_ptr<T> Find(const std::string& name) const {
    std::lock_guard<std::mutex> lock(mu_);
    const auto found = entries_.find(name);
    return found == entries_.end() ? nullptr : found->second;
  }

  // Returns what was open, null if nothing was.
  std::shared_ptr<T> Close(const std::string& name) {
    std::lock_guard<std::mutex> lock(mu_);
    const auto found = entries_.find(name);
    if (found == entries_.end()) return nullptr;
    std::shared_ptr<T> closed = std::move(found->second);
    entries_.erase(found);
    return closed;
  }

 private:
  const std::string noun_;
  mutable std::mutex mu_;
  std::map<std::string, std::shared_ptr<T>> entries_;  // guarded by mu_
};

}  // namespace headrace::feed

#endif  // HEADRACE_FEED_REGISTRY_H_
