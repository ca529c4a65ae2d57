#include "record/recordio.h"

#include <algorithm>
#include <utility>

#include "record/crc.h"
#include "record/gzip.h"
#include "record/snappy_frames.h"

namespace headrace::record {
namespace {

// Read and checked piece by piece, while the piece is in the processor's cache.
constexpr std::size_t kPieceBytes = std::size_t{128} * 1024;

// Finds the records of a payload, of which more and more is there.
class RecordWalk {
 public:
  // Requires: lengths has room for as many records as the payload can hold or the header announces,
  // whichever is less.
  RecordWalk(std::uint64_t payload_bytes, std::uint32_t num_records,
             std::vector<std::uint32_t>* lengths)
      : payload_bytes_(payload_bytes), lengths_(lengths) {
    lengths->resize(std::min<std::uint64_t>(num_records, payload_bytes / kLengthBytes));
  }

  void Advance(const char* payload, std::uint64_t there) {
    std::uint64_t at = at_;
    std::size_t found = found_;
    const std::size_t wanted = lengths_->size();
    std::uint32_t* const lengths = lengths_->data();
    while (found < wanted && at + kLengthBytes <= there) {
      const std::uint32_t length = LoadU32(payload + at);
      lengths[found++] = length;
      at += kLengthBytes + length;
    }
    at_ = at;
    found_ = found;
  }
  // Whether exactly the announced records are there, once all was seen.
  bool Fits(std::uint32_t num_records, std::string* what) const {
    if (found_ == num_records && at_ == payload_bytes_) return true;
    *what = at_ > payload_bytes_
                ? "record " + std::to_string(found_ - 1) + " of this chunk ends beyond the chunk"
                : "the chunk announces " + std::to_string(num_records) + " records but holds " +
                      (found_ < num_records ? "fewer" : "more");
    return false;
  }

 private:
  const std::uint64_t payload_bytes_;
  std::vector<std::uint32_t>* const lengths_;
  std::uint64_t at_ = 0;  // of the next record; may be beyond what is there
  std::size_t found_ = 0;
};

// Reads `header.payload_bytes` bytes into *to. *walk (may be null) goes along.
Status ReadPayload(const std::string& name, std::uint64_t offset, const ChunkHeader& header,
                   ByteStream* stream, RecordWalk* walk, ByteBuffer* to) {
  const std::size_t wanted = header.payload_bytes;
  const bool known = stream->remaining() != ByteStream::kUnknown;
  if (known) to->Reserve(wanted, 0);  // ParseChunkHeader() saw that the file has them
  std::uint32_t checksum = 0;
  std::size_t there = 0;
  while (there < wanted) {
    const std::size_t piece = std::min(kPieceBytes, wanted - there);
    if (!known) to->Grow(there + piece, there);
    std::size_t got = 0;
    Status status = stream->Read(to->data() + there, piece, &got);
    if (!status.ok()) return status;
    checksum = Crc32Ieee(checksum, to->data() + there, got);
    there += got;
    if (walk != nullptr) walk->Advance(to->data(), there);
    if (got < piece) {
      return DamageAt(name, offset,
                      "the chunk is cut after " + std::to_string(there) + " of its " +
                          std::to_string(wanted) + " bytes");
    }
  }
  if (checksum != header.checksum) {
    return DamageAt(name, offset, "the chunk's checksum does not fit its contents");
  }
  return {};
}

Status Unpack(const std::string& name, const ChunkHeader& header, Chunk* chunk,
              std::size_t* bytes) {
  const std::string_view packed(chunk->packed.data(), header.payload_bytes);
  std::string what;
  std::size_t position = 0;
  const bool good =
      header.compressor == Compressor::kSnappy
          ? UnpackSnappyFrames(packed, kMaxChunkBytes, &chunk->payload, bytes, &what, &position)
          : Gunzip(packed, kMaxChunkBytes, &chunk->payload, bytes, &what, &position);
  if (good) return {};
  return DamageAt(name, chunk->offset + kChunkHeaderBytes + position, what);
}

}  // namespace

Status ParseChunkHeader(const std::string& name, std::uint64_t offset, std::string_view found,
                        std::uint64_t remaining, ChunkHeader* header) {
  if (found.size() < kChunkHeaderBytes) {
    return DamageAt(
        name, offset,
        "a chunk's header is cut after " + std::to_string(found.size()) + " of its 20 bytes");
  }
  if (LoadU32(found.data()) != kRecordIoMagic) {
    return DamageAt(name, offset, "no RecordIO chunk begins here");
  }
  header->checksum = LoadU32(found.data() + 4);
  const std::uint32_t compressor = LoadU32(found.data() + 8);
  header->compressor = static_cast<Compressor>(compressor);
  header->payload_bytes = LoadU32(found.data() + 12);
  header->num_records = LoadU32(found.data() + 16);
  if (compressor > static_cast<std::uint32_t>(Compressor::kGzip)) {
    return DamageAt(name, offset,
                    "the chunk names compressor " + std::to_string(compressor) +
                        "; 0, 1 (snappy) and 2 (gzip) exist");
  }
  if (header->payload_bytes > kMaxChunkBytes) {
    return DamageAt(name, offset,
                    "the chunk announces " + std::to_string(header->payload_bytes) +
                        " bytes; 1 GiB is the most");
  }
  if (header->num_records == 0) {  // nobody would ever read the chunk, and see what is wrong
    return DamageAt(name, offset, "the chunk announces no records; none is ever written so");
  }
  if (remaining != ByteStream::kUnknown && header->payload_bytes + kChunkHeaderBytes > remaining) {
    return DamageAt(name, offset,
                    "the chunk announces " + std::to_string(header->payload_bytes) +
                        " bytes, of which " + std::to_string(remaining - kChunkHeaderBytes) +
                        " are there");
  }
  if (header->compressor == Compressor::kNone &&
      header->num_records > header->payload_bytes / kLengthBytes) {
    return DamageAt(name, offset,
                    "the chunk announces " + std::to_string(header->num_records) + " records in " +
                        std::to_string(header->payload_bytes) + " bytes");
  }
  return {};
}

bool ReadChunk(const std::string& name, std::uint64_t offset, std::uint64_t expected,
               ByteStream* stream, Chunk* chunk, std::uint64_t* end_offset, Status* status) {
  chunk->offset = offset;
  const std::uint64_t remaining = stream->remaining();
  char bytes[kChunkHeaderBytes];
  std::size_t got = 0;
  *status = stream->Read(bytes, sizeof(bytes), &got);
  if (!status->ok() || got == 0) return false;
  ChunkHeader header;
  *status = ParseChunkHeader(name, offset, {bytes, got}, remaining, &header);
  if (!status->ok()) return false;
  if (expected != ByteStream::kUnknown && header.num_records != expected) {
    *status = DamageAt(name, offset,
                       "the chunk announces " + std::to_string(header.num_records) +
                           " records, the index " + std::to_string(expected));
    return false;
  }
  std::string what;
  bool fits = false;
  if (header.compressor == Compressor::kNone && remaining != ByteStream::kUnknown) {
    RecordWalk walk(header.payload_bytes, header.num_records, &chunk->lengths);
    *status = ReadPayload(name, offset, header, stream, &walk, &chunk->payload);
    fits = status->ok() && walk.Fits(header.num_records, &what);
  } else {
    const bool plain = header.compressor == Compressor::kNone;
    std::size_t unpacked = header.payload_bytes;
    *status = ReadPayload(name, offset, header, stream, nullptr,
                          plain ? &chunk->payload : &chunk->packed);
    if (status->ok() && !plain) *status = Unpack(name, header, chunk, &unpacked);
    if (status->ok()) {
      RecordWalk walk(unpacked, header.num_records, &chunk->lengths);
      walk.Advance(chunk->payload.data(), unpacked);
      fits = walk.Fits(header.num_records, &what);
    }
  }
  if (status->ok() && !fits) *status = DamageAt(name, offset, what);
  *end_offset = offset + kChunkHeaderBytes + header.payload_bytes;
  return status->ok();
}

ChunkCache::Lent ChunkCache::Find(std::uint64_t offset) {
  const std::lock_guard<std::mutex> lock(mu_);
  return kept_ != nullptr && kept_->offset == offset ? kept_ : nullptr;
}

ChunkCache::Lent ChunkCache::Room() {
  const std::lock_guard<std::mutex> lock(mu_);
  // Others' references are dropped under the lock, so a count of one stays one.
  if (kept_ != nullptr && kept_.use_count() == 1) return std::exchange(kept_, nullptr);
  return std::make_shared<Chunk>();
}

void ChunkCache::Keep(const Lent& chunk) {
  const std::lock_guard<std::mutex> lock(mu_);
  kept_ = chunk;
}

void ChunkCache::GiveBack(Lent chunk) {
  const std::lock_guard<std::mutex> lock(mu_);
  chunk.reset();
}

bool ChunkBuilder::MustFinishBefore(std::string_view record) const {
  return num_records_ > 0 && (record_bytes_ + record.size() > chunk_bytes_ ||
                              payload_.size() + kLengthBytes + record.size() > kMaxChunkBytes);
}

void ChunkBuilder::Add(std::string_view record) {
  AppendU32(static_cast<std::uint32_t>(record.size()), &payload_);
  payload_.append(record);
  record_bytes_ += record.size();
  ++num_records_;
}

Status ChunkBuilder::Finish(std::string* file) {
  if (num_records_ == 0) return {};
  std::string packed;
  std::string* body = &packed;
  switch (compressor_) {
    case Compressor::kNone: body = &payload_; break;
    case Compressor::kSnappy: AppendSnappyFrames(payload_, &packed); break;
    case Compressor::kGzip:
      if (!AppendGzip(payload_, &packed)) return {Code::kResourceExhausted, "no memory for gzip"};
      break;
  }
  AppendU32(kRecordIoMagic, file);
  AppendU32(Crc32Ieee(0, body->data(), body->size()), file);
  AppendU32(static_cast<std::uint32_t>(compressor_), file);
  AppendU32(static_cast<std::uint32_t>(body->size()), file);
  AppendU32(num_records_, file);
  file->append(*body);
  payload_.clear();
  record_bytes_ = 0;
  num_records_ = 0;
  return {};
}

}  // namespace headrace::record
