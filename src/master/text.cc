#include "master/text.h"

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include <iterator>
#include <set>

namespace headrace::master {
namespace {

constexpr int kMostRounds = 5;  // of evaluation, that are shown to people

template <class Repeated>
std::string Ranges(const Repeated& ranges) {
  std::string text;
  for (const v1::Range& range : ranges) {
    text += fmt::format("{}[{}, {})", text.empty() ? "" : " ", range.begin(), range.end());
  }
  return text;
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

// The first line of what may be pages of an error.
std::string FirstLine(const std::string& text) {
  const std::size_t end = text.find('\n');
  if (end == std::string::npos) return text;
  const std::size_t last = text.find_last_not_of(": ", end - 1);
  return text.substr(0, last == std::string::npos ? 0 : last + 1) + " ... (more in its log)";
}

std::string Text(const v1::Totals& totals) {
  std::string text = fmt::format("records  {} of {}\n",
                                 Outcomes(totals.trained(), totals.filtered(), totals.dropped(),
                                          totals.quarantined(), totals.pending()),
                                 totals.records());
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
    text +=
        fmt::format("metric   {} = {} (step {})\n", metric.name(), metric.value(), metric.step());
  }
  return text;
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
  text += fmt::format("step     {} ({:.1f} steps/s, {:.0f} records/s), epoch {} of {}\n",
                      status.step(), status.steps_per_s(), status.records_per_s(),
                      status.epoch() + 1, status.epochs());
  text += Text(status.totals());
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
    if (worker.restarts() > 0) text += fmt::format(", {} restarts", worker.restarts());
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

std::string Text(const v1::Ledger& ledger) {
  std::string text = fmt::format("verdict  {}\n", ledger.verdict()) + Text(ledger.totals());
  for (const v1::FileCoverage& file : ledger.files()) {
    text += fmt::format("epoch {}  {}: {} of {}\n", file.epoch() + 1, file.path(),
                        Outcomes(file.trained(), file.filtered(), file.dropped(),
                                 file.quarantined(), file.pending()),
                        file.records());
    if (file.possibly_repeated_size() > 0) {
      text += fmt::format("         possibly repeated: {}\n", Ranges(file.possibly_repeated()));
    }
    if (file.trained_before_rewind_size() > 0) {
      text += fmt::format("         trained before a rewind too: {}\n",
                          Ranges(file.trained_before_rewind()));
    }
  }
  for (const v1::Quarantined& bad : ledger.quarantine()) {
    const std::string at = bad.offset() < 0 ? "" : fmt::format(" at byte {}", bad.offset());
    text += fmt::format("bad      {} record {}{} (epoch {}{}): {}\n", bad.path(), bad.index(), at,
                        bad.epoch() + 1, bad.evaluation() ? ", evaluation" : "", bad.error());
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
