// A second, slow account of what the ledger must hold, and the truth about the simulated data.
#ifndef HEADRACE_LEDGER_SIMULATION_ORACLE_H_
#define HEADRACE_LEDGER_SIMULATION_ORACLE_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "ledger/ledger.h"

namespace headrace::ledger {

inline constexpr char kDropOp[] = "batch/drop_remainder";

// What becomes of each record if nothing goes wrong: a property of the data.
struct Truth {
  enum class Fate { kTrained, kFiltered, kDropped, kBad };
  std::uint64_t seed = 0;
  int filtered_percent = 10, dropped_percent = 5;
  int bad_per_mille = 0;
  Fate Of(bool evaluation, std::int64_t file, std::int64_t index) const;
  double Value(std::int64_t file, std::int64_t index) const;  // what evaluation sums up
};

// Shares no sets with the ledger: one state a record, in arrays.
class Oracle {
 public:
  Oracle(const JobSpec& spec, const Truth& truth);

  // Called after each event with what came of it. Returns what is wrong, or an empty string.
  std::string Check(const Event& event, const Status& status, const Effects& effects,
                    const Ledger& ledger);
  // A training step applied a record.
  void Apply(std::int64_t number) { ++model_[number]; }
  // At a barrier: the model and the account, and back to them.
  void Save();
  // Called before the check of the rewind itself.
  void Restore(bool saved);
  // When nothing more will happen.
  std::string CheckEnd(const Ledger& ledger) const;

 private:
  struct Held {
    std::uint64_t worker = 0;
    std::int64_t work = 0, base = 0;
    std::set<std::int64_t> records;
    std::int64_t deadline_ms = 0;
  };
  using States = std::vector<char>;  // 0: to do, else what was said of the record

  std::string Follow(const Report& report, const Status& status, const Effects& effects);
  std::string Follow(const Request& request, const Effects& effects, const Ledger& ledger);
  std::string CheckIncarnation(const Ledger& ledger);
  std::string CheckEnded(const Effects& effects, const Ledger& ledger);
  std::string CheckStates(std::int64_t work, const Pool& pool, const Ledger& ledger);
  std::string CheckRound(const Round& round, const Ledger& ledger) const;
  bool AllDone(std::int64_t work, std::int64_t begin, std::int64_t end) const;
  bool TooManyAreBad(bool evaluation) const;
  States& Of(std::int64_t work, const Ledger& ledger);

  const JobSpec spec_;
  const Truth truth_;
  const Line line_;
  std::map<std::int64_t, States> states_;  // by work
  std::map<std::uint64_t, Held> held_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::vector<std::uint64_t>> answered_;
  std::uint64_t last_token_ = 0;
  std::int64_t incarnation_ = 1;

  std::vector<int> model_, saved_model_;  // times that each record was applied
  States saved_states_;
};

}  // namespace headrace::ledger

#endif  // HEADRACE_LEDGER_SIMULATION_ORACLE_H_
