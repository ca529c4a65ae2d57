#include "record/text.h"

#include <cstring>
#include <utility>

namespace headrace::record {
namespace {

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

// Finds the line's end that ends a CSV record, of which more and more is there.
class QuoteScan {
 public:
  void Begin() {
    state_ = State::kFieldBegin;
    seen_ = 0;
  }
  // The position of the \n that ends the record, else kNone.
  std::size_t Find(std::string_view text, char delimiter) {
    if (seen_ == 0) {  // most records have no quotes
      const void* const end = std::memchr(text.data(), '\n', text.size());
      if (end != nullptr) {
        const std::size_t line = static_cast<const char*>(end) - text.data();
        if (std::memchr(text.data(), '"', line) == nullptr) return line;
      }
    }
    for (; seen_ < text.size(); ++seen_) {
      const char c = text[seen_];
      if (state_ == State::kQuoted) {
        if (c == '"') state_ = State::kQuoteInQuoted;
        continue;
      }
      if (c == '\n') return seen_;
      if (c == delimiter) {
        state_ = State::kFieldBegin;
      } else if (c == '"' && (state_ == State::kFieldBegin || state_ == State::kQuoteInQuoted)) {
        state_ = State::kQuoted;  // an opening quote, or the second one of a pair
      } else {
        state_ = State::kPlain;
      }
    }
    return kNone;
  }
  bool in_quotes() const { return state_ == State::kQuoted; }

 private:
  enum class State { kFieldBegin, kPlain, kQuoted, kQuoteInQuoted };
  State state_ = State::kFieldBegin;
  std::size_t seen_ = 0;
};

class TextCursor final : public Cursor {
 public:
  TextCursor(std::string name, std::unique_ptr<ByteStream> stream, std::uint64_t offset,
             const TextOptions& options)
      : name_(std::move(name)), input_(std::move(stream), offset), options_(options) {}

  bool Next(std::string_view* record) override {
    if (!status_.ok()) return false;
    input_.Consume(std::exchange(pending_, 0));
    offset_ = input_.offset();
    quotes_.Begin();
    std::size_t seen = 0;
    std::size_t wanted = 1;
    while (true) {
      if (status_ = input_.Fill(wanted); !status_.ok()) return false;
      const std::string_view text = input_.view();
      if (text.empty()) return false;
      const std::size_t end = Find(text, seen);
      if (end != kNone) return Deliver(text.substr(0, end), end + 1, record);
      if (text.size() < wanted || input_.remaining() == text.size()) {
        if (options_.quotes && quotes_.in_quotes()) {
          return Fail({Code::kDataLoss, name_ + ": byte " + std::to_string(offset_) +
                                            ": a quote in the record that begins here is never "
                                            "closed; close it, or read the file as text"});
        }
        return Deliver(text, text.size(), record);
      }
      if (text.size() > options_.max_record_bytes) return TooLong();
      seen = text.size();
      wanted = text.size() + 1;
    }
  }
  bool Skip() override {
    std::string_view record;
    return Next(&record);
  }
  std::uint64_t offset() const override { return offset_; }

 private:
  std::size_t Find(std::string_view text, std::size_t seen) {
    if (options_.quotes) return quotes_.Find(text, options_.delimiter);
    const void* const end = std::memchr(text.data() + seen, '\n', text.size() - seen);
    return end == nullptr ? kNone : static_cast<const char*>(end) - text.data();
  }
  bool Deliver(std::string_view line, std::size_t consumed, std::string_view* record) {
    if (consumed > line.size() && !line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.size() > options_.max_record_bytes) return TooLong();
    pending_ = consumed;
    *record = line;
    return true;
  }
  bool TooLong() {
    return Fail({Code::kResourceExhausted, name_ + ": byte " + std::to_string(offset_) +
                                               ": a record of more than " +
                                               std::to_string(options_.max_record_bytes) +
                                               " bytes (max_record_bytes); is this a text file?"});
  }

  const std::string name_;
  InputBuffer input_;
  const TextOptions options_;
  QuoteScan quotes_;
  std::uint64_t offset_ = 0;
  std::size_t pending_ = 0;  // of the record handed out last
};

}  // namespace

std::unique_ptr<Cursor> MakeTextCursor(std::string name, std::unique_ptr<ByteStream> stream,
                                       std::uint64_t offset, const TextOptions& options) {
  return std::make_unique<TextCursor>(std::move(name), std::move(stream), offset, options);
}

bool IsCsvRecord(std::string_view bytes, char delimiter) {
  QuoteScan scan;
  return scan.Find(bytes, delimiter) == kNone && !scan.in_quotes();
}

}  // namespace headrace::record
