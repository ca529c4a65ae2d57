// How fast each worker gets through its records, and who should leave the last tasks to others.
#ifndef HEADRACE_MASTER_PACE_H_
#define HEADRACE_MASTER_PACE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>

namespace headrace::master {

// Near the end of the data, a worker that takes another task than it can finish in time makes all
// others wait for it: what it has read it must train itself. So it is given no more once the others
// would be done with everything sooner than it with this task.
//
// Thread safety: none. Units: records, milliseconds of the master's clock.
class Pace {
 public:
  // `records`: trained so far, as the worker said. `busy`: it has leases, so that it is slow if the
  // number does not grow; what it did before it had none to work on still holds.
  void Told(std::uint64_t worker, std::int64_t records, bool busy, std::int64_t now_ms);
  void Forget(std::uint64_t worker);

  // Records a second, over the last ten seconds of its work; nothing: too early to say.
  std::optional<double> Of(std::uint64_t worker) const;

  // What is left of the job's main work.
  struct Left {
    std::int64_t records = 0;                                // with those that are leased
    std::int64_t task = 0;                                   // of the next lease
    std::function<std::int64_t(std::uint64_t worker)> held;  // records that a worker has on lease
  };
  // Whether the worker should take no further task: with it, it would need longer than the others
  // together for all that it does not hold, and longer than the one of them that would finish the
  // task first. Never true of all workers, nor where the others' pace is not known.
  bool ShouldPass(std::uint64_t worker, const Left& left) const;

 private:
  struct Sample {
    std::int64_t at_ms, records;
  };
  std::map<std::uint64_t, std::deque<Sample>> samples_;
};

}  // namespace headrace::master

#endif  // HEADRACE_MASTER_PACE_H_
