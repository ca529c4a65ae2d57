#include "tensorflow/options.h"

#include <algorithm>
#include <cctype>
#include <functional>
#include <limits>
#include <map>
#include <utility>

#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "tensorflow/core/framework/attr_value.pb.h"
#include "tensorflow/core/protobuf/rewriter_config.pb.h"

namespace headrace {
namespace {

using ::tensorflow::AttrValue;
using Carrier = ::tensorflow::RewriterConfig_CustomGraphOptimizer;

constexpr std::int64_t kMaxInt = std::numeric_limits<int>::max();
constexpr std::int64_t kMaxInt64 = std::numeric_limits<std::int64_t>::max();
// A stage owns its threads: more than this is a slip of the pen, and would take the process down.
constexpr std::int64_t kMaxThreads = 4096;

Status Invalid(const std::string& message) {
  return Status(Code::kInvalidArgument, "Headrace options: " + message);
}

std::string Range(std::int64_t low, std::int64_t high) {
  if (high >= kMaxInt) return ">= " + std::to_string(low);
  return "in [" + std::to_string(low) + ", " + std::to_string(high) + "]";
}

Status OutOfRange(const std::string& field, std::int64_t value, std::int64_t low,
                  std::int64_t high) {
  return Invalid(field + " is " + std::to_string(value) + ", but must be " + Range(low, high));
}

Status WrongType(const std::string& field, const std::string& wanted) {
  return Invalid(field + " must be " + wanted);
}

// One reader per key: takes the value out of the AttrValue and checks what can be checked alone.
using Reader = std::function<Status(const std::string& field, const AttrValue& value)>;

template <typename Int>
Reader Integer(Int* out, std::int64_t low, std::int64_t high) {
  return [=](const std::string& field, const AttrValue& value) {
    if (value.value_case() != AttrValue::kI) return WrongType(field, "an integer (AttrValue.i)");
    if (value.i() < low || value.i() > high) return OutOfRange(field, value.i(), low, high);
    *out = static_cast<Int>(value.i());
    return Status();
  };
}

template <typename Int>
Reader IntegerOrAutotune(Int* out, std::int64_t low, std::int64_t high) {
  return [=, integer = Integer(out, low, high)](const std::string& field, const AttrValue& value) {
    if (value.value_case() == AttrValue::kI && value.i() == stage::kAutotune) {
      *out = stage::kAutotune;
      return Status();
    }
    const Status status = integer(field, value);
    if (status.ok() || value.value_case() != AttrValue::kI) return status;
    return Status(status.code(), status.message() + ", or -1 (AUTOTUNE)");
  };
}

Reader Boolean(bool* out) {
  return [=](const std::string& field, const AttrValue& value) {
    if (value.value_case() != AttrValue::kB) return WrongType(field, "a boolean (AttrValue.b)");
    *out = value.b();
    return Status();
  };
}

Reader String(std::string* out) {
  return [=](const std::string& field, const AttrValue& value) {
    if (value.value_case() != AttrValue::kS) return WrongType(field, "a string (AttrValue.s)");
    *out = value.s();
    return Status();
  };
}

Reader Integers(std::vector<std::int64_t>* out, std::int64_t low, std::int64_t high) {
  return [=](const std::string& field, const AttrValue& value) {
    if (value.value_case() != AttrValue::kList) {
      return WrongType(field, "a list of integers (AttrValue.list.i)");
    }
    for (int i = 0; i < value.list().i_size(); ++i) {
      const std::int64_t element = value.list().i(i);
      if (element < low || element > high) {
        return OutOfRange(field + "[" + std::to_string(i) + "]", element, low, high);
      }
    }
    out->assign(value.list().i().begin(), value.list().i().end());
    return Status();
  };
}

Reader Strings(std::vector<std::string>* out) {
  return [=](const std::string& field, const AttrValue& value) {
    if (value.value_case() != AttrValue::kList) {
      return WrongType(field, "a list of strings (AttrValue.list.s)");
    }
    out->assign(value.list().s().begin(), value.list().s().end());
    return Status();
  };
}

// What the table holds in another form than StageOptions.
struct RawLists {
  std::vector<std::int64_t> closed_codes = {static_cast<std::int64_t>(Code::kOutOfRange)};
  std::vector<std::int64_t> ignored_codes;
  std::vector<std::int64_t> inter_op_threads;
  std::vector<std::int64_t> intra_op_threads;
  std::vector<std::string> pool_names;
  std::string cut = "auto";
  std::int64_t version = kOptionsVersion;
};

std::map<std::string, Reader> Readers(StageOptions* o, RawLists* raw) {
  constexpr auto kFirstCode = static_cast<std::int64_t>(Code::kCancelled);
  constexpr auto kLastCode = static_cast<std::int64_t>(Code::kUnauthenticated);
  return {
      {"version", Integer(&raw->version, 1, kMaxInt64)},
      {"smart", Boolean(&o->smart)},
      {"capacity", IntegerOrAutotune(&o->capacity, 0, kMaxInt)},
      {"num_threads", IntegerOrAutotune(&o->num_threads, 1, kMaxThreads)},
      {"num_clients", Integer(&o->num_clients, 1, kMaxInt)},
      {"timeout_millis", Integer(&o->timeout_millis, 0, kMaxInt64)},
      {"closed_codes", Integers(&raw->closed_codes, kFirstCode, kLastCode)},
      {"ignored_codes", Integers(&raw->ignored_codes, kFirstCode, kLastCode)},
      {"ignored_limit", Integer(&o->ignored_limit, 0, kMaxInt64)},
      {"use_stage_subgraph_thread_pool", Boolean(&o->use_stage_subgraph_thread_pool)},
      {"stage_subgraph_thread_pool_id", Integer(&o->stage_subgraph_thread_pool_id, 0, kMaxInt)},
      {"pool_inter_op_threads", Integers(&raw->inter_op_threads, 0, kMaxThreads)},
      {"pool_intra_op_threads", Integers(&raw->intra_op_threads, 0, kMaxThreads)},
      {"pool_names", Strings(&raw->pool_names)},
      {"stage_subgraph_on_cpu", Boolean(&o->stage_subgraph_on_cpu)},
      {"stage_subgraph_stream_id", Integer(&o->stage_subgraph_stream_id, 0, kMaxInt)},
      {"streams", Integer(&o->streams, 0, kMaxInt)},
      {"cut", String(&raw->cut)},
      {"exclude", Strings(&o->exclude)},
      {"budget_bytes", Integer(&o->budget_bytes, 0, kMaxInt64)},
      {"name", String(&o->name)},
      {"tag", String(&o->tag)},
      {"dump_graph", String(&o->dump_graph)},
  };
}

std::vector<Code> ToCodes(const std::vector<std::int64_t>& numbers) {
  std::vector<Code> codes;
  for (const std::int64_t number : numbers) codes.push_back(static_cast<Code>(number));
  return codes;
}

Status CheckCodes(const StageOptions& options) {
  for (const Code code : options.ignored_codes) {
    if (std::count(options.closed_codes.begin(), options.closed_codes.end(), code) > 0) {
      return Invalid("closed_codes and ignored_codes both hold " + CodeName(code) +
                     ": an error either means end of data or is skipped");
    }
  }
  return Status();
}

Status FillPools(const RawLists& raw, StageOptions* options) {
  const std::size_t pools = raw.inter_op_threads.size();
  if (raw.intra_op_threads.size() != pools || raw.pool_names.size() != pools) {
    return Invalid("pool_inter_op_threads, pool_intra_op_threads and pool_names have " +
                   std::to_string(pools) + ", " + std::to_string(raw.intra_op_threads.size()) +
                   " and " + std::to_string(raw.pool_names.size()) +
                   " entries, but must have one entry per pool each");
  }
  for (std::size_t i = 0; i < pools; ++i) {
    options->thread_pools.push_back({raw.pool_names[i], static_cast<int>(raw.inter_op_threads[i]),
                                     static_cast<int>(raw.intra_op_threads[i])});
  }
  if (!options->use_stage_subgraph_thread_pool) return Status();
  if (pools == 0) {
    return Invalid(
        "use_stage_subgraph_thread_pool is true, but no pool is configured: set "
        "pool_inter_op_threads, pool_intra_op_threads and pool_names (in Python, "
        "session_stage_subgraph_thread_pool.add())");
  }
  if (static_cast<std::size_t>(options->stage_subgraph_thread_pool_id) >= pools) {
    return OutOfRange("stage_subgraph_thread_pool_id", options->stage_subgraph_thread_pool_id, 0,
                      static_cast<std::int64_t>(pools) - 1);
  }
  return Status();
}

Status CheckStreams(const StageOptions& options) {
  const int last = std::max(options.streams, 1) - 1;
  if (options.stage_subgraph_stream_id <= last) return Status();
  return Invalid("stage_subgraph_stream_id is " + std::to_string(options.stage_subgraph_stream_id) +
                 ", but must be in [0, " + std::to_string(last) + "] as streams is " +
                 std::to_string(options.streams));
}

// The stage's name becomes part of a node's name.
Status CheckName(const std::string& name) {
  const auto allowed = [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '-' || c == '/';
  };
  const bool ok =
      name.empty() || ((std::isalnum(static_cast<unsigned char>(name[0])) != 0 || name[0] == '.') &&
                       std::all_of(name.begin(), name.end(), allowed));
  if (ok) return Status();
  return Invalid("name is '" + name +
                 "', but must start with a letter, a digit or '.', and hold only those, '_', '-' "
                 "and '/'");
}

}  // namespace

Status ParseStageOptions(const Carrier& carrier, StageOptions* options) {
  // First the version, alone: a newer table may hold keys and values that mean nothing here.
  const auto version = carrier.parameter_map().find("version");
  if (version != carrier.parameter_map().end() && version->second.value_case() == AttrValue::kI &&
      version->second.i() > kOptionsVersion) {
    return Invalid("version is " + std::to_string(version->second.i()) +
                   ", but this library understands versions up to " +
                   std::to_string(kOptionsVersion) +
                   ": the options were written by a newer Headrace; use the same one everywhere");
  }

  StageOptions parsed;
  RawLists raw;
  const std::map<std::string, Reader> readers = Readers(&parsed, &raw);
  // In key order, so that of several errors always the same one is reported.
  const std::map<std::string, AttrValue> entries(carrier.parameter_map().begin(),
                                                 carrier.parameter_map().end());
  for (const auto& [key, value] : entries) {
    const auto reader = readers.find(key);
    if (reader == readers.end()) return Invalid("there is no option '" + key + "'");
    if (Status s = reader->second(key, value); !s.ok()) return s;
  }
  if (raw.cut != "auto" && raw.cut != "largest") {
    return Invalid("cut is '" + raw.cut + "', but must be 'auto' or 'largest'");
  }
  parsed.largest_cut = raw.cut == "largest";
  parsed.closed_codes = ToCodes(raw.closed_codes);
  parsed.ignored_codes = ToCodes(raw.ignored_codes);
  if (Status s = CheckCodes(parsed); !s.ok()) return s;
  if (Status s = FillPools(raw, &parsed); !s.ok()) return s;
  if (Status s = CheckStreams(parsed); !s.ok()) return s;
  if (Status s = CheckName(parsed.name); !s.ok()) return s;
  *options = std::move(parsed);
  return Status();
}

Status ParseStageOptions(std::string_view serialized, StageOptions* options) {
  Carrier carrier;
  if (Status s = MergeOptions(serialized, &carrier); !s.ok()) return s;
  return ParseStageOptions(carrier, options);
}

Status MergeOptions(std::string_view override_serialized, Carrier* base) {
  Carrier overriding;
  if (override_serialized.size() > static_cast<std::size_t>(kMaxInt) ||
      !overriding.ParseFromArray(override_serialized.data(),
                                 static_cast<int>(override_serialized.size()))) {
    return Invalid("the bytes are no serialized RewriterConfig.CustomGraphOptimizer");
  }
  if (!overriding.name().empty() && overriding.name() != kCarrierName) {
    return Invalid("the message is named '" + overriding.name() + "', but must be named '" +
                   kCarrierName + "'");
  }
  base->set_name(kCarrierName);
  for (const auto& [key, value] : overriding.parameter_map()) {
    (*base->mutable_parameter_map())[key] = value;
  }
  return Status();
}

std::string SerializeOptions(const Carrier& carrier) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    carrier.SerializeToCodedStream(&coded);
  }
  return bytes;
}

}  // namespace headrace
