#include "feed/message.h"

#include <array>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/base64.h"

namespace headrace::feed {

namespace {

using nlohmann::json;

// Names of an enum's values, in order.
template <class E>
struct Names;
template <>
struct Names<ModelKind> {
  static constexpr std::array<const char*, 3> kAll{"none", "local", "shared"};
};
template <>
struct Names<message::QueueName> {
  static constexpr std::array<const char*, 2> kAll{"main", "evaluation"};
};
template <>
struct Names<message::End> {
  static constexpr std::array<const char*, 4> kAll{"", "finished", "released", "failed"};
};
template <>
struct Names<message::TaskKind> {
  static constexpr std::array<const char*, 3> kAll{"train", "evaluate", "predict"};
};

template <class E>
const char* NameOf(E value) {
  return Names<E>::kAll.at(static_cast<std::size_t>(value));
}

struct Bytes {  // a string that is base64 on the wire
  std::string* value;
};
struct JsonText {  // a string that is an object on the wire
  std::string* value;
};

// One visitor a direction; Fields() below lists each message's fields once, for both.
class Writer {
 public:
  json object = json::object();

  template <class T>
  void operator()(const char* key, const T& value) {
    object[key] = Of(value);
  }
  // Left out when it has no content.
  template <class T>
  void Optional(const char* key, const T& value) {
    if (!value.empty()) object[key] = Of(value);
  }

 private:
  static json Of(const Bytes& bytes) { return EncodeBase64(*bytes.value); }
  static json Of(const JsonText& text) {
    json value = json::parse(*text.value, nullptr, false);
    return value.is_object() ? value : json::object();
  }
  static json Of(const ledger::Ranges& ranges) {
    json list = json::array();
    for (const ledger::Range& range : ranges) list.push_back({range.begin, range.end});
    return list;
  }
  static json Of(const std::map<std::string, ledger::Ranges>& by_name) {
    json map = json::object();
    for (const auto& [name, ranges] : by_name) map[name] = Of(ranges);
    return map;
  }
  template <class T>
  static json Of(const std::optional<T>& value);
  template <class T>
  static json Of(const std::vector<T>& list);
  template <class T>
  static json Of(const T& value) {
    if constexpr (std::is_enum_v<T>) {
      return NameOf(value);
    } else {
      return value;
    }
  }
};

// Throws json::exception with the field's name.
class Reader {
 public:
  explicit Reader(const json& object) : object_(object) {}

  template <class T>
  void operator()(const char* key, T&& value) {
    Read(key, std::forward<T>(value));
  }
  template <class T>
  void Optional(const char* key, T& value) {
    if (object_.contains(key)) Read(key, value);
  }

 private:
  template <class T>
  void Read(const char* key, T&& value) {
    try {
      To(object_.at(key), value);
    } catch (const json::exception& error) {
      throw json::other_error::create(501, "field '" + std::string(key) + "': " + error.what(),
                                      nullptr);
    }
  }
  [[noreturn]] static void Refuse(const std::string& why) {
    throw json::other_error::create(501, why, nullptr);
  }

  static void To(const json& from, Bytes& bytes) {
    if (!DecodeBase64(from.get_ref<const std::string&>(), bytes.value)) Refuse("no base64");
  }
  static void To(const json& from, JsonText& text) {
    if (!from.is_object()) Refuse("no object");
    *text.value = from.dump();
  }
  static void To(const json& from, ledger::Ranges& ranges) {
    ranges.clear();
    for (const json& pair : from) {
      if (!pair.is_array() || pair.size() != 2) Refuse("a range is a pair of numbers");
      ranges.push_back({pair[0].get<std::int64_t>(), pair[1].get<std::int64_t>()});
      if (ranges.back().empty()) Refuse("an empty range");
    }
  }
  static void To(const json& from, std::map<std::string, ledger::Ranges>& by_name) {
    by_name.clear();
    for (const auto& [name, ranges] : from.items()) To(ranges, by_name[name]);
  }
  static void To(const json& from, std::map<std::string, double>& by_name) {
    by_name.clear();
    for (const auto& [name, value] : from.items()) To(value, by_name[name]);
  }
  static void To(const json& from, double& value) {
    // JSON has no NaN; it is written as null.
    value = from.is_null() ? std::numeric_limits<double>::quiet_NaN() : from.get<double>();
  }
  template <class T>
  static void To(const json& from, std::optional<T>& value);
  template <class T>
  static void To(const json& from, std::vector<T>& list);
  template <class T>
  static void To(const json& from, T& value) {
    if constexpr (std::is_enum_v<T>) {
      const auto& name = from.get_ref<const std::string&>();
      for (std::size_t i = 0; i < Names<T>::kAll.size(); ++i) {
        if (name == Names<T>::kAll[i]) {
          value = static_cast<T>(i);
          return;
        }
      }
      Refuse("'" + name + "' is not known");
    } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      if (!from.is_number_integer()) Refuse("no whole number");
      value = from.get<T>();
    } else {
      from.get_to(value);
    }
  }

  const json& object_;
};

// The fields of each message, by name. A Writer gets a copy.

template <class V>
void Fields(V& v, message::Error& m) {
  v("message", m.message);
}
template <class V>
void Fields(V& v, message::Report& m) {
  v("token", m.token);
  v.Optional("trained", m.trained);
  v.Optional("filtered", m.filtered);
  v.Optional("dropped", m.dropped);
  v.Optional("returned", m.returned);
  v.Optional("repeated", m.repeated);
  v("end", m.end);
  v.Optional("error", m.error);
  v("culprit", m.culprit);
  v.Optional("metrics", m.metrics);
}
template <class V>
void Fields(V& v, message::Hello& m) {
  v("protocol", m.protocol);
  v("program", m.program);
  v("pid", m.pid);
}
template <class V>
void Fields(V& v, message::Attach& m) {
  v("generation", m.generation);
  v("expected", m.expected);
}
template <class V>
void Fields(V& v, message::Restored& m) {
  v("step", m.step);
  v("position", Bytes{&m.position});
  v("checkpoint", m.checkpoint);
  v("generation", m.generation);
}
template <class V>
void Fields(V& v, message::Want& m) {
  v("queue", m.queue);
  v("count", m.count);
}
template <class V>
void Fields(V& v, message::Settled& m) {
  v("reports", m.reports);
  v("step", m.step);
}
template <class V>
void Fields(V& v, message::Telemetry& m) {
  v("steps", m.steps);
  v("records", m.records);
  v("loss", m.loss);
  v("times", m.times);
  v("waits_for", m.waits_for);
  v("waiting_ms", m.waiting_ms);
  v("away_ms", m.away_ms);
  v("last_call", m.last_call);
  v("handed_out", m.handed_out);
}
template <class V>
void Fields(V& v, message::Boundary& m) {
  v("id", m.id);
  v("step", m.step);
}
template <class V>
void Fields(V& v, message::Held& m) {
  v("hold", m.hold);
}
template <class V>
void Fields(V& v, message::Saved& m) {
  v("hold", m.hold);
  v("directory", m.directory);
  v("error", m.error);
  v("pause_ms", m.pause_ms);
  v("bytes", m.bytes);
}
template <class V>
void Fields(V& v, message::Metrics& m) {
  v("round", m.round);
  v("step", m.step);
  v("values", m.values);
}
template <class V>
void Fields(V& v, message::Bye& m) {
  v("model", m.model);
  v("error", m.error);
}
template <class V>
void Fields(V& v, message::Welcome& m) {
  v("protocol", m.protocol);
  v("worker", m.worker);
  v("number", m.number);
  v("model", m.model);
  v("job", JsonText{&m.job});
}
template <class V>
void Fields(V& v, message::Ready& m) {
  v("incarnation", m.incarnation);
}
template <class V>
void Fields(V& v, message::Look& m) {
  v("expected", m.expected);
}
template <class V>
void Fields(V& v, message::Restore& m) {
  v("generation", m.generation);
}
template <class V>
void Fields(V& v, message::Fence& m) {
  v("workers", m.workers);
}
template <class V>
void Fields(V& v, message::Lease& m) {
  v("queue", m.queue);
  v("token", m.token);
  v("task", m.task);
  v("path", m.path);
  v("file", m.file);
  v("ranges", m.ranges);
  v("epoch", m.epoch);
  v("round", m.round);
  v("model_version", m.model_version);
  v("isolate", m.isolate);
}
template <class V>
void Fields(V& v, message::Flush& m) {
  v("queue", m.queue);
}
template <class V>
void Fields(V& v, message::Finish& m) {
  v("queue", m.queue);
  v("deliver", m.deliver);
}
template <class V>
void Fields(V& v, message::Revoked& m) {
  v("token", m.token);
  v("reason", m.reason);
}
template <class V>
void Fields(V& v, message::Recall& m) {
  v("token", m.token);
}
template <class V>
void Fields(V& v, message::Save& m) {
  v("hold", m.hold);
  v("directory", m.directory);
  v("position", Bytes{&m.position});
  v("step", m.step);
}
template <class V>
void Fields(V& v, message::Evaluated& m) {
  v("round", m.round);
  v("step", m.step);
  v("sums", m.sums);
}
template <class V>
void Fields(V& v, message::Orders& m) {
  v("hold", m.hold);
  v("reason", m.reason);
  v("save", m.save);
  v("evaluated", m.evaluated);
  v("boundary", m.boundary);
  v("live", m.live);
}
template <class V>
void Fields(V& v, message::Drain& m) {
  v("reason", m.reason);
  v("discard", m.discard);
}
template <class V>
void Fields(V& v, message::Fail& m) {
  v("error", m.error);
}

template <class T>
struct IsMessage : std::false_type {};
template <>
struct IsMessage<message::Report> : std::true_type {};

template <class T>
json Writer::Of(const std::optional<T>& value) {
  if (!value.has_value()) return nullptr;
  Writer writer;
  T copy = *value;
  Fields(writer, copy);
  return writer.object;
}

template <class T>
json Writer::Of(const std::vector<T>& list) {
  json array = json::array();
  for (const T& item : list) {
    if constexpr (IsMessage<T>::value) {
      Writer writer;
      T copy = item;
      Fields(writer, copy);
      array.push_back(std::move(writer.object));
    } else {
      array.push_back(item);
    }
  }
  return array;
}

template <class T>
void Reader::To(const json& from, std::optional<T>& value) {
  value.reset();
  if (from.is_null()) return;
  value.emplace();
  Reader reader(from);
  Fields(reader, *value);
}

template <class T>
void Reader::To(const json& from, std::vector<T>& list) {
  list.clear();
  if (!from.is_array()) Refuse("no list");
  for (const json& item : from) {
    list.emplace_back();
    if constexpr (IsMessage<T>::value) {
      Reader reader(item);
      Fields(reader, list.back());
    } else {
      To(item, list.back());
    }
  }
}

// In the order of the variants.
constexpr std::array<const char*, 12> kToAgent{"hello",   "attach",    "restored", "want",
                                               "settled", "telemetry", "boundary", "held",
                                               "saved",   "metrics",   "bye",      "error"};
constexpr std::array<const char*, 14> kToClient{"welcome", "ready", "look",   "restore", "fence",
                                                "lease",   "flush", "finish", "revoked", "recall",
                                                "orders",  "drain", "fail",   "error"};

template <class Variant, std::size_t kSize>
std::string EncodeAs(const Variant& message, const std::array<const char*, kSize>& types) {
  static_assert(std::variant_size_v<Variant> == kSize);
  Writer writer;
  std::visit(
      [&](const auto& held) {
        auto copy = held;
        Fields(writer, copy);
      },
      message);
  writer.object["type"] = types.at(message.index());
  return writer.object.dump(-1, ' ', false, json::error_handler_t::replace);
}

template <std::size_t kIndex = 0, class Variant, std::size_t kSize>
void DecodeAs(const json& object, const std::string& type,
              const std::array<const char*, kSize>& types, Variant* message) {
  if constexpr (kIndex == kSize) {
    throw json::other_error::create(501, "the type '" + type + "' is not known", nullptr);
  } else if (type == types[kIndex]) {
    Reader reader(object);
    Fields(reader, message->template emplace<kIndex>());
  } else {
    DecodeAs<kIndex + 1>(object, type, types, message);
  }
}

template <class Variant, std::size_t kSize>
Status DecodeLine(std::string_view line, const std::array<const char*, kSize>& types,
                  Variant* message) {
  std::string type;
  try {
    const json object = json::parse(line.begin(), line.end());
    if (!object.is_object()) return {Code::kInvalidArgument, "no message of the feed: no object"};
    type = object.at("type").get<std::string>();
    DecodeAs(object, type, types, message);
    return {};
  } catch (const json::exception& error) {
    return {
        Code::kInvalidArgument,
        "no message of the feed" + (type.empty() ? "" : " ('" + type + "')") + ": " + error.what()};
  }
}

}  // namespace

const char* message::Name(TaskKind kind) {
  return NameOf(kind);
}

std::string Encode(const ToAgent& message) {
  return EncodeAs(message, kToAgent);
}
std::string Encode(const ToClient& message) {
  return EncodeAs(message, kToClient);
}

Status Decode(std::string_view line, ToAgent* message) {
  return DecodeLine(line, kToAgent, message);
}
Status Decode(std::string_view line, ToClient* message) {
  return DecodeLine(line, kToClient, message);
}

}  // namespace headrace::feed
