#include "tensorflow/runtime/record_stream.h"

namespace headrace {

using feed::RangeQueue;
using record::RecordFile;

Status OpenFiles::Find(const std::string& path, std::shared_ptr<RecordFile>* file) {
  for (auto it = files_.begin(); it != files_.end(); ++it) {
    if (it->first != path) continue;
    files_.splice(files_.begin(), files_, it);
    *file = files_.front().second;
    return Status();
  }
  std::unique_ptr<RecordFile> opened;
  Status status = RecordFile::Open(path, {}, &opened);
  if (!status.ok()) return status;
  files_.emplace_front(path, std::move(opened));
  if (files_.size() > kMostFiles) files_.pop_back();
  *file = files_.front().second;
  return Status();
}

Status RecordStream::Open(const std::string& queue, const std::string& account,
                          std::unique_ptr<RecordStream>* stream) {
  auto opened = std::make_unique<RecordStream>();
  opened->queue_ = feed::RangeQueues::Get().Find(queue);
  if (opened->queue_ == nullptr) {
    return Status(Code::kFailedPrecondition,
                  "no queue of record ranges '" + queue + "' is open in this process");
  }
  if (!account.empty()) {
    opened->account_ = feed::Accounts::Get().Find(account);
    if (opened->account_ == nullptr) {
      return Status(Code::kFailedPrecondition,
                    "no account of records '" + account + "' is open in this process");
    }
  }
  *stream = std::move(opened);
  return Status();
}

Status RecordStream::Next(std::string_view* record, std::int64_t* identity, bool* end) {
  *end = false;
  while (!NextOfRange(record)) {
    if (reader_ != nullptr) {
      Status status = reader_->status();
      if (!status.ok() && account_ != nullptr) {
        const auto unread = static_cast<std::int64_t>(reader_->next_record());
        account_->ReadFailed(feed::Identity::Make(range_.slot, unread), status);
      }
      reader_.reset();
      if (!status.ok()) return status;
    }
    if (!ended_) {
      if (Status status = NextRange(); !status.ok()) return status;
    }
    if (ended_) {
      *end = true;
      return Status();
    }
  }
  const auto index = static_cast<std::int64_t>(reader_->next_record()) - 1;
  *identity = feed::Identity::Make(range_.slot, index);
  return account_ == nullptr ? Status() : account_->Read(*identity);
}

void RecordStream::Cancel() {
  queue_->Wake([this] { cancelled_ = true; });
}

// False: no range is open, or its reader is at its end, or the rest was taken back.
bool RecordStream::NextOfRange(std::string_view* record) {
  if (reader_ == nullptr) return false;
  const auto next = static_cast<std::int64_t>(reader_->next_record());
  if (next == claimed_) {
    claimed_ = range_.limit->Claim();
    if (next == claimed_) return false;
  }
  return reader_->Next(record);
}

Status RecordStream::NextRange() {
  RangeQueue::Answer answer = RangeQueue::Answer::kDone;
  if (Status status = queue_->Next(&cancelled_, &answer, &range_); !status.ok()) return status;
  if (answer != RangeQueue::Answer::kRange) {
    ended_ = true;
    return Status();
  }
  claimed_ = range_.begin;
  std::shared_ptr<RecordFile> file;
  if (Status status = files_.Find(range_.path, &file); !status.ok()) return status;
  return file->Read(static_cast<std::uint64_t>(range_.begin),
                    static_cast<std::uint64_t>(range_.end), &reader_);
}

}  // namespace headrace
