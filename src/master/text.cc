#include "master/text.h"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <iterator>
#include <set>

namespace headrace::master {
namespace {

constexpr int kMostRounds = 5;  // of evaluation, that are shown to people
constexpr int kMostRanges = 8;  // of one file and epoch
constexpr int kMostBad = 20;    // records in quarantine

// No two of them touch. `all`: however many there are.
template <class Repeated>
std::string Ranges(const Repeated& ranges, bool all) {
  const int shown = all ? ranges.size() : std::min(ranges.size(), kMostRanges);
  std::int64_t records = 0;
  std::string text;
  for (int i = 0; i < ranges.size(); ++i) {
    records += ranges[i].end() - ranges[i].begin();
    if (i < shown) text += fmt::format(" [{}, {})", ranges[i].begin(), ranges[i].end());
  }
  if (shown < ranges.size()) {
    text += fmt::format(" and {} more ranges (--all prints them)", ranges.size() - shown);
  }
  return fmt::format("{} record{}:", records, records == 1 ? "" : "s") + text;
}

std::string Outcomes(std::int64_t trained, std::int64_t filtered,
                     const google::protobuf::Map<std::string, std::int64_t>& dropped,
                     std::int64_t quarantined, std::int64_t pending) {
  std::string text = fmt::format("{} done", trained);
  if (filtered > 0) text += fmt::format(", {} filtered", filtered);
  for (const auto& [op, count] : dropped) text += fmt::format(", {} dropped by {}", count, op);
  if (quarantined > 0) text += fmt::format(", {} in quarantine", quarantined);
  if (pending > 0) text += fmt::format(", {} to do", pending);
  return text;
}

// The first line of what may be pages of an error. `rest`: where they are.
std::string FirstLine(const std::string& text, const char* rest = "more in its log") {
  const std::size_t end = text.find('\n');
  if (end == std::string::npos) return text;
  const std::size_t last = text.find_last_not_of(": ", end - 1);
  return fmt::format("{} ... ({})", text.substr(0, last == std::string::npos ? 0 : last + 1), rest);
}

std::string Text(const v1::Totals& totals) {
  std::string text = fmt::format("records  {} of {}\n",
                                 Outcomes(totals.trained(), totals.filtered(), totals.dropped(),
                                          totals.quarantined(), totals.pending()),
                                 totals.records());
  if (totals.quarantined_in_evaluation() > 0) {
    text += fmt::format("         {} in quarantine, of the evaluation's data\n",
                        totals.quarantined_in_evaluation());
  }
  if (totals.possibly_repeated() > 0) {
    text += fmt::format("         {} possibly repeated\n", totals.possibly_repeated());
  }
  if (totals.trained_before_rewind() > 0) {
    text +=
        fmt::format("         {} trained before a rewind too\n", totals.trained_before_rewind());
  }
  return text;
}

// Of the last evaluations; --format json has them all.
std::string LastMetrics(const v1::JobStatus& status) {
  std::set<std::int64_t> rounds;
  for (const v1::Metric& metric : status.metrics()) rounds.insert(metric.round());
  std::string text;
  if (rounds.size() > kMostRounds) {
    text = fmt::format("metric   of {} evaluations, the last {}:\n", rounds.size(), kMostRounds);
    rounds.erase(rounds.begin(), std::prev(rounds.end(), kMostRounds));
  }
  for (const v1::Metric& metric : status.metrics()) {
    if (rounds.count(metric.round()) == 0) continue;
    // Nobody knows the step of a SavedModel that was given to be evaluated.
    const bool known = metric.step() != 0 || status.type() != "evaluation-only";
    text += fmt::format("metric   {} = {}{}\n", metric.name(), metric.value(),
                        known ? fmt::format(" (step {})", metric.step()) : "");
  }
  return text;
}

// How far it is, and how fast it goes while it runs.
std::string HowFar(const v1::JobStatus& status) {
  const bool runs = status.verdict() == "running";
  const std::string epoch = fmt::format(", epoch {} of {}\n", status.epoch() + 1, status.epochs());
  if (status.own_program()) {
    std::int64_t handed_out = 0, committed = 0;
    for (const v1::WorkerStatus& worker : status.workers()) {
      handed_out += worker.telemetry().handed_out();
      committed += worker.telemetry().records();
    }
    std::string text =
        fmt::format("program  {} records handed out, {} committed", handed_out, committed);
    if (runs) text += fmt::format(" ({:.0f} records/s)", status.records_per_s());
    return text + epoch;
  }
  if (status.type() == "evaluation-only" || status.type() == "prediction-only") {
    return runs ? fmt::format("speed    {:.0f} records/s\n", status.records_per_s()) : "";
  }
  std::string text = fmt::format("step     {}", status.step());
  if (runs) {
    text += fmt::format(" ({:.1f} steps/s, {:.0f} records/s)", status.steps_per_s(),
                        status.records_per_s());
  }
  return text + epoch;
}

std::string Text(const v1::ServerStatus& server) {
  const auto seconds = [](std::int64_t ms) { return static_cast<double>(ms) / 1000; };
  std::string text = fmt::format("server   {}: {}", server.address(), server.state());
  if (server.state() != "unknown")
    text += fmt::format(" since {:.1f} s", seconds(server.state_ms()));
  if (!server.why().empty()) text += fmt::format(" ({})", server.why());
  if (!server.waits_for().empty()) {
    text += fmt::format(", waits for {} since {:.1f} s", server.waits_for(),
                        seconds(server.waiting_ms()));
  } else if (server.generation() != 0) {
    text += fmt::format(", serves the model (generation {})", server.generation());
  }
  return text + "\n";
}

}  // namespace

std::string Text(const v1::JobStatus& status) {
  std::string text =
      fmt::format("job      {} ({}): {}\n", status.job(), status.type(), status.verdict());
  if (!status.failure().empty()) {
    text += fmt::format("failure  {}\n", status.failure());
  } else if (!status.trouble().empty()) {
    text += fmt::format("failed   and tried again: {}\n", FirstLine(status.trouble()));
  }
  text += HowFar(status) + Text(status.totals());
  if (!status.waits_for().empty()) {
    text += fmt::format("waits    for {}, since {:.1f} s\n", status.waits_for(),
                        static_cast<double>(status.waiting_ms()) / 1000);
  }
  for (const v1::WorkerStatus& worker : status.workers()) {
    text += fmt::format("worker   {} ({}:{}): {}", worker.name(), worker.host(), worker.pid(),
                        worker.state());
    if (!worker.waits_for().empty()) {
      text += fmt::format(", waits for {} since {:.1f} s", worker.waits_for(),
                          static_cast<double>(worker.waiting_ms()) / 1000);
    }
    text += fmt::format(", {} leases", worker.leases());
    if (worker.restarts() > 0) {
      text += fmt::format(", {} restart{}", worker.restarts(), worker.restarts() == 1 ? "" : "s");
    }
    if (!worker.last_exit().empty())
      text += fmt::format(", last exit: {}", FirstLine(worker.last_exit()));
    text += "\n";
  }
  for (const v1::ServerStatus& server : status.servers()) text += Text(server);
  if (!status.last_checkpoint().empty()) {
    text += fmt::format("saved    {} (step {}, {} ms)\n", status.last_checkpoint(),
                        status.checkpoint_step(), status.checkpoint_pause_ms());
  }
  for (const v1::Rewind& rewind : status.rewinds()) {
    text += fmt::format(
        "lost     the model, which went back to step {}: nothing trained for {:.1f} s\n",
        rewind.step(), static_cast<double>(rewind.pause_ms()) / 1000);
  }
  text += LastMetrics(status);
  if (!status.model().empty()) text += fmt::format("model    {}\n", status.model());
  return text;
}

std::string Text(const v1::Ledger& ledger, bool all) {
  std::string text = fmt::format("verdict  {}\n", ledger.verdict()) + Text(ledger.totals());
  for (const v1::FileCoverage& file : ledger.files()) {
    text += fmt::format("epoch {}  {}: {} of {}\n", file.epoch() + 1, file.path(),
                        Outcomes(file.trained(), file.filtered(), file.dropped(),
                                 file.quarantined(), file.pending()),
                        file.records());
    if (file.possibly_repeated_size() > 0) {
      text +=
          fmt::format("         possibly repeated: {}\n", Ranges(file.possibly_repeated(), all));
    }
    if (file.trained_before_rewind_size() > 0) {
      text += fmt::format("         trained before a rewind too: {}\n",
                          Ranges(file.trained_before_rewind(), all));
    }
  }
  const int shown = all ? ledger.quarantine_size() : std::min(ledger.quarantine_size(), kMostBad);
  for (int i = 0; i < shown; ++i) {
    const v1::Quarantined& bad = ledger.quarantine(i);
    const std::string at = bad.offset() < 0 ? "" : fmt::format(" at byte {}", bad.offset());
    text += fmt::format("bad      {} record {}{} (epoch {}{}): {}\n", bad.path(), bad.index(), at,
                        bad.epoch() + 1, bad.evaluation() ? ", evaluation" : "",
                        all ? bad.error() : FirstLine(bad.error(), "--all prints it"));
  }
  if (shown < ledger.quarantine_size()) {
    text += fmt::format("bad      and {} more records (--all prints them)\n",
                        ledger.quarantine_size() - shown);
  }
  return text;
}

std::string Json(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  return (status.ok() ? text : std::string("{}")) + "\n";
}

}  // namespace headrace::master
