// Chooses from measured steps how far a stage runs ahead, on how many threads, or not at all.
#ifndef HEADRACE_STAGE_TUNER_H_
#define HEADRACE_STAGE_TUNER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace headrace::stage {

// As a capacity or a number of threads: chosen from measurement.
inline constexpr int kAutotune = -1;

// capacity 0: nothing runs ahead; a step that takes waits for its own read and body.
struct Setting {
  int capacity = 1;     // finished results that may wait
  int num_threads = 1;  // that run the body
  bool ahead() const { return capacity > 0; }
  bool operator==(const Setting& other) const {
    return capacity == other.capacity && num_threads == other.num_threads;
  }
};

struct TunerConfig {
  int capacity = kAutotune;      // fixed, or kAutotune
  int num_threads = kAutotune;   // fixed, or kAutotune
  int max_threads = 1;           // that kAutotune may choose; cores, as a rule
  int num_clients = 1;           // steps at a time
  std::size_t budget_bytes = 0;  // what a grown queue may hold; 0 = 64 MiB
};

// Settings compete in rounds: in each, every one is held for a few steps, and its time per step is
// compared with the first one's in the same round, so that a machine that becomes slower misleads
// nobody. What ran ahead under the setting before is taken, uncounted, first. A setting that is
// slower by far leaves; if one is left, it is the one. After 100 steps and 3 s the best by the
// median of those ratios stays; of settings within 1%, the one that runs ahead on the fewest
// threads. All is measured anew after ten times as long, as the first seconds of a program (cold
// files, compilation) may mislead, and so on.
//
// Which numbers of threads compete follows from what the first steps measured: as many as the body
// needs to keep up with reads and the rest of the step, and twice as many.
//
// Steps that wait, and take twice as long as they did when the best was chosen, mean that something
// else has changed: then all is measured anew at once. (A stage whose threads let others run first
// gets little where others take all processors; in the step it gets its share.)
//
// Between measurements the queue grows, twofold, where a step found it empty that had been full
// since another step did: then it is only too short for the unevenness of reads and steps. (The
// rule of tf.data's prefetch.)
//
// Thread safety: none; the stage calls it with its domain's lock held.
class Tuner {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  // What the stage did since it was made, and how its queue is.
  struct Observed {
    std::int64_t read_us = 0;  // in reads, all sources
    std::int64_t body_us = 0;  // in bodies, all threads
    std::int64_t wait_us = 0;  // in which steps waited for results
    std::int64_t results = 0;  // that were finished
    bool waited = false;       // this step found no result
    bool full = false;         // the queue was full when this step began
    std::size_t held_bytes = 0;
  };

  explicit Tuner(const TunerConfig& config);

  const Setting& setting() const { return setting_; }
  // True while settings compete; the results of another stage's steps would then mislead.
  bool measuring() const { return phase_ != Phase::kSettled; }
  // Whether the next measurement is due.
  bool due(TimePoint now) const { return measuring() || now >= next_; }

  // A step got its result. True: setting() changed.
  bool OnStep(TimePoint now, const Observed& observed);
  // What passes until the next step is no step's time: an error, an end of data.
  void OnBreak() { running_ = false; }
  // What was decided since the last call, for the log; "" if nothing worth a line.
  std::string TakeReport();

 private:
  enum class Phase { kWarming, kMeasuring, kSettled };
  struct Candidate {
    Setting setting;
    std::vector<double> seconds;  // per step, by round
  };

  void Begin(TimePoint now);
  void AddCandidates();
  int ThreadsNeeded() const;
  bool EndSegment(TimePoint now);
  void ClearSegment();
  bool NextSegment();
  void DropSlow();
  // What to say of running ahead or in the step, as was not the case before.
  void Report(const Candidate& chosen);
  bool Settle(TimePoint now);
  bool Change(const Setting& to);
  bool Grow(const Observed& observed);
  // Whether settled steps have become slow for want of results.
  bool Slowed(double seconds, bool waited);
  // Of each candidate over the first one's.
  std::vector<double> RelativeTimes() const;

  const TunerConfig config_;
  Setting setting_;
  Phase phase_ = Phase::kWarming;
  bool started_ = false;
  bool running_ = false;   // last_ means something
  bool was_full_ = false;  // since a step waited
  bool was_ahead_ = true;  // after the measurement before
  TimePoint first_;        // step of all, or since all changed
  TimePoint begun_;        // this measurement
  TimePoint next_;         // measurement
  TimePoint last_;         // step
  Observed at_begin_;      // of the first segment
  Observed now_;
  std::size_t full_bytes_ = 0;  // held when the queue was full
  // Of this measurement.
  std::int64_t steps_ = 0;
  std::vector<Candidate> candidates_;
  std::vector<Candidate> dropped_;  // since they were slow by far
  std::size_t current_ = 0;
  std::size_t round_ = 0;
  // Of this segment: of one candidate in one round, or of settled steps.
  std::vector<double> segment_;
  double segment_seconds_ = 0;
  int segment_waits_ = 0;
  int to_skip_ = 0;          // steps before it
  double settled_step_ = 0;  // seconds, with what was chosen
  std::string report_;
};

}  // namespace headrace::stage

#endif  // HEADRACE_STAGE_TUNER_H_
