#include "master/offsets.h"

#include <map>
#include <memory>
#include <string>

#include "record/record_file.h"

namespace headrace::master {

void FindOffsets(v1::Ledger* ledger) {
  record::OpenOptions options;
  options.index = record::OpenOptions::IndexUse::kRead;
  std::map<std::string, std::unique_ptr<record::RecordFile>> files;  // null: cannot be read
  for (v1::Quarantined& bad : *ledger->mutable_quarantine()) {
    bad.set_offset(-1);
    const auto [found, added] = files.try_emplace(bad.path());
    if (added && bad.path().rfind('/', 0) == 0) {
      record::RecordFile::Open(bad.path(), options, &found->second).IgnoreError();
    }
    std::uint64_t offset = 0;
    if (found->second == nullptr || bad.index() < 0) continue;
    const auto record = static_cast<std::uint64_t>(bad.index());
    if (!found->second->FindOffset(record, &offset).ok()) continue;
    bad.set_offset(static_cast<std::int64_t>(offset));
  }
}

}  // namespace headrace::master
