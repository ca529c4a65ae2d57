#include "feed/account.h"

#include <algorithm>
#include <utility>

namespace headrace::feed {

namespace {

std::string NameOf(std::int64_t identity) {
  return "record " + std::to_string(Identity::Index(identity)) + " of file " +
         std::to_string(Identity::File(identity));
}

}  // namespace

Status Account::NotThere(std::int64_t identity, const char* what) {
  return Status(Code::kInternal,
                NameOf(identity) + " was " + what + ", but the account does not hold it");
}

Status Account::Read(std::int64_t identity) {
  std::lock_guard<std::mutex> lock(mu_);
  if (identity < 0) return Status(Code::kInternal, "a negative record identity was read");
  if (records_.try_emplace(identity).second) return Status();
  return Status(Code::kInternal, NameOf(identity) + " was read again before it was settled");
}

Status Account::Split(std::int64_t identity) {
  std::lock_guard<std::mutex> lock(mu_);
  if (records_.count(identity) == 0) return NotThere(identity, "split");
  // The element stands for its parts until PartsEnd().
  if (parts_.try_emplace(identity, 0).second) return Status();
  return Status(Code::kInternal, "a record was split again while it was being split");
}

Status Account::Part(std::int64_t identity) {
  std::lock_guard<std::mutex> lock(mu_);
  const auto record = records_.find(identity);
  const auto parts = parts_.find(identity);
  if (record == records_.end() || parts == parts_.end()) return NotThere(identity, "split");
  ++record->second.open;
  ++parts->second;
  return Status();
}

Status Account::PartsEnd(std::int64_t identity, const std::string& op) {
  std::lock_guard<std::mutex> lock(mu_);
  const auto parts = parts_.find(identity);
  if (parts == parts_.end()) return NotThere(identity, "split");
  const bool none = parts->second == 0;
  parts_.erase(parts);
  return CloseLocked(identity, "split", false, none ? op : "");
}

Status Account::Drop(std::int64_t identity, const std::string& op) {
  std::lock_guard<std::mutex> lock(mu_);
  return CloseLocked(identity, "dropped", false, op);
}

Status Account::Applied(const std::vector<std::int64_t>& identities) {
  std::lock_guard<std::mutex> lock(mu_);
  std::unordered_map<std::int64_t, int> uses;
  for (const std::int64_t identity : identities) ++uses[identity];
  for (const auto& [identity, count] : uses) {
    const auto record = records_.find(identity);
    const int splitting = parts_.count(identity) > 0 ? 1 : 0;
    if (record == records_.end() || record->second.open - splitting < count) {
      return NotThere(identity, "used by a step");
    }
  }
  for (const std::int64_t identity : identities) {
    CloseLocked(identity, "used", true, "").IgnoreError();  // checked above
  }
  return Status();
}

Status Account::CloseLocked(std::int64_t identity, const char* what, bool used,
                            const std::string& op) {
  const auto record = records_.find(identity);
  if (record == records_.end()) return NotThere(identity, what);
  record->second.used |= used;
  if (record->second.dropped.empty()) record->second.dropped = op;
  if (--record->second.open == 0) SettleLocked(record);
  return Status();
}

void Account::SettleLocked(Records::iterator record) {
  const std::int64_t identity = record->first;
  if (record->second.used) {
    settled_.trained.push_back(identity);
  } else {
    settled_.dropped[record->second.dropped].push_back(identity);
  }
  records_.erase(record);
}

void Account::End(const std::string& op) {
  std::lock_guard<std::mutex> lock(mu_);
  parts_.clear();
  while (!records_.empty()) {
    const auto record = records_.begin();
    if (record->second.dropped.empty()) record->second.dropped = op;
    SettleLocked(record);
  }
}

Settled Account::Take() {
  Settled taken;
  {
    std::lock_guard<std::mutex> lock(mu_);
    std::swap(taken, settled_);
  }
  std::sort(taken.trained.begin(), taken.trained.end());
  for (auto& [op, identities] : taken.dropped) std::sort(identities.begin(), identities.end());
  return taken;
}

std::size_t Account::outstanding() const {
  std::lock_guard<std::mutex> lock(mu_);
  return records_.size();
}

Accounts& Accounts::Get() {
  static auto* const accounts = new Accounts;  // never destroyed: kernels may outlive main()
  return *accounts;
}

}  // namespace headrace::feed
