// What files announce is not believed: no more is allocated than what is there can justify. A
// program of its own, since it counts what `new` gives.
#include <atomic>
#include <cstdlib>
#include <new>

#include "record/bytes.h"
#include "record/crc.h"
#include "record/gzip.h"
#include "record/snappy_frames.h"
#include "record/testing.h"
#include "record/tfrecord.h"
#include "record/verify.h"

namespace {
std::atomic<std::size_t> largest_allocation{0};
}  // namespace

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"  // they match: see `operator new` below
#endif

void* operator new(std::size_t bytes) {
  std::size_t largest = largest_allocation.load();
  while (bytes > largest && !largest_allocation.compare_exchange_weak(largest, bytes)) {
  }
  if (void* const memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}
void* operator new[](std::size_t bytes) {
  return operator new(bytes);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace headrace::record::testing {
namespace {

constexpr std::size_t kWindow = 256 * 1024;

std::string ChunkHeaderBytes(std::uint32_t crc, std::uint32_t compressor, std::uint32_t bytes,
                             std::uint32_t records) {
  std::string header;
  for (const std::uint32_t field : {0x01020304u, crc, compressor, bytes, records}) {
    AppendU32(field, &header);
  }
  return header;
}

// Fails to read these bytes, plain and within gzip, with little memory.
void ExpectCheapFailure(const std::string& bytes, Format format, const char* what) {
  SCOPED_TRACE(what);
  std::string packed;
  ASSERT_TRUE(AppendGzip(bytes, &packed));
  for (const std::string& file : {bytes, packed}) {
    OpenOptions options;
    options.format = format;
    Records found;
    largest_allocation = 0;
    const Status status = ReadAllBytes("f", file, options, &found);
    EXPECT_FALSE(status.ok());
    EXPECT_LE(largest_allocation.load(), kWindow + 2 * bytes.size()) << status.ToString();
    VerifyReport report;
    Layout layout;
    layout.format = format;
    EXPECT_TRUE(VerifyFile(MakeMemoryFile("f", file), layout, 1 << 30, 1000, &report).ok());
    EXPECT_GE(report.num_damaged, 1u);
    EXPECT_LE(largest_allocation.load(), kWindow + 2 * bytes.size());
  }
}

TEST(AllocationTest, LargeAllocationsAreSeen) {
  largest_allocation = 0;
  ByteBuffer buffer;
  buffer.Reserve(12345678, 0);
  // Without a use that it can see, the compiler may leave out the allocation as a whole.
  static_cast<volatile char*>(buffer.data())[0] = 1;
  EXPECT_EQ(largest_allocation.load(), 12345678u);
}

TEST(AllocationTest, HugeChunks) {
  const std::string rest(1000, 'x');
  for (std::uint32_t compressor : {0u, 1u, 2u}) {
    for (const std::uint32_t bytes : {1001u, 1u << 20, 1u << 30, 0xffffffffu}) {
      for (const std::uint32_t records : {1u, 1u << 28, 0xffffffffu}) {
        ExpectCheapFailure(ChunkHeaderBytes(0, compressor, bytes, records) + rest,
                           Format::kRecordIo, "chunk");
      }
    }
  }
}

// Chunks whose checksum fits what makes no sense.
TEST(AllocationTest, HugeRecordsInGoodChunks) {
  const auto chunk = [](std::uint32_t compressor, const std::string& payload,
                        std::uint32_t records) {
    return ChunkHeaderBytes(Crc32Ieee(0, payload.data(), payload.size()), compressor,
                            static_cast<std::uint32_t>(payload.size()), records) +
           payload;
  };
  const std::string huge_length = "\xff\xff\xff\xff" + std::string(100, 'x');
  ExpectCheapFailure(chunk(0, huge_length, 1), Format::kRecordIo, "length");
  ExpectCheapFailure(chunk(0, huge_length, 20), Format::kRecordIo, "lengths");
  std::string packed;
  AppendSnappyFrames(huge_length, &packed);
  ExpectCheapFailure(chunk(1, packed, 0xffffffffu), Format::kRecordIo, "snappy, number");
  packed.clear();
  ASSERT_TRUE(AppendGzip(huge_length, &packed));
  ExpectCheapFailure(chunk(2, packed, 0xffffffffu), Format::kRecordIo, "gzip, number");
  // A block that announces 4 GiB less one byte.
  const std::string block = std::string("\xff\x06\x00\x00sNaPpY", 10) +
                            std::string("\x00\x0a\x00\x00", 4) + "crc4" + "\xff\xff\xff\xff\x0f" +
                            "x";
  ExpectCheapFailure(chunk(1, block, 1), Format::kRecordIo, "block");
  const std::string frame = std::string("\xff\x06\x00\x00sNaPpY", 10) + "\x01\xff\xff\xff" + "crc4";
  ExpectCheapFailure(chunk(1, frame, 1), Format::kRecordIo, "frame");
}

TEST(AllocationTest, HugeTfRecords) {
  for (const std::uint64_t length :
       {std::uint64_t{1000}, std::uint64_t{1} << 27, std::uint64_t{1} << 40, ~std::uint64_t{0},
        ~std::uint64_t{0} - 15}) {
    std::string bytes;
    AppendU64(length, &bytes);
    AppendU32(MaskedCrc32c(bytes), &bytes);
    ExpectCheapFailure(bytes + std::string(500, 'x'), Format::kTfRecord, "TFRecord");
  }
}

TEST(AllocationTest, HugeIndexes) {
  std::string bytes = "HRINDEX\n";
  for (const std::uint32_t field : {1u, 1u, 0u}) AppendU32(field, &bytes);
  for (const std::uint64_t field : {1ull, 1ull, 1ull, 1ull << 60}) AppendU64(field, &bytes);
  AppendU32(MaskedCrc32c(bytes), &bytes);
  largest_allocation = 0;
  Index index;
  EXPECT_EQ(DecodeIndex("i", bytes, &index).code(), Code::kDataLoss);
  EXPECT_LE(largest_allocation.load(), 1000u);
}

// Random headers before a payload that is there: legacy headers have no checksum of their own.
TEST(AllocationTest, RandomHeaders) {
  Random random(31);
  std::string payload;
  for (int i = 0; i < 20; ++i) {
    AppendU32(3, &payload);
    payload += "abc";
  }
  const std::uint32_t crc = Crc32Ieee(0, payload.data(), payload.size());
  for (int i = 0; i < 20000; ++i) {
    const auto field = [&](std::uint32_t right) {
      return random.Below(2) == 0 ? right
                                  : static_cast<std::uint32_t>(random() >> random.Below(64));
    };
    const std::string bytes =
        ChunkHeaderBytes(crc, field(0) % 5, field(static_cast<std::uint32_t>(payload.size())),
                         field(20)) +
        payload;
    OpenOptions options;
    options.format = Format::kRecordIo;
    Records found;
    largest_allocation = 0;
    const Status status = ReadAllBytes("f", bytes, options, &found);
    ASSERT_TRUE(status.ok() ? found == Records(20, "abc") : found.empty()) << i;
    ASSERT_LE(largest_allocation.load(), 4096u) << i;
  }
}

}  // namespace
}  // namespace headrace::record::testing
