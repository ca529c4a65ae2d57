// RecordIO files, as pyrecordio writes and reads them: chunks of records, each chunk packed and
// with a checksum.
//
// A chunk: magic, CRC32 of the payload, compressor, bytes of the payload, number of records, all
// 32 bits; the payload, unpacked, is (32-bit length, bytes) for each record. The header itself has
// no checksum; but the payload must hold exactly as many records as it says, and at least one, so
// that every single flipped bit is found when a chunk is read.
#ifndef HEADRACE_RECORD_RECORDIO_H_
#define HEADRACE_RECORD_RECORDIO_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "record/byte_stream.h"
#include "record/bytes.h"
#include "record/cursor.h"
#include "record/input_file.h"

namespace headrace::record {

struct Index;

inline constexpr std::uint32_t kRecordIoMagic = 0x01020304;
inline constexpr std::size_t kChunkHeaderBytes = 20;
inline constexpr std::size_t kLengthBytes = 4;  // before each record
inline constexpr std::uint64_t kDefaultChunkBytes = std::uint64_t{32} * 1024 * 1024;
// Of a chunk, packed and unpacked: lengths have 32 bits.
inline constexpr std::uint64_t kMaxChunkBytes = std::uint64_t{1024} * 1024 * 1024;
// So that packed, too, it fits into a chunk.
inline constexpr std::uint64_t kMaxRecordBytes = kMaxChunkBytes / 2;

enum class Compressor : std::uint32_t { kNone = 0, kSnappy = 1, kGzip = 2 };

struct ChunkHeader {
  std::uint32_t checksum = 0;
  Compressor compressor = Compressor::kNone;
  std::uint32_t payload_bytes = 0;
  std::uint32_t num_records = 0;
};

// Parses what was `found` at `offset` of the file `name`, which has `remaining` bytes from there on
// (ByteStream::kUnknown if only reading tells). DATA_LOSS if it can be no chunk's header.
Status ParseChunkHeader(const std::string& name, std::uint64_t offset, std::string_view found,
                        std::uint64_t remaining, ChunkHeader* header);

// A chunk in memory, its room reused by the next one.
struct Chunk {
  std::uint64_t offset = 0;
  ByteBuffer payload;  // unpacked
  ByteBuffer packed;
  std::vector<std::uint32_t> lengths;  // of the records
};

// Reads the chunk that begins at `offset`, which is where `stream` stands. False with an OK status
// at the end of the stream. DATA_LOSS unless the checksum fits and the payload holds exactly the
// announced records, of which there must be `expected` (kUnknown: any number). What is allocated
// before that is known is bounded by what is there.
bool ReadChunk(const std::string& name, std::uint64_t offset, std::uint64_t expected,
               ByteStream* stream, Chunk* chunk, std::uint64_t* end_offset, Status* status);

// Keeps the chunk that was read last, since ranges that follow each other often share one, and
// reuses its room.
// Ownership: shared by the readers of one file.
// Thread safety: every method may run concurrently. A chunk is not written while it is lent.
class ChunkCache {
 public:
  using Lent = std::shared_ptr<Chunk>;
  // The chunk at `offset`, else null.
  Lent Find(std::uint64_t offset);
  // Room to read a chunk into, of nobody else.
  Lent Room();
  // A chunk that was read into such room, to be found by others.
  void Keep(const Lent& chunk);
  // Every chunk is given back this way, never just dropped.
  void GiveBack(Lent chunk);

 private:
  std::mutex mu_;
  Lent kept_;  // guarded by mu_
};

// From the chunk that entry `entry` of `index` names. `index` (with whose counts chunks are
// compared) and `cache` may be null: then from the beginning of `stream`.
std::unique_ptr<Cursor> MakeRecordIoCursor(std::string name, std::unique_ptr<ByteStream> stream,
                                           std::shared_ptr<const Index> index, std::size_t entry,
                                           std::shared_ptr<ChunkCache> cache);

// Packs records into chunks, byte for byte as pyrecordio does without compression.
// Thread safety: one thread at a time.
class ChunkBuilder {
 public:
  // A chunk ends before its records exceed `chunk_bytes`, their lengths not counted; a longer
  // record has a chunk of its own.
  ChunkBuilder(Compressor compressor, std::uint64_t chunk_bytes)
      : compressor_(compressor), chunk_bytes_(chunk_bytes) {}

  // Whether the chunk must be finished before this record is added.
  bool MustFinishBefore(std::string_view record) const;
  // Requires: record.size() <= kMaxRecordBytes.
  void Add(std::string_view record);
  // Appends the chunk to *file and starts another one; nothing if it has no record.
  Status Finish(std::string* file);

 private:
  const Compressor compressor_;
  const std::uint64_t chunk_bytes_;
  std::string payload_;
  std::uint64_t record_bytes_ = 0;
  std::uint32_t num_records_ = 0;
};

}  // namespace headrace::record

#endif  // HEADRACE_RECORD_RECORDIO_H_
