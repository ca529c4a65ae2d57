// What a step costs in headrace-trainer, and in a bare loop around the same callable; and how long
// the step takes in which one lease ends and the next begins. bench/steps.py runs it, by
// `headrace run`:
//
//   step_benchmark loop|bare SETTINGS OUT
//
// SETTINGS: a file, the job file's section `trainer`. OUT: file for {"steps", "seconds"}, from the
// first lease to the end of the data, and of `bare` {"step_us", "switch_us"}: medians of the steps
// within a lease, and of those that begin one.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "feed/account.h"
#include "feed/client.h"
#include "trainer/exported_job.h"
#include "trainer/program.h"
#include "trainer/settings.h"
#include "trainer/trainer.h"

namespace headrace::trainer {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::json;

constexpr std::size_t kAcknowledgeEvery = 100;  // steps; outside of what is timed

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double Seconds(Clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

// Trains in a loop with nothing but the callable in it, and acknowledges after every so many steps.
class BareLoop {
 public:
  BareLoop(Program* program, feed::Client* client) : program_(program), client_(client) {}

  Status Run(json* found) {
    const auto begin = Clock::now();
    client_->Start();
    for (bool more = true; more;) {
      if (Status status = program_->Begin(Program::Mode::kTrain); !status.ok()) return status;
      Status status;
      while (status.ok()) status = Steps();
      if (status.code() != Code::kOutOfRange) return status;
      if (Status ended = program_->End(Program::Mode::kTrain); !ended.ok()) return ended;
      if (Status ended = client_->IteratorEnded("batch", &more); !ended.ok()) return ended;
    }
    *found = {{"steps", within_.size() + switching_.size()},
              {"seconds", Seconds(Clock::now() - begin - acknowledging_)},
              {"step_us", Median(within_)},
              {"switch_us", Median(switching_)}};
    return Status();
  }

 private:
  Status Steps() {
    std::vector<Program::Trained> steps(kAcknowledgeEvery);
    std::vector<Clock::time_point> ends(kAcknowledgeEvery + 1);
    std::size_t done = 0;
    Status status;
    ends[0] = Clock::now();
    for (; done < kAcknowledgeEvery; ++done) {
      if (status = program_->Train(&steps[done]); !status.ok()) break;
      ends[done + 1] = Clock::now();
    }
    const auto acknowledges = Clock::now();
    for (std::size_t i = 0; i < done; ++i) Count(steps[i], ends[i + 1] - ends[i]);
    for (std::size_t i = 0; i < done; ++i) {
      const std::vector<std::int64_t>& identities = steps[i].identities;
      Status applied = client_->Applied(identities.data(), identities.size(), steps[i].step);
      if (!applied.ok()) return applied;
    }
    acknowledging_ += Clock::now() - acknowledges;
    return status;
  }

  void Count(const Program::Trained& step, Clock::duration time) {
    const std::int64_t slot = feed::Identity::Slot(step.identities.back());
    (slot == slot_ ? within_ : switching_).push_back(Seconds(time) * 1e6);
    slot_ = slot;
  }

  Program* const program_;
  feed::Client* const client_;
  std::int64_t slot_ = -1;
  Clock::duration acknowledging_{0};
  std::vector<double> within_, switching_;  // microseconds
};

Status Measure(const std::string& mode, const Settings& settings, feed::Client* client,
               json* found) {
  ExportedJob job;
  if (Status status = LoadExportedJob(settings.exported, &job); !status.ok()) return status;
  std::unique_ptr<Program> program;
  if (Status status = Program::Load(job, settings, nullptr, &program); !status.ok()) return status;
  if (mode == "bare") return BareLoop(program.get(), client).Run(found);
  Failpoint none;
  Trainer trainer(job, settings, program.get(), nullptr, client, &none);
  std::string output;
  const auto begin = Clock::now();
  const Status status = trainer.Run(&output);
  *found = {{"steps", trainer.steps()}, {"seconds", Seconds(Clock::now() - begin)}};
  return status;
}

int Main(int argc, char** argv) {
  const char* const socket = std::getenv("HEADRACE_FEED");
  const std::string mode = argc > 1 ? argv[1] : "";
  if (argc != 4 || (mode != "loop" && mode != "bare") || socket == nullptr) {
    std::cerr << "usage: headrace run ... -- step_benchmark loop|bare SETTINGS OUT" << std::endl;
    return 2;
  }
  std::ifstream file(argv[2]);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  Settings settings;
  Status status = ParseSettings(text, &settings);
  std::unique_ptr<feed::Client> client;
  feed::Client::Options options;
  options.socket = socket;
  options.program = "step_benchmark";
  if (status.ok()) status = feed::Client::Connect(options, &client);
  json found;
  if (status.ok()) status = Measure(mode, settings, client.get(), &found);
  if (client != nullptr) {
    const Status said = client->Bye("", status);
    if (status.ok()) status = said;
  }
  if (status.ok() && !(std::ofstream(argv[3]) << found << std::flush)) {
    status = Status(Code::kInternal, std::string("cannot write ") + argv[3]);
  }
  if (status.ok()) return 0;
  std::cerr << "step_benchmark: " << status.ToString() << std::endl;
  return 1;
}

}  // namespace
}  // namespace headrace::trainer

int main(int argc, char** argv) {
  return headrace::trainer::Main(argc, argv);
}
