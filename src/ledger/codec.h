// A small binary form for events and snapshots: whole numbers as varints, strings and containers
// with their length in front. A struct names its fields once, for both directions:
//
//   template <class A> void Fields(A& a) { a(begin, end); }
//
// Enumerations are bytes, limited by a function found by argument lookup: EnumLimit(E) returns the
// largest value. Framing and checksums are the journal's.
#ifndef HEADRACE_LEDGER_CODEC_H_
#define HEADRACE_LEDGER_CODEC_H_

#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/status.h"

namespace headrace::ledger {

namespace codec_internal {

template <class T>
struct IsSequence : std::false_type {};
template <class T>
struct IsSequence<std::vector<T>> : std::true_type {};
template <class T>
struct IsSequence<std::deque<T>> : std::true_type {};

template <class T>
struct IsMap : std::false_type {};
template <class K, class V>
struct IsMap<std::map<K, V>> : std::true_type {};
template <class K, class V>
struct IsMap<std::multimap<K, V>> : std::true_type {};

}  // namespace codec_internal

class Encoder {
 public:
  static constexpr bool kReading = false;

  template <class... T>
  void operator()(const T&... values) {
    (Put(values), ...);
  }
  const std::string& bytes() const { return bytes_; }
  std::string Take() { return std::move(bytes_); }

 private:
  void Varint(std::uint64_t value) {
    while (value >= 0x80) {
      bytes_.push_back(static_cast<char>(value | 0x80));
      value >>= 7;
    }
    bytes_.push_back(static_cast<char>(value));
  }

  template <class T>
  void Put(const T& value) {
    if constexpr (std::is_enum_v<T> || std::is_same_v<T, bool>) {
      bytes_.push_back(static_cast<char>(value));
    } else if constexpr (std::is_same_v<T, double>) {
      char raw[sizeof(double)];  // little endian: the machines that TensorFlow's wheels are for
      std::memcpy(raw, &value, sizeof raw);
      bytes_.append(raw, sizeof raw);
    } else if constexpr (std::is_integral_v<T>) {
      const auto wide = static_cast<std::uint64_t>(value);
      if constexpr (std::is_signed_v<T>) {
        Varint((wide << 1) ^ (value < 0 ? ~std::uint64_t{0} : 0));
      } else {
        Varint(wide);
      }
    } else if constexpr (std::is_same_v<T, std::string>) {
      Varint(value.size());
      bytes_ += value;
    } else if constexpr (codec_internal::IsSequence<T>::value) {
      Varint(value.size());
      for (const auto& item : value) Put(item);
    } else if constexpr (codec_internal::IsMap<T>::value) {
      Varint(value.size());
      for (const auto& [key, mapped] : value) {
        Put(key);
        Put(mapped);
      }
    } else {
      const_cast<T&>(value).Fields(*this);  // writing reads only
    }
  }

  std::string bytes_;
};

// After the first error everything reads as empty, and status() names the offset.
class Decoder {
 public:
  static constexpr bool kReading = true;

  // `what` names the bytes in errors; both must outlive the decoder.
  Decoder(std::string_view what, std::string_view bytes) : what_(what), bytes_(bytes) {}

  template <class... T>
  void operator()(T&... values) {
    (Get(values), ...);
  }
  void Fail(const std::string& why);
  // Also an error if bytes are left.
  Status Finish();
  bool ok() const { return status_.ok(); }

 private:
  std::uint64_t Varint();
  // A length, refused if fewer bytes are left than it counts items: no allocation beyond the input.
  std::size_t Length();
  std::string_view Raw(std::size_t size);

  template <class T>
  void Get(T& value) {
    if (!ok()) return;
    if constexpr (std::is_enum_v<T>) {
      const std::string_view raw = Raw(1);
      if (!ok()) return;
      const int number = static_cast<unsigned char>(raw[0]);
      if (number > static_cast<int>(EnumLimit(T()))) return Fail("a value out of range");
      value = static_cast<T>(number);
    } else if constexpr (std::is_same_v<T, bool>) {
      const std::string_view raw = Raw(1);
      if (ok() && (raw[0] & ~1) != 0) return Fail("a flag that is neither 0 nor 1");
      value = ok() && raw[0] == 1;
    } else if constexpr (std::is_same_v<T, double>) {
      const std::string_view raw = Raw(sizeof(double));
      if (ok()) std::memcpy(&value, raw.data(), sizeof(double));
    } else if constexpr (std::is_integral_v<T>) {
      const std::uint64_t wide = Varint();
      if constexpr (std::is_signed_v<T>) {
        const auto number = static_cast<std::int64_t>((wide >> 1) ^ (~(wide & 1) + 1));
        value = static_cast<T>(number);
        if (static_cast<std::int64_t>(value) != number) Fail("a number out of range");
      } else {
        value = static_cast<T>(wide);
        if (static_cast<std::uint64_t>(value) != wide) Fail("a number out of range");
      }
    } else if constexpr (std::is_same_v<T, std::string>) {
      const std::size_t size = Length();
      value = std::string(Raw(size));
    } else if constexpr (codec_internal::IsSequence<T>::value) {
      value.clear();
      const std::size_t size = Length();
      for (std::size_t i = 0; i < size && ok(); ++i) {
        value.emplace_back();
        Get(value.back());
      }
    } else if constexpr (codec_internal::IsMap<T>::value) {
      value.clear();
      const std::size_t size = Length();
      for (std::size_t i = 0; i < size && ok(); ++i) {
        std::pair<typename T::key_type, typename T::mapped_type> item;
        Get(item.first);
        Get(item.second);
        if (ok()) value.emplace_hint(value.end(), std::move(item));
      }
    } else {
      value.Fields(*this);
    }
  }

  const std::string_view what_, bytes_;
  std::size_t position_ = 0;
  Status status_;
};

// FNV-1a, 64 bits.
std::uint64_t Fingerprint(std::string_view bytes);

}  // namespace headrace::ledger

#endif  // HEADRACE_LEDGER_CODEC_H_
