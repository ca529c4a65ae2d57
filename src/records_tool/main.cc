// headrace-records: counts, indexes, verifies, converts and shows record files, without TensorFlow.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <map>
#include <string>
#include <vector>

#include "records_tool/commands.h"

namespace headrace::records_tool {
namespace {

using record::Format;
using IndexUse = record::OpenOptions::IndexUse;

const std::map<std::string, Format> kFormats = {{"recordio", Format::kRecordIo},
                                                {"tfrecord", Format::kTfRecord},
                                                {"text", Format::kText},
                                                {"csv", Format::kCsv}};

const std::map<std::string, IndexUse> kIndexUses = {
    {"write", IndexUse::kReadWrite}, {"read", IndexUse::kRead}, {"memory", IndexUse::kMemory}};

const std::map<std::string, record::Compressor> kCompressors = {
    {"none", record::Compressor::kNone},
    {"snappy", record::Compressor::kSnappy},
    {"gzip", record::Compressor::kGzip}};

// Far below what pyrecordio writes: a range begins within some 20 us, and damage costs no more than
// this.
constexpr std::uint64_t kChunkBytes = std::uint64_t{128} * 1024;

struct Options {
  InputOptions input;
  OutputOptions output;
  CatOptions cat;
  bool json = false;
  bool skip_header = false;
};

// A value that must be one of the names.
template <typename T>
CLI::Option* AddChoice(CLI::App* command, const std::string& name,
                       const std::map<std::string, T>& choices, T* value, const std::string& help) {
  std::vector<std::string> names;
  names.reserve(choices.size());
  for (const auto& [key, unused] : choices) names.push_back(key);
  return command
      ->add_option_function<std::string>(
          name, [&choices, value](const std::string& key) { *value = choices.at(key); }, help)
      ->check(CLI::IsMember(names));
}

void AddFormat(CLI::App* command, Options* options) {
  command
      ->add_option_function<std::string>(
          "--format", [options](const std::string& f) { options->json = f == "json"; },
          "text for people (default), json for programs")
      ->check(CLI::IsMember({"text", "json"}));
}

void AddInputs(CLI::App* command, Options* options) {
  command->add_option("paths", options->input.paths, "Files, folders or patterns")->required();
  AddChoice(command, "--read_as", kFormats, &options->input.open.format,
            "Format of the inputs; default: by content, .csv by name");
  command
      ->add_option_function<std::string>(
          "--delimiter",
          [options](const std::string& d) {
            options->input.open.delimiter = d == "\\t" || d == "tab" ? '\t' : d.front();
          },
          "Between fields of CSV: one character or tab; default: ,")
      ->check([](const std::string& d) {
        return d.size() == 1 || d == "\\t" || d == "tab" ? "" : "one character, or tab";
      });
  command->add_option("--max_record_bytes", options->input.open.max_record_bytes,
                      "A longer record is an error; default: 256 MiB");
  command->add_flag("--allow_empty", options->input.allow_empty,
                    "Files without records are no error");
}

void AddIndexes(CLI::App* command, Options* options) {
  AddChoice(command, "--index", kIndexUses, &options->input.open.index,
            "Index files: write those that are missing (default of count), only read them (default "
            "of convert and cat), or neither (memory)");
  command->add_option("--index_dir", options->input.open.index_folder,
                      "Folder of the index files, made if it is missing; default: beside the data");
}

void AddOutput(CLI::App* command, Options* options) {
  AddChoice(command, "--to", kFormats, &options->output.write.format, "Format of the output")
      ->required();
  AddChoice(command, "--compressor", kCompressors, &options->output.write.compressor,
            "Of RecordIO's chunks; default: snappy. none reads fastest");
  command
      ->add_option("--chunk_bytes", options->output.write.chunk_bytes,
                   "Bytes of records in a chunk of RecordIO; default: 131072. Raised, a range "
                   "takes longer to begin")
      ->check(CLI::Range(std::uint64_t{1}, record::kMaxRecordBytes));
  command
      ->add_option("--records_per_file", options->output.records_per_file,
                   "OUT is a folder of files with so many records; default: one file")
      ->check(CLI::PositiveNumber);
  command->add_flag("--overwrite", options->output.overwrite,
                    "Replace OUT: a file, or a folder that this program wrote");
  command->add_option_function<std::uint64_t>(
      "--shuffle_seed",
      [options](const std::uint64_t& seed) {
        options->output.shuffle = true;
        options->output.seed = seed;
      },
      "Shuffle all records; the same seed and records give the same order");
}

void CheckOutput(const CLI::App& command, const Options& options) {
  for (const char* name : {"--compressor", "--chunk_bytes"}) {
    if (command.count(name) > 0 && options.output.write.format != Format::kRecordIo) {
      throw CLI::ValidationError(name, "is for RecordIO; leave it out, or say --to recordio");
    }
  }
}

int Run(int argc, char** argv) {
  CLI::App app("Counts, indexes, verifies, converts and shows record files.", "headrace-records");
  app.require_subcommand(1);
  Options options;
  options.output.write.chunk_bytes = kChunkBytes;

  CLI::App* count = app.add_subcommand("count", "How many records the files have");
  AddInputs(count, &options);
  AddIndexes(count, &options);
  AddFormat(count, &options);

  CLI::App* index = app.add_subcommand("index", "Make the index files that are missing or stale");
  AddInputs(index, &options);
  index->add_option("--index_dir", options.input.open.index_folder,
                    "Folder of the index files, made if it is missing; default: beside the data");
  AddFormat(index, &options);

  CLI::App* verify = app.add_subcommand("verify", "Read all, check all checksums, name all damage");
  AddInputs(verify, &options);
  AddFormat(verify, &options);

  CLI::App* convert = app.add_subcommand("convert", "Write the records in another format");
  AddInputs(convert, &options);  // the last path is OUT
  convert->get_option("paths")->type_name("IN... OUT")->expected(2, -1);
  AddIndexes(convert, &options);
  AddOutput(convert, &options);
  convert->add_flag("--skip_header", options.skip_header, "Leave out each file's first record");
  AddFormat(convert, &options);

  CLI::App* write = app.add_subcommand("write", "Write the records that come on standard input");
  write->add_option("out", options.output.path, "The file, or folder, to write")->required();
  AddOutput(write, &options);
  AddFormat(write, &options);

  CLI::App* cat = app.add_subcommand("cat", "Show records: number, bytes, contents");
  AddInputs(cat, &options);
  AddIndexes(cat, &options);
  cat->add_option("--begin", options.cat.begin, "The first record shown; default: 0");
  cat->add_option("--end", options.cat.end, "The first one no longer shown; default: all");
  cat->add_flag("--length", options.cat.length_only, "Leave the contents out");

  try {
    app.parse(argc, argv);
    if (convert->parsed()) CheckOutput(*convert, options);
    if (write->parsed()) CheckOutput(*write, options);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  // Reading only, these leave nothing beside the data unless asked to.
  for (CLI::App* reading : {convert, cat}) {
    if (reading->parsed() && reading->count("--index") == 0) {
      options.input.open.index = IndexUse::kRead;
    }
  }
  if (count->parsed()) return Count(options.input, options.json);
  if (index->parsed()) return MakeIndexes(options.input, options.json);
  if (verify->parsed()) return Verify(options.input, options.json);
  if (write->parsed()) return Write(options.output, options.json);
  if (cat->parsed()) return Cat(options.input, options.cat);
  options.output.path = options.input.paths.back();
  options.input.paths.pop_back();
  return Convert(options.input, options.skip_header, options.output, options.json);
}

}  // namespace
}  // namespace headrace::records_tool

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader that has gone shows as a failed write
  try {
    return headrace::records_tool::Run(argc, argv);
  } catch (const std::exception& error) {  // no memory, or a mistake of this program
    std::fprintf(stderr, "headrace-records: %s\n", error.what());
    return 1;
  }
}
