#include "trainer/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/base64.h"
#include "trainer/directory.h"

namespace headrace::trainer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr char kManifest[] = "/manifest.json";

std::string Manifest(const Checkpoint& checkpoint) {
  return json{{"version", Checkpoint::kVersion},
              {"step", checkpoint.step},
              {"position", EncodeBase64(checkpoint.position)}}
             .dump(2) +
         "\n";
}

}  // namespace

Status ReadCheckpoint(const std::string& directory, Checkpoint* checkpoint) {
  const std::string path = directory + kManifest;
  std::ifstream file(path);
  if (!file)
    return Status(Code::kNotFound, directory + " is no checkpoint: it has no manifest.json");
  const json manifest = json::parse(file, nullptr, false);
  if (manifest.is_discarded()) return Status(Code::kDataLoss, path + " is damaged: it is no JSON");
  Checkpoint read;
  read.directory = directory;
  try {
    const int version = manifest.at("version");
    if (version > Checkpoint::kVersion) {
      return Status(Code::kUnimplemented, path + " has version " + std::to_string(version) +
                                              ", and this Headrace reads up to " +
                                              std::to_string(Checkpoint::kVersion));
    }
    read.step = manifest.at("step");
    if (!DecodeBase64(manifest.at("position").get<std::string>(), &read.position)) {
      return Status(Code::kDataLoss, path + " is damaged: 'position' is no base64");
    }
  } catch (const json::exception& error) {
    return Status(Code::kDataLoss, path + " is damaged: " + error.what());
  }
  *checkpoint = std::move(read);
  return Status();
}

Status ListCheckpoints(const std::string& directory, std::vector<Checkpoint>* checkpoints) {
  checkpoints->clear();
  std::error_code error;
  fs::directory_iterator entries(directory, error);
  if (error) return Status(Code::kNotFound, directory + " cannot be listed: " + error.message());
  for (const auto& entry : entries) {
    const std::string path = entry.path();
    if (!entry.is_directory() || path.find(kUnfinished) != std::string::npos) continue;
    Checkpoint checkpoint;
    Status status = ReadCheckpoint(path, &checkpoint);
    if (status.code() == Code::kNotFound) continue;
    if (!status.ok()) return status;
    checkpoints->push_back(std::move(checkpoint));
  }
  std::sort(checkpoints->begin(), checkpoints->end(),
            [](const auto& a, const auto& b) { return a.step < b.step; });
  return Status();
}

Status WriteCheckpoint(const Checkpoint& checkpoint, const SaveVariables& save,
                       std::int64_t* bytes) {
  const auto fill = [&](const std::string& temporary) {
    if (Status status = save(temporary + "/variables"); !status.ok()) return status;
    return WriteFile(temporary + kManifest, Manifest(checkpoint));
  };
  return WriteDirectory(checkpoint.directory, fill, bytes);
}

Status PruneCheckpoints(const std::string& directory, std::int64_t keep) {
  std::vector<Checkpoint> checkpoints;
  if (Status status = ListCheckpoints(directory, &checkpoints); !status.ok()) return status;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    if (entry.path().string().find(kUnfinished) != std::string::npos) {
      fs::remove_all(entry.path(), error);
    }
  }
  const auto count = static_cast<std::int64_t>(checkpoints.size());
  for (std::int64_t i = 0; keep > 0 && i + keep < count; ++i) {
    fs::remove_all(checkpoints[i].directory, error);
    if (error) {
      return Status(Code::kUnavailable,
                    checkpoints[i].directory + " cannot be removed: " + error.message());
    }
  }
  return Status();
}

}  // namespace headrace::trainer
