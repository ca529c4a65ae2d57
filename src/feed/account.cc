#include "feed/account.h"

#include <algorithm>
#include <utility>

namespace headrace::feed {

namespace {

std::string NameOf(std::int64_t identity) {
  return "record " + std::to_string(Identity::Index(identity)) + " of slot " +
         std::to_string(Identity::Slot(identity));
}

}  // namespace

// Records lie in blocks that exist while any of theirs is to be settled: memory follows what is in
// flight, not the size of the range.
struct Account::Slot {
  static constexpr int kBlockBits = 10;
  static constexpr std::int64_t kBlock = std::int64_t{1} << kBlockBits;

  struct Block {
    std::unique_ptr<Record[]> records;
    std::int64_t settled = 0;  // when all are, the records are gone
  };

  std::int64_t begin = 0, end = 0;
  std::int64_t left = 0;  // to be settled
  std::int64_t live = 0;  // read and not settled
  std::vector<Block> blocks;

  std::int64_t BlockSize(std::int64_t block) const {
    return std::min(kBlock, end - begin - block * kBlock);
  }
};

Account::Account() : ops_(1), dropped_(1) {}
Account::~Account() = default;

Status Account::NotThere(std::int64_t identity, const char* what) {
  return Status(Code::kInternal,
                NameOf(identity) + " was " + what + ", but the account does not hold it");
}

Status Account::Open(std::int64_t slot, std::int64_t begin, std::int64_t end) {
  if (slot < 0 || slot > Identity::kMaxSlot || begin < 0 || begin >= end ||
      end - 1 > Identity::kMaxIndex) {
    return Status(Code::kInvalidArgument, "slot " + std::to_string(slot) + " with records [" +
                                              std::to_string(begin) + ", " + std::to_string(end) +
                                              ") is out of bounds");
  }
  std::lock_guard<std::mutex> lock(mu_);
  const auto place = static_cast<std::size_t>(slot);
  if (place >= slots_.size()) {
    slots_.resize(place + 1);
    opened_.resize(place + 1);
  }
  if (slots_[place] != nullptr) {
    return Status(Code::kInvalidArgument, "slot " + std::to_string(slot) + " is open");
  }
  auto made = std::make_unique<Slot>();
  made->begin = begin;
  made->end = end;
  made->left = end - begin;
  made->blocks.resize(static_cast<std::size_t>((end - begin + Slot::kBlock - 1) / Slot::kBlock));
  slots_[place] = std::move(made);
  opened_[place] = true;
  open_.push_back(slot);
  return Status();
}

void Account::GiveBack(std::int64_t slot, std::int64_t count) {
  std::unique_lock<std::mutex> lock(mu_);
  const auto place = static_cast<std::size_t>(slot);
  if (place >= slots_.size() || slots_[place] == nullptr) return;
  slots_[place]->left -= count;
  finished_ |= slots_[place]->left == 0;
  Unlock(&lock);
}

void Account::Close(std::int64_t slot) {
  std::lock_guard<std::mutex> lock(mu_);
  const auto place = static_cast<std::size_t>(slot);
  if (place >= slots_.size() || slots_[place] == nullptr) return;
  outstanding_ -= static_cast<std::size_t>(slots_[place]->live);
  slots_[place].reset();
  open_.erase(std::find(open_.begin(), open_.end(), slot));
  for (auto it = parts_.begin(); it != parts_.end();) {
    it = Identity::Slot(it->first) == slot ? parts_.erase(it) : std::next(it);
  }
}

void Account::OnFinished(std::function<void()> finished) {
  std::lock_guard<std::mutex> lock(mu_);
  on_finished_ = std::move(finished);
}

inline Account::Found Account::FindLocked(std::int64_t identity) {
  Found found;
  const auto place = static_cast<std::size_t>(Identity::Slot(identity));
  if (place < slots_.size() && slots_[place] != nullptr) {
    Slot& slot = *slots_[place];
    const std::int64_t index = Identity::Index(identity);
    found.slot = &slot;
    if (index < slot.begin || index >= slot.end) return found;
    const std::int64_t offset = index - slot.begin;
    const Slot::Block& block = slot.blocks[static_cast<std::size_t>(offset >> Slot::kBlockBits)];
    if (block.records == nullptr) return found;
    Record* const record = &block.records[static_cast<std::size_t>(offset & (Slot::kBlock - 1))];
    if (record->state == Record::kLive) found.record = record;
    return found;
  }
  if (place < opened_.size() && opened_[place]) {
    found.ignored = true;
    return found;
  }
  const auto record = rest_.find(identity);
  if (record != rest_.end()) found.record = &record->second;
  return found;
}

void Account::ReadFailed(std::int64_t identity, const Status& error) {
  std::lock_guard<std::mutex> lock(mu_);
  if (unreadable_.identity < 0) unreadable_ = {identity, error};
}

Account::Unreadable Account::TakeUnreadable() {
  std::lock_guard<std::mutex> lock(mu_);
  return std::exchange(unreadable_, Unreadable());
}

Status Account::Read(std::int64_t identity) {
  if (identity < 0) return Status(Code::kInternal, "a negative record identity was read");
  std::lock_guard<std::mutex> lock(mu_);
  const Found found = FindLocked(identity);
  if (found.ignored) return Status();
  if (found.record != nullptr) {
    return Status(Code::kInternal, NameOf(identity) + " was read again before it was settled");
  }
  Record* record = nullptr;
  if (Slot* const slot = found.slot; slot != nullptr) {
    const std::int64_t index = Identity::Index(identity);
    if (index < slot->begin || index >= slot->end) {
      return Status(Code::kInternal, NameOf(identity) + " was read, but the slot's records are [" +
                                         std::to_string(slot->begin) + ", " +
                                         std::to_string(slot->end) + ")");
    }
    const std::int64_t offset = index - slot->begin;
    const std::int64_t number = offset >> Slot::kBlockBits;
    Slot::Block& block = slot->blocks[static_cast<std::size_t>(number)];
    if (block.records == nullptr && block.settled == 0) {
      block.records = std::make_unique<Record[]>(static_cast<std::size_t>(slot->BlockSize(number)));
    }
    if (block.records != nullptr) {
      record = &block.records[static_cast<std::size_t>(offset & (Slot::kBlock - 1))];
    }
    if (record == nullptr || record->state == Record::kSettled) {
      return Status(Code::kInternal, NameOf(identity) + " was read again after it was settled");
    }
    ++slot->live;
  } else {
    record = &rest_[identity];
  }
  record->open = 1;
  record->state = Record::kLive;
  ++outstanding_;
  return Status();
}

Status Account::Split(std::int64_t identity) {
  std::lock_guard<std::mutex> lock(mu_);
  const Found found = FindLocked(identity);
  if (found.ignored) return Status();
  if (found.record == nullptr) return NotThere(identity, "split");
  if (found.record->splitting) {
    return Status(Code::kInternal, "a record was split again while it was being split");
  }
  // The element stands for its parts until PartsEnd().
  found.record->splitting = 1;
  parts_[identity] = 0;
  return Status();
}

Status Account::Part(std::int64_t identity) {
  std::lock_guard<std::mutex> lock(mu_);
  const Found found = FindLocked(identity);
  if (found.ignored) return Status();
  if (found.record == nullptr || !found.record->splitting) return NotThere(identity, "split");
  ++found.record->open;
  ++parts_[identity];
  return Status();
}

Status Account::PartsEnd(std::int64_t identity, const std::string& op) {
  std::unique_lock<std::mutex> lock(mu_);
  const Found found = FindLocked(identity);
  if (found.ignored) return Status();
  if (found.record == nullptr || !found.record->splitting) return NotThere(identity, "split");
  const auto parts = parts_.find(identity);
  const bool none = parts->second == 0;
  parts_.erase(parts);
  found.record->splitting = 0;
  Status status = CloseLocked(identity, "split", none ? OpLocked(op) : 0);
  Unlock(&lock);
  return status;
}

Status Account::Drop(std::int64_t identity, const std::string& op) {
  std::unique_lock<std::mutex> lock(mu_);
  Status status = CloseLocked(identity, "dropped", OpLocked(op));
  Unlock(&lock);
  return status;
}

Status Account::Applied(const std::int64_t* identities, std::size_t count) {
  std::unique_lock<std::mutex> lock(mu_);
  for (std::size_t i = 0; i < count; ++i) {
    if (identities[i] < 0) continue;
    const Found found = FindLocked(identities[i]);
    if (found.ignored) continue;
    if (found.record != nullptr && found.record->open > found.record->splitting) {
      --found.record->open;
      if (found.record->delivered > 0) --found.record->delivered;
      continue;
    }
    for (std::size_t done = 0; done < i; ++done) {
      if (identities[done] < 0) continue;
      const Found undone = FindLocked(identities[done]);
      if (undone.record != nullptr) ++undone.record->open;
    }
    return NotThere(identities[i], "used by a step");
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (identities[i] < 0) continue;
    const Found found = FindLocked(identities[i]);
    if (found.record == nullptr) continue;  // ignored, or settled by another part of it above
    found.record->used = 1;
    if (found.record->open == 0) SettleLocked(identities[i], found);
  }
  Unlock(&lock);
  return Status();
}

Status Account::Deliver(const std::int64_t* identities, std::size_t count) {
  std::lock_guard<std::mutex> lock(mu_);
  for (std::size_t i = 0; i < count; ++i) {
    if (identities[i] < 0) continue;
    const Found found = FindLocked(identities[i]);
    if (found.ignored) continue;
    if (found.record == nullptr) return NotThere(identities[i], "delivered");
    ++found.record->delivered;
  }
  return Status();
}

Status Account::CloseLocked(std::int64_t identity, const char* what, std::uint32_t op) {
  const Found found = FindLocked(identity);
  if (found.ignored) return Status();
  if (found.record == nullptr) return NotThere(identity, what);
  if (found.record->dropped == 0) found.record->dropped = op;
  if (--found.record->open == 0) SettleLocked(identity, found);
  return Status();
}

inline void Account::SettleLocked(std::int64_t identity, const Found& found) {
  (found.record->used ? trained_ : dropped_[found.record->dropped]).push_back(identity);
  --outstanding_;
  if (found.slot == nullptr) {
    rest_.erase(identity);
    return;
  }
  Slot& slot = *found.slot;
  found.record->state = Record::kSettled;
  --slot.live;
  finished_ |= --slot.left == 0;
  const std::int64_t number = (Identity::Index(identity) - slot.begin) >> Slot::kBlockBits;
  Slot::Block& block = slot.blocks[static_cast<std::size_t>(number)];
  if (++block.settled == slot.BlockSize(number)) block.records.reset();
}

std::uint32_t Account::OpLocked(const std::string& op) {
  const auto [entry, made] = op_numbers_.try_emplace(op, static_cast<std::uint32_t>(ops_.size()));
  if (made) {
    ops_.push_back(op);
    dropped_.emplace_back();
  }
  return entry->second;
}

void Account::EndLocked(std::int64_t identity, const Found& found, std::uint32_t op) {
  Record& record = *found.record;
  record.splitting = 0;
  if (record.open > record.delivered && record.dropped == 0) record.dropped = op;
  record.open = record.delivered;
  if (record.open == 0) SettleLocked(identity, found);
}

void Account::End(const std::string& op) {
  std::unique_lock<std::mutex> lock(mu_);
  const std::uint32_t number = OpLocked(op);
  unreadable_ = Unreadable();
  parts_.clear();
  for (auto it = rest_.begin(); it != rest_.end();) {
    const auto record = it++;  // it goes when it is settled
    EndLocked(record->first, {&record->second, nullptr, false}, number);
  }
  for (const std::int64_t which : open_) {
    Slot& slot = *slots_[static_cast<std::size_t>(which)];
    for (std::size_t b = 0; b < slot.blocks.size() && slot.live > 0; ++b) {
      const auto start = static_cast<std::int64_t>(b) * Slot::kBlock;
      for (std::int64_t i = 0; i < slot.BlockSize(static_cast<std::int64_t>(b)); ++i) {
        if (slot.blocks[b].records == nullptr) break;
        Record& record = slot.blocks[b].records[static_cast<std::size_t>(i)];
        if (record.state != Record::kLive) continue;
        EndLocked(Identity::Make(which, slot.begin + start + i), {&record, &slot, false}, number);
      }
    }
  }
  Unlock(&lock);
}

void Account::Unlock(std::unique_lock<std::mutex>* lock) {
  if (!finished_) return lock->unlock();
  finished_ = false;
  const std::function<void()> listener = on_finished_;
  lock->unlock();
  if (listener) listener();
}

Settled Account::Take() {
  Settled taken;
  {
    std::lock_guard<std::mutex> lock(mu_);
    taken.trained.swap(trained_);
    for (std::size_t op = 1; op < ops_.size(); ++op) {
      if (!dropped_[op].empty()) taken.dropped[ops_[op]].swap(dropped_[op]);
    }
  }
  std::sort(taken.trained.begin(), taken.trained.end());
  for (auto& [op, identities] : taken.dropped) std::sort(identities.begin(), identities.end());
  return taken;
}

std::size_t Account::outstanding() const {
  std::lock_guard<std::mutex> lock(mu_);
  return outstanding_;
}

std::size_t Account::in_hand() const {
  std::lock_guard<std::mutex> lock(mu_);
  std::size_t count = 0;
  for (const auto& [identity, record] : rest_) count += record.delivered;
  for (const std::int64_t which : open_) {
    const Slot& slot = *slots_[static_cast<std::size_t>(which)];
    for (std::size_t b = 0; b < slot.blocks.size() && slot.live > 0; ++b) {
      if (slot.blocks[b].records == nullptr) continue;
      for (std::int64_t i = 0; i < slot.BlockSize(static_cast<std::int64_t>(b)); ++i) {
        const Record& record = slot.blocks[b].records[static_cast<std::size_t>(i)];
        if (record.state == Record::kLive) count += record.delivered;
      }
    }
  }
  return count;
}

std::int64_t Account::Unread(std::int64_t slot) const {
  std::lock_guard<std::mutex> lock(mu_);
  const auto place = static_cast<std::size_t>(slot);
  if (place >= slots_.size() || slots_[place] == nullptr) return 0;
  return slots_[place]->left - slots_[place]->live;
}

Accounts& Accounts::Get() {
  static auto* const accounts = new Accounts;  // never destroyed: kernels may outlive main()
  return *accounts;
}

}  // namespace headrace::feed
