// All records of all epochs on one line of numbers, and its cut into tasks.
#ifndef HEADRACE_LEDGER_LINE_H_
#define HEADRACE_LEDGER_LINE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "ledger/interval_set.h"
#include "ledger/job.h"
#include "ledger/permutation.h"

namespace headrace::ledger {

// Record i of file f in epoch e has the number e * records() + (records of the files before f) + i.
// So one interval set accounts for the whole job, and files that are done merge into one interval.
// Tasks are computed from their number, never stored.
// Thread safety: none (the shuffle of one epoch is kept).
class Line {
 public:
  struct Place {
    std::int64_t epoch = 0;
    std::int64_t file = 0;
    std::int64_t index = 0;
  };

  Line() = default;
  // Requires: Validate() accepted the job that these are from.
  Line(const std::vector<FileSpec>& files, std::int64_t task_records, std::int64_t epochs,
       bool shuffle, std::uint64_t seed);

  std::int64_t records() const { return records_; }  // of one epoch
  std::int64_t epochs() const { return epochs_; }
  std::int64_t tasks() const { return tasks_; }  // of one epoch
  Range all() const { return {0, records_ * epochs_}; }
  Range Epoch(std::int64_t epoch) const { return {epoch * records_, (epoch + 1) * records_}; }
  Range File(std::int64_t epoch, std::int64_t file) const;
  std::int64_t files() const { return static_cast<std::int64_t>(file_start_.size()) - 1; }

  Place Locate(std::int64_t number) const;
  // The `position`-th task of an epoch in the order of its shuffle. Tasks lie within one file.
  Range Task(std::int64_t epoch, std::int64_t position) const;

 private:
  std::int64_t records_ = 0, tasks_ = 0, epochs_ = 0, task_records_ = 1;
  bool shuffle_ = false;
  std::uint64_t seed_ = 0;
  std::vector<std::int64_t> file_start_;  // in records; one more than files
  std::vector<std::int64_t> task_start_;  // in tasks; one more than files
  mutable std::int64_t shuffled_epoch_ = -1;
  mutable std::optional<Permutation> permutation_;
};

}  // namespace headrace::ledger

#endif  // HEADRACE_LEDGER_LINE_H_
