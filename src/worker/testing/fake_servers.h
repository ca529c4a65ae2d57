// What parameter servers are to a fake trainer: a folder that several processes share.
#ifndef HEADRACE_WORKER_TESTING_FAKE_SERVERS_H_
#define HEADRACE_WORKER_TESTING_FAKE_SERVERS_H_

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/status.h"

namespace headrace::worker::testing {

// The model is the list of records that it was trained on, one a line ("PATH INDEX"). Every call is
// one step under a lock; a process that is stopped or killed is so before or after it, or holds the
// lock until it goes on.
//
//   generation   of the model; no file: none
//   model        the records
//   fenced       workers whose steps are refused, one a line
//   events       what happened, one a line, in order, for tests: never cleared
class FakeServers {
 public:
  explicit FakeServers(std::string folder) : folder_(std::move(folder)) {
    std::filesystem::create_directories(folder_);
  }

  std::int64_t Generation() const {
    const Lock lock(folder_);
    return GenerationLocked();
  }
  // A model of these records, that nobody finds before Publish().
  void Write(const std::string& model) {
    const Lock lock(folder_);
    std::filesystem::remove(folder_ + "/generation");
    std::ofstream(folder_ + "/model") << model;
  }
  void Publish(std::int64_t generation) {
    const Lock lock(folder_);
    std::filesystem::remove(folder_ + "/fenced");
    std::ofstream(folder_ + "/generation") << generation;
    Note("restored generation " + std::to_string(generation));
  }
  std::string Model() const {
    const Lock lock(folder_);
    return ReadLocked("model");
  }
  void Fence(const std::vector<std::uint64_t>& workers, std::uint64_t by) {
    const Lock lock(folder_);
    for (const std::uint64_t worker : workers) {
      Append("fenced", std::to_string(worker) + "\n");
      Note("worker " + std::to_string(worker) + " fenced off by " + std::to_string(by));
    }
  }
  // One step of a worker that trains the model of this generation.
  Status Apply(const std::string& records, std::uint64_t worker, std::int64_t generation) {
    const Lock lock(folder_);
    const std::string who = "worker " + std::to_string(worker);
    if (GenerationLocked() != generation) {
      Note(who + " refused: generation");
      return {Code::kAborted, "the servers hold another model than that of generation " +
                                  std::to_string(generation)};
    }
    std::istringstream fenced(ReadLocked("fenced"));
    for (std::uint64_t number = 0; fenced >> number;) {
      if (number != worker) continue;
      Note(who + " refused: fenced off");
      return {Code::kAborted, who + " is fenced off"};
    }
    Append("model", records);
    std::istringstream lines(records);
    for (std::string line; std::getline(lines, line);) Note(who + " trained " + line);
    return {};
  }
  void Delivered(std::uint64_t worker) {
    const Lock lock(folder_);
    Note("delivered by " + std::to_string(worker));
  }
  // As when a server dies and comes back empty.
  void Die() {
    const Lock lock(folder_);
    std::filesystem::remove(folder_ + "/generation");
    std::filesystem::remove(folder_ + "/model");
    Note("died");
  }

 private:
  class Lock {
   public:
    explicit Lock(const std::string& folder)
        : file_(open((folder + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
      if (file_ < 0 || flock(file_, LOCK_EX) != 0) std::abort();
    }
    ~Lock() { close(file_); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

   private:
    const int file_;
  };

  std::string ReadLocked(const std::string& name) const {
    std::ifstream file(folder_ + "/" + name);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  std::int64_t GenerationLocked() const {
    return std::strtoll(ReadLocked("generation").c_str(), nullptr, 10);
  }
  void Append(const std::string& name, const std::string& text) {
    std::ofstream(folder_ + "/" + name, std::ios::app) << text;
  }
  void Note(const std::string& event) { Append("events", event + "\n"); }

  const std::string folder_;
};

}  // namespace headrace::worker::testing

#endif  // HEADRACE_WORKER_TESTING_FAKE_SERVERS_H_
