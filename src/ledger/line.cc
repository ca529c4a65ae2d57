#include "ledger/line.h"

#include <algorithm>

namespace headrace::ledger {
namespace {

// Which of the pieces that begin at `starts` holds `number`; empty pieces hold nothing.
std::int64_t Find(const std::vector<std::int64_t>& starts, std::int64_t number) {
  return std::upper_bound(starts.begin(), starts.end(), number) - starts.begin() - 1;
}

}  // namespace

Line::Line(const std::vector<FileSpec>& files, std::int64_t task_records, std::int64_t epochs,
           bool shuffle, std::uint64_t seed)
    : epochs_(epochs), task_records_(task_records), shuffle_(shuffle), seed_(seed) {
  file_start_.reserve(files.size() + 1);
  task_start_.reserve(files.size() + 1);
  for (const FileSpec& file : files) {
    file_start_.push_back(records_);
    task_start_.push_back(tasks_);
    records_ += file.records;
    const std::int64_t task = file.whole ? std::max<std::int64_t>(file.records, 1) : task_records;
    tasks_ += file.records / task + (file.records % task != 0);
  }
  file_start_.push_back(records_);
  task_start_.push_back(tasks_);
}

Range Line::File(std::int64_t epoch, std::int64_t file) const {
  const std::int64_t base = epoch * records_;
  return {base + file_start_[file], base + file_start_[file + 1]};
}

Line::Place Line::Locate(std::int64_t number) const {
  Place place;
  place.epoch = number / records_;
  const std::int64_t record = number % records_;
  place.file = Find(file_start_, record);
  place.index = record - file_start_[place.file];
  return place;
}

Range Line::Task(std::int64_t epoch, std::int64_t position) const {
  if (shuffle_) {
    if (shuffled_epoch_ != epoch) {
      permutation_.emplace(tasks_, seed_, epoch);
      shuffled_epoch_ = epoch;
    }
    position = permutation_->At(position);
  }
  const std::int64_t file = Find(task_start_, position);
  const Range whole = File(epoch, file);
  const std::int64_t begin = whole.begin + (position - task_start_[file]) * task_records_;
  const bool is_last = position + 1 == task_start_[file + 1];
  return {begin, is_last ? whole.end : begin + task_records_};
}

}  // namespace headrace::ledger
