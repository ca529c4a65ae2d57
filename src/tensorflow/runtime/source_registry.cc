#include "tensorflow/runtime/source_registry.h"

#include <atomic>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "tensorflow/core/framework/resource_mgr.h"
#include "tensorflow/core/platform/refcount.h"

namespace headrace {
namespace {

using stage::Source;
using ::tensorflow::ResourceBase;
using ::tensorflow::ResourceMgr;

// A resource's address tells it apart only while it lives, which is as long as the entry does.
using Key = std::pair<const ResourceBase*, std::string>;

struct Entry {
  std::shared_ptr<Source> source;
  const ResourceMgr* manager = nullptr;
  tensorflow::core::WeakPtr<ResourceBase> resource;
};

struct Table {
  std::mutex mu;
  std::map<Key, Entry> entries;
  std::map<std::pair<std::string, std::string>, std::weak_ptr<Source>> draws;
  // Closed on their own thread, which cannot join itself (a read held the last reference to its
  // resource); joined by the next caller, at the latest when the device goes.
  std::vector<std::shared_ptr<Source>> unjoined;
  std::atomic<std::size_t> size{0};
};

Table& TheTable() {
  static Table* const table = new Table;  // resources may outlive static destruction
  return *table;
}

// Takes out of the table what `predicate(key, entry)` names, and what waits to be joined, and
// closes it. Never under the table's lock: closing waits for reads, and reads look sources up.
template <typename Predicate>
void CloseIf(const Predicate& predicate) {
  Table& table = TheTable();
  std::vector<std::shared_ptr<Source>> closing;
  std::vector<std::shared_ptr<Source>> own;
  std::vector<tensorflow::core::WeakPtr<ResourceBase>> forget;  // destroyed without the lock
  {
    std::lock_guard<std::mutex> lock(table.mu);
    auto& waiting = table.unjoined;
    for (auto it = waiting.begin(); it != waiting.end();) {
      if ((*it)->on_own_thread()) {
        ++it;
      } else {
        closing.push_back(std::move(*it));
        it = waiting.erase(it);
      }
    }
    for (auto it = table.entries.begin(); it != table.entries.end();) {
      Entry& entry = it->second;
      if (!predicate(it->first, entry)) {
        ++it;
        continue;
      }
      if (entry.source->on_own_thread()) {
        own.push_back(entry.source);
        waiting.push_back(std::move(entry.source));
      } else {
        closing.push_back(std::move(entry.source));
      }
      forget.push_back(std::move(entry.resource));
      it = table.entries.erase(it);
    }
    table.size = table.entries.size();
  }
  for (const auto& source : own) source->Close();
  for (const auto& source : closing) source->Close();
}

// Sits in a device's resource manager and closes that manager's sources when it is cleared.
class Anchor : public ResourceBase {
 public:
  explicit Anchor(const ResourceMgr* manager) : manager_(manager) {}
  ~Anchor() override {
    CloseIf([this](const Key&, const Entry& entry) { return entry.manager == manager_; });
  }
  std::string DebugString() const override { return "Headrace sources"; }

 private:
  const ResourceMgr* const manager_;
};

absl::Status PlaceAnchor(ResourceMgr* manager) {
  Anchor* anchor = nullptr;
  TF_RETURN_IF_ERROR(
      manager->LookupOrCreate<Anchor>("headrace", "sources", &anchor, [&](Anchor** made) {
        *made = new Anchor(manager);
        return absl::OkStatus();
      }));
  anchor->Unref();
  return absl::OkStatus();
}

// Of any type. Handles that hold their resource, as those of eager iterators do, are asked
// themselves: looking one up would ask for its type.
absl::Status FindResource(tensorflow::OpKernelContext* ctx,
                          const tensorflow::ResourceHandle& handle,
                          tensorflow::core::RefCountPtr<ResourceBase>* resource) {
  if (handle.IsRefCounting()) {
    *resource = tsl::core::GetNewRef(handle.resource().get());
    return absl::OkStatus();
  }
  ResourceBase* found = nullptr;
  TF_RETURN_IF_ERROR(tensorflow::LookupResource(ctx, handle, &found));
  resource->reset(found);
  return absl::OkStatus();
}

}  // namespace

SourceRegistry& SourceRegistry::Get() {
  static SourceRegistry* const registry = new SourceRegistry;
  return *registry;
}

absl::Status SourceRegistry::FindOrMake(tensorflow::OpKernelContext* ctx,
                                        const tensorflow::ResourceHandle& handle,
                                        const std::string& reader, const Make& make,
                                        std::shared_ptr<Source>* source) {
  tensorflow::core::RefCountPtr<ResourceBase> held;
  TF_RETURN_IF_ERROR(FindResource(ctx, handle, &held));
  ResourceBase* const resource = held.get();
  const Key key(resource, reader);
  Table& table = TheTable();
  {
    std::lock_guard<std::mutex> lock(table.mu);
    auto it = table.entries.find(key);
    if (it != table.entries.end()) {
      *source = it->second.source;
      return absl::OkStatus();
    }
  }
  TF_RETURN_IF_ERROR(PlaceAnchor(ctx->resource_manager()));
  std::shared_ptr<Source> made;
  TF_RETURN_IF_ERROR(make(&made));
  tensorflow::core::WeakPtr<ResourceBase> weak(resource, [resource] {
    CloseIf([resource](const Key& k, const Entry&) { return k.first == resource; });
  });
  std::lock_guard<std::mutex> lock(table.mu);
  Entry& entry = table.entries[key];
  if (entry.source == nullptr) {
    entry.source = std::move(made);
    entry.manager = ctx->resource_manager();
    entry.resource = std::move(weak);
    table.size = table.entries.size();
  }
  *source = entry.source;
  return absl::OkStatus();
}

std::shared_ptr<Source> SourceRegistry::Find(tensorflow::OpKernelContext* ctx,
                                             const tensorflow::ResourceHandle& handle) {
  Table& table = TheTable();
  if (table.size.load(std::memory_order_acquire) == 0) return nullptr;
  tensorflow::core::RefCountPtr<ResourceBase> resource;
  if (!FindResource(ctx, handle, &resource).ok()) return nullptr;
  std::lock_guard<std::mutex> lock(table.mu);
  auto it = table.entries.find(Key(resource.get(), ""));
  return it == table.entries.end() ? nullptr : it->second.source;
}

void SourceRegistry::CloseIfUnused(const std::shared_ptr<Source>& source) {
  if (source->has_stages()) return;
  CloseIf([&](const Key&, const Entry& entry) { return entry.source == source; });
}

absl::Status SourceRegistry::FindOrMakeDraw(const std::string& session, const std::string& node,
                                            const Make& make, std::shared_ptr<Source>* source) {
  Table& table = TheTable();
  {
    std::lock_guard<std::mutex> lock(table.mu);
    auto it = table.draws.find({session, node});
    if (it != table.draws.end() && (*source = it->second.lock()) != nullptr)
      return absl::OkStatus();
  }
  std::shared_ptr<Source> made;
  TF_RETURN_IF_ERROR(make(&made));
  std::lock_guard<std::mutex> lock(table.mu);
  for (auto it = table.draws.begin(); it != table.draws.end();) {
    it = it->second.expired() ? table.draws.erase(it) : std::next(it);
  }
  std::weak_ptr<Source>& entry = table.draws[{session, node}];
  *source = entry.lock();
  if (*source == nullptr) {
    *source = std::move(made);
    entry = *source;
  }
  return absl::OkStatus();
}

}  // namespace headrace
