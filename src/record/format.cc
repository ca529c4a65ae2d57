#include "record/format.h"

#include <array>
#include <string_view>

#include "record/byte_stream.h"
#include "record/recordio.h"
#include "record/tfrecord.h"

namespace headrace::record {
namespace {

bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

}  // namespace

Format FormatOfName(std::string_view name) {
  if (EndsWith(name, ".gz")) name.remove_suffix(3);
  if (EndsWith(name, ".recordio") || EndsWith(name, ".rio")) return Format::kRecordIo;
  if (EndsWith(name, ".tfrecord") || EndsWith(name, ".tfrecords")) return Format::kTfRecord;
  if (EndsWith(name, ".csv")) return Format::kCsv;
  return Format::kText;
}

const char* FormatName(Format format) {
  switch (format) {
    case Format::kDetect: return "unknown";
    case Format::kRecordIo: return "RecordIO";
    case Format::kTfRecord: return "TFRecord";
    case Format::kText: return "text";
    case Format::kCsv: return "CSV";
  }
  return "unknown";
}

Status DetectLayout(const std::shared_ptr<const InputFile>& file, Layout* layout) {
  std::array<char, kTfRecordHeaderBytes> first{};
  std::size_t got = 0;
  if (Status status = file->ReadAt(0, first.size(), first.data(), &got); !status.ok()) {
    return status;
  }
  // A TFRecord of 560,927 bytes begins as gzip does; but gzip hardly has that checksum.
  const std::string_view header(first.data(), got);
  layout->gzip = header.substr(0, 2) == "\x1f\x8b" &&
                 (got < kTfRecordHeaderBytes || !IsTfRecordHeader(header));
  if (layout->format != Format::kDetect) return {};

  std::array<char, 4096> begin{};
  const auto stream = layout->gzip ? OpenGzipStream(file) : OpenStream(file, 0);
  if (Status status = stream->Read(begin.data(), begin.size(), &got); !status.ok()) return status;
  const std::string_view found(begin.data(), got);
  const Format by_name = FormatOfName(file->name());
  layout->format = by_name;
  if (found.empty()) return {};
  if (found.size() >= 4 && LoadU32(found.data()) == kRecordIoMagic) {
    layout->format = Format::kRecordIo;
  } else if (found.size() >= kTfRecordHeaderBytes && IsTfRecordHeader(found)) {
    layout->format = Format::kTfRecord;
  } else if (by_name == Format::kRecordIo || by_name == Format::kTfRecord) {
    return DamageAt(file->name(), 0,
                    std::string("the file is named as ") + FormatName(by_name) +
                        ", but does not begin as one does");
  } else if (found.find('\0') != std::string_view::npos) {
    return {Code::kInvalidArgument,
            file->name() + ": begins neither as RecordIO nor as TFRecord, and is no text (byte " +
                std::to_string(found.find('\0')) +
                " is zero); convert it with: headrace data convert, or name its format"};
  }
  return {};
}

}  // namespace headrace::record
