// For how long nothing was trained each time that the model was lost.
#ifndef HEADRACE_MASTER_REWINDS_H_
#define HEADRACE_MASTER_REWINDS_H_

#include <cstdint>
#include <optional>
#include <vector>

namespace headrace::master {

// A pause lasts from the last report of trained records before the model was restored to the first
// one after. A job's first model is restored too, and is no pause.
//
// Thread safety: none. Units: milliseconds of the master's clock.
class Rewinds {
 public:
  struct Rewind {
    std::int64_t step = 0;  // that the model went back to
    std::int64_t pause_ms = 0;
  };
  // The model is known to be lost: where nothing was trained under this master, a pause begins now.
  void Lost(std::int64_t now_ms);
  // lost_records: whether records that the model had been trained with are to be trained again.
  // Where nothing was trained under this master, a model that has all of them is that of a job that
  // was stopped and goes on.
  void Restored(std::int64_t step, bool lost_records);
  // Trained records were reported, and accepted. The pause that this ends.
  std::optional<Rewind> Trained(std::int64_t now_ms);

  const std::vector<Rewind>& all() const { return all_; }

 private:
  std::optional<std::int64_t> trained_ms_;  // the last time; or when the model was found lost
  bool trained_ = false;                    // at all, under this master
  std::optional<std::int64_t> step_;        // of a model that was restored, and not trained since
  std::vector<Rewind> all_;
};

}  // namespace headrace::master

#endif  // HEADRACE_MASTER_REWINDS_H_
