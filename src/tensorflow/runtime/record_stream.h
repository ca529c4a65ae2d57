// The records of all ranges that a queue hands out, one after the other.
#ifndef HEADRACE_TENSORFLOW_RUNTIME_RECORD_STREAM_H_
#define HEADRACE_TENSORFLOW_RUNTIME_RECORD_STREAM_H_

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "feed/account.h"
#include "feed/range_queue.h"
#include "record/record_file.h"

namespace headrace {

// Files stay open while their ranges come: tasks of one file are often leased one after the other.
// Thread safety: one thread at a time.
class OpenFiles {
 public:
  Status Find(const std::string& path, std::shared_ptr<record::RecordFile>* file);

 private:
  static constexpr std::size_t kMostFiles = 16;
  std::list<std::pair<std::string, std::shared_ptr<record::RecordFile>>> files_;  // last used first
};

// Thread safety: Next() from one thread at a time; Cancel() from any.
class RecordStream {
 public:
  // FAILED_PRECONDITION if there is no such queue, or no such account ("": nobody is told).
  static Status Open(const std::string& queue, const std::string& account,
                     std::unique_ptr<RecordStream>* stream);

  // The next record, valid until the next call, and its identity; its account is told. *end: the
  // queue said FLUSH or DONE, and so will every later call. After an error the next call goes on
  // with the next range.
  Status Next(std::string_view* record, std::int64_t* identity, bool* end);
  // The call that waits, and later ones, give CANCELLED.
  void Cancel();

 private:
  bool NextOfRange(std::string_view* record);
  Status NextRange();

  std::shared_ptr<feed::RangeQueue> queue_;
  std::shared_ptr<feed::Account> account_;  // null: nobody is told
  bool cancelled_ = false;                  // guarded by the queue's lock

  OpenFiles files_;
  feed::Range range_;
  std::int64_t claimed_ = 0;  // of range_: records before this one are this reader's
  std::unique_ptr<record::RangeReader> reader_;
  bool ended_ = false;
};

}  // namespace headrace

#endif  // HEADRACE_TENSORFLOW_RUNTIME_RECORD_STREAM_H_
