#include <utility>

#include "record/index.h"
#include "record/recordio.h"

namespace headrace::record {
namespace {

class RecordIoCursor final : public Cursor {
 public:
  RecordIoCursor(std::string name, std::unique_ptr<ByteStream> stream,
                 std::shared_ptr<const Index> index, std::size_t entry,
                 std::shared_ptr<ChunkCache> cache)
      : name_(std::move(name)),
        stream_(std::move(stream)),
        index_(std::move(index)),
        entry_(entry),
        cache_(cache != nullptr ? std::move(cache) : std::make_shared<ChunkCache>()) {
    if (index_ != nullptr && entry_ < index_->entries.size()) {
      next_chunk_ = index_->entries[entry_].offset;
    }
  }
  ~RecordIoCursor() override { cache_->GiveBack(std::move(chunk_)); }

  bool Next(std::string_view* record) override {
    if (record_ == num_records_ && !NextChunk()) return false;
    const std::uint32_t length = lengths_[record_++];
    *record = {at_ + kLengthBytes, length};
    at_ += kLengthBytes + length;
    return true;
  }
  bool Skip() override {
    std::string_view record;
    return Next(&record);
  }
  std::uint64_t offset() const override { return offset_; }

 private:
  bool NextChunk() {
    if (done_) return false;
    record_ = num_records_ = 0;
    if (!LoadChunk()) {
      done_ = true;
      return false;
    }
    lengths_ = chunk_->lengths.data();
    num_records_ = chunk_->lengths.size();
    at_ = chunk_->payload.data();
    return true;
  }

  bool LoadChunk() {
    offset_ = next_chunk_;
    cache_->GiveBack(std::exchange(chunk_, nullptr));
    std::uint64_t expected = ByteStream::kUnknown;
    if (index_ != nullptr) {
      if (entry_ >= index_->entries.size()) return false;
      expected = index_->FirstRecordAfter(entry_) - index_->entries[entry_].first_record;
      const std::uint64_t end = index_->OffsetAfter(entry_);
      if (ChunkCache::Lent found = cache_->Find(next_chunk_); found != nullptr) {
        std::uint64_t skipped = 0;
        status_ = stream_->Skip(end - next_chunk_, &skipped);
        chunk_ = std::move(found);
        ++entry_;
        next_chunk_ = end;
        return status_.ok();
      }
    }
    chunk_ = cache_->Room();
    if (!ReadChunk(name_, next_chunk_, expected, stream_.get(), chunk_.get(), &next_chunk_,
                   &status_)) {
      return false;
    }
    if (index_ != nullptr) {
      if (next_chunk_ != index_->OffsetAfter(entry_)) {
        return Fail(DamageAt(name_, offset_,
                             "the chunk ends at byte " + std::to_string(next_chunk_) +
                                 ", in the index at byte " +
                                 std::to_string(index_->OffsetAfter(entry_))));
      }
      cache_->Keep(chunk_);
    }
    ++entry_;
    return true;
  }

  const std::string name_;
  const std::unique_ptr<ByteStream> stream_;
  const std::shared_ptr<const Index> index_;
  std::size_t entry_;  // of the next chunk
  const std::shared_ptr<ChunkCache> cache_;

  ChunkCache::Lent chunk_;
  const std::uint32_t* lengths_ = nullptr;  // of chunk_
  std::size_t num_records_ = 0;             // in chunk_
  std::size_t record_ = 0;                  // the next one in chunk_
  const char* at_ = nullptr;                // where its length stands
  std::uint64_t offset_ = 0;
  std::uint64_t next_chunk_ = 0;
  bool done_ = false;
};

}  // namespace

std::unique_ptr<Cursor> MakeRecordIoCursor(std::string name, std::unique_ptr<ByteStream> stream,
                                           std::shared_ptr<const Index> index, std::size_t entry,
                                           std::shared_ptr<ChunkCache> cache) {
  return std::make_unique<RecordIoCursor>(std::move(name), std::move(stream), std::move(index),
                                          entry, std::move(cache));
}

}  // namespace headrace::record
