#include "trainer/prediction_file.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "record/record_file.h"
#include "record/record_writer.h"
#include "tensorflow/core/example/example.pb.h"
#include "tensorflow/core/example/feature.pb.h"

namespace headrace::trainer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::tensorflow::Tensor;

// Calls visit(pointer to the row's first element, number of elements of a row).
template <typename Visit>
void WithRow(const Tensor& tensor, std::int64_t row, Visit visit) {
  const std::int64_t size = tensor.dim_size(0) == 0 ? 0 : tensor.NumElements() / tensor.dim_size(0);
  const auto of_type = [&](auto type) {
    using T = decltype(type);
    visit(tensor.flat<T>().data() + row * size, size);
  };
  switch (tensor.dtype()) {
    case tensorflow::DT_FLOAT: return of_type(float{});
    case tensorflow::DT_DOUBLE: return of_type(double{});
    case tensorflow::DT_INT32: return of_type(std::int32_t{});
    case tensorflow::DT_INT64: return of_type(std::int64_t{});
    case tensorflow::DT_UINT8: return of_type(std::uint8_t{});
    case tensorflow::DT_INT8: return of_type(std::int8_t{});
    case tensorflow::DT_BOOL: return of_type(bool{});
    case tensorflow::DT_HALF: return of_type(Eigen::half{});
    case tensorflow::DT_BFLOAT16: return of_type(tensorflow::bfloat16{});
    case tensorflow::DT_STRING: return of_type(tensorflow::tstring{});
    default: return;
  }
}

bool CanBeWritten(tensorflow::DataType type) {
  switch (type) {
    case tensorflow::DT_FLOAT:
    case tensorflow::DT_DOUBLE:
    case tensorflow::DT_INT32:
    case tensorflow::DT_INT64:
    case tensorflow::DT_UINT8:
    case tensorflow::DT_INT8:
    case tensorflow::DT_BOOL:
    case tensorflow::DT_HALF:
    case tensorflow::DT_BFLOAT16:
    case tensorflow::DT_STRING: return true;
    default: return false;
  }
}

// JSON has no NaN and no infinity: they are strings. Bytes that are not UTF-8 are replaced.
template <typename T>
json ToJson(const T& value) {
  if constexpr (std::is_same_v<T, tensorflow::tstring>) {
    return std::string(value);
  } else if constexpr (std::is_same_v<T, bool> || std::is_integral_v<T>) {
    return value;
  } else {
    const double number = static_cast<double>(value);
    if (std::isfinite(number)) return number;
    return std::isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity";
  }
}

// Nested lists in the shape of a row.
template <typename T>
json Nested(const T*& value, const Tensor& tensor, int dimension) {
  if (dimension == tensor.dims()) return ToJson(*value++);
  json list = json::array();
  for (std::int64_t i = 0; i < tensor.dim_size(dimension); ++i) {
    list.push_back(Nested(value, tensor, dimension + 1));
  }
  return list;
}

std::string Quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

std::string Dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

template <typename T>
std::string ToCsv(const T& value) {
  if constexpr (std::is_same_v<T, tensorflow::tstring>) {
    return Quoted(std::string(value));
  } else {
    const json as_json = ToJson(value);
    return as_json.is_string() ? as_json.get<std::string>() : as_json.dump();
  }
}

template <typename T>
void ToFeature(const T* values, std::int64_t size, tensorflow::Feature* feature) {
  for (std::int64_t i = 0; i < size; ++i) {
    if constexpr (std::is_same_v<T, tensorflow::tstring>) {
      feature->mutable_bytes_list()->add_value(std::string(values[i]));
    } else if constexpr (std::is_same_v<T, bool> || std::is_integral_v<T>) {
      feature->mutable_int64_list()->add_value(values[i]);
    } else {
      feature->mutable_float_list()->add_value(static_cast<float>(values[i]));
    }
  }
}

const char* Extension(const std::string& format) {
  if (format == "tfrecord") return "tfrecord";
  return format == "recordio" ? "recordio" : format == "csv" ? "csv" : "jsonl";
}

record::WriteOptions OptionsOf(const std::string& format) {
  record::WriteOptions options;
  options.format = format == "tfrecord"   ? record::Format::kTfRecord
                   : format == "recordio" ? record::Format::kRecordIo
                                          : record::Format::kText;
  return options;
}

struct Part {
  std::string path, extension;
  std::int64_t file = 0, begin = 0, end = 0;
};

bool ParsePart(const fs::path& path, Part* part) {
  long long file = 0, begin = 0, end = 0;
  char extension[16] = {0};
  if (std::sscanf(path.filename().c_str(), "part-%lld-%lld-%lld.%15s", &file, &begin, &end,
                  extension) != 4) {
    return false;
  }
  *part = {path, extension, file, begin, end};
  return true;
}

// Appends the records of a part; `skip` lines of it (a header that is written already).
Status Append(const Part& part, std::uint64_t skip, record::RecordWriter* writer) {
  record::OpenOptions options;
  options.index = record::OpenOptions::IndexUse::kMemory;
  options.format = OptionsOf(part.extension).format;
  std::unique_ptr<record::RecordFile> file;
  if (Status status = record::RecordFile::Open(part.path, options, &file); !status.ok()) {
    return status;
  }
  std::unique_ptr<record::RangeReader> reader;
  if (Status status = file->Read(std::min(skip, file->num_records()), file->num_records(), &reader);
      !status.ok()) {
    return status;
  }
  std::string_view row;
  while (reader->Next(&row)) {
    if (Status status = writer->Write(row); !status.ok()) return status;
  }
  return reader->status();
}

}  // namespace

Status PredictionPart::Add(const std::vector<Tensor>& outputs,
                           const std::vector<std::int64_t>& records) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (CanBeWritten(outputs[i].dtype())) continue;
    return Status(Code::kUnimplemented,
                  "the output '" + outputs_[i].name + "' is of the dtype " +
                      tensorflow::DataTypeString(outputs[i].dtype()) +
                      ", which predictions cannot hold: cast it in the model");
  }
  for (std::size_t row = 0; row < records.size(); ++row) {
    if (records[row] < 0) continue;  // padding
    rows_.emplace(records[row], Row(outputs, static_cast<std::int64_t>(row), records[row]));
  }
  return Status();
}

std::string PredictionPart::Row(const std::vector<Tensor>& outputs, std::int64_t row,
                                std::int64_t record) const {
  if (format_ == "jsonl") {
    json values = json::object();
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      WithRow(outputs[i], row, [&](const auto* data, std::int64_t) {
        values[outputs_[i].name] = Nested(data, outputs[i], 1);
      });
    }
    return Dump({{"file", path_}, {"record", record}, {"outputs", std::move(values)}});
  }
  if (format_ == "csv") {
    std::string line = Quoted(path_) + "," + std::to_string(record);
    for (const Tensor& output : outputs) {
      WithRow(output, row, [&](const auto* data, std::int64_t size) {
        for (std::int64_t i = 0; i < size; ++i) line += "," + ToCsv(data[i]);
      });
    }
    return line;
  }
  tensorflow::Example example;
  auto& features = *example.mutable_features()->mutable_feature();
  features["file"].mutable_bytes_list()->add_value(path_);
  features["record"].mutable_int64_list()->add_value(record);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    WithRow(outputs[i], row, [&](const auto* data, std::int64_t size) {
      ToFeature(data, size, &features[outputs_[i].name]);
    });
  }
  return example.SerializeAsString();
}

// One name for each column; the sizes that are not known before the first batch make none.
std::string PredictionPart::Header() const {
  std::string line = "file,record";
  for (const ElementSpec& output : outputs_) {
    std::int64_t size = 1;
    for (std::size_t i = 1; i < output.shape.size(); ++i)
      size *= std::max<int64_t>(output.shape[i], 1);
    if (size == 1) {
      line += "," + Quoted(output.name);
      continue;
    }
    for (std::int64_t i = 0; i < size; ++i) line += "," + Quoted(absl::StrCat(output.name, "_", i));
  }
  return line;
}

Status PredictionPart::Write(const std::string& file) const {
  std::unique_ptr<record::RecordWriter> writer;
  if (Status status = record::CreateRecordWriter(file, OptionsOf(format_), &writer); !status.ok()) {
    return status;
  }
  if (format_ == "csv") {
    if (Status status = writer->Write(Header()); !status.ok()) return status;
  }
  for (const auto& [record, row] : rows_) {
    if (Status status = writer->Write(row); !status.ok()) return status;
  }
  return writer->Close();
}

std::string PartName(const std::string& format, std::int64_t file, std::int64_t begin,
                     std::int64_t end) {
  char name[96];
  std::snprintf(name, sizeof(name), "part-%06lld-%013lld-%013lld.%s", static_cast<long long>(file),
                static_cast<long long>(begin), static_cast<long long>(end), Extension(format));
  return name;
}

Status MergeParts(const std::string& directory, const std::string& output,
                  std::vector<std::string>* files) {
  std::vector<Part> parts;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    Part part;
    if (ParsePart(entry.path(), &part)) parts.push_back(std::move(part));
  }
  if (error) return Status(Code::kNotFound, directory + " cannot be listed: " + error.message());
  std::sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) {
    return std::tuple(a.file, a.begin, -a.end) < std::tuple(b.file, b.begin, -b.end);
  });
  std::unique_ptr<record::RecordWriter> writer;
  const auto close = [&] { return writer == nullptr ? Status() : writer->Close(); };
  std::int64_t file = -1, next = 0;
  for (const Part& part : parts) {
    if (part.file != file) {
      if (Status status = close(); !status.ok()) return status;
      file = part.file;
      next = 0;
      char name[64];
      std::snprintf(name, sizeof(name), "predictions-%06lld.%s", static_cast<long long>(file),
                    part.extension.c_str());
      files->push_back(output + "/" + name);
      if (Status status =
              record::CreateRecordWriter(files->back(), OptionsOf(part.extension), &writer);
          !status.ok()) {
        return status;
      }
    } else if (part.end <= next) {
      continue;
    } else if (part.begin < next) {
      return Status(Code::kDataLoss, part.path + " overlaps the part before it");
    }
    const bool header = part.extension == "csv" && next > 0;
    if (Status status = Append(part, header ? 1 : 0, writer.get()); !status.ok()) return status;
    next = part.end;
  }
  return close();
}

}  // namespace headrace::trainer
