#include <algorithm>
#include <map>
#include <numeric>
#include <sstream>

#include "plan/accelerators.h"
#include "plan/plan.h"

namespace headrace::plan {
namespace {

std::string Count(std::size_t n, const std::string& what, const std::string& plural = "") {
  return std::to_string(n) + " " + (n == 1 ? what : plural.empty() ? what + "s" : plural);
}

std::string Bytes(std::int64_t bytes) {
  if (bytes < 0) return "? bytes";
  constexpr std::int64_t kKiB = 1024, kMiB = 1024 * kKiB;
  if (bytes < 10 * kKiB) return std::to_string(bytes) + " bytes";
  if (bytes < 10 * kMiB) return std::to_string(bytes / kKiB) + " KiB";
  return std::to_string(bytes / kMiB) + " MiB";
}

class TextWriter {
 public:
  TextWriter(const Graph& graph, const StagePlan& plan)
      : graph_(graph), plan_(plan), accelerators_(graph, plan) {}

  std::string Run() {
    std::size_t staged = 0;
    for (const Stage& stage : plan_.stages) {
      staged += stage.sources.size() + stage.draws.size() + stage.body.size();
    }
    out_ << Count(plan_.stages.size(), "stage") << ", " << Count(graph_.nodes.size(), "node")
         << ", " << staged << " of them staged (plan " << plan_.hash << ")\n";
    for (const Stage& stage : plan_.stages) WriteStage(stage);
    WriteLeftOut();
    return out_.str();
  }

 private:
  // The JSON has all of them.
  static constexpr std::size_t kNamed = 5;  // of a list of constants or of nodes left out
  static constexpr std::size_t kRoots = 8;  // paragraphs for one reason

  const std::string& Name(int n) const { return graph_.nodes[n].name; }

  void WriteStage(const Stage& stage) {
    out_ << "\nstage '" << stage.name << "'";
    if (!stage.device.empty()) out_ << " on " << stage.device;
    if (stage.mark >= 0) out_ << " (tf.staged group " << stage.mark << ")";
    out_ << "\n";
    WriteNodes("reads", stage.sources);
    WriteNodes("draws", stage.draws);
    WriteNodes("runs ahead", stage.body);
    if (stage.body.empty()) {
      out_ << "  the body is empty: num_threads has no effect\n";
    }
    if (!stage.constants.empty()) {
      out_ << "  copies " << Count(stage.constants.size(), "constant") << Few(stage.constants)
           << "\n";
    }
    for (const Endpoint& arg : stage.args) {
      out_ << "  takes the handle " << Name(arg.node) << ":" << arg.output << "\n";
    }
    WriteNodes("computed in the main graph", stage.recomputed);
    WriteCrossing(stage);
  }

  void WriteNodes(const char* what, const std::vector<int>& nodes) {
    if (nodes.empty()) return;
    out_ << "  " << what << " (" << Count(nodes.size(), "node") << "):\n";
    for (int n : nodes) out_ << "    " << Name(n) << "  " << graph_.nodes[n].op << "\n";
  }

  void WriteCrossing(const Stage& stage) {
    std::int64_t known = 0;
    bool all_known = true;
    for (const Crossing& crossing : stage.outputs) {
      const std::int64_t bytes = Info(crossing).bytes;
      if (bytes >= 0) known += bytes;
      all_known &= bytes >= 0;
    }
    out_ << "  crosses (" << Count(stage.outputs.size(), "tensor") << ", "
         << (all_known ? "" : "at least ") << Bytes(known) << "):\n";
    for (const Crossing& crossing : stage.outputs) {
      const OutputInfo& info = Info(crossing);
      out_ << "    " << Name(crossing.from.node) << ":" << crossing.from.output << "  "
           << info.dtype << " " << info.shape << "  " << Bytes(info.bytes)
           << (crossing.keeps_name ? "  keeps its name" : "  cannot be fed or fetched");
      for (const std::string& device : accelerators_.Taking(crossing.from)) {
        out_ << "  copied to " << device;
      }
      out_ << "\n";
    }
  }

  const OutputInfo& Info(const Crossing& crossing) const {
    return graph_.nodes[crossing.from.node].outputs[crossing.from.output];
  }

  // One paragraph for each node that blocks by itself, with what hangs on it; paragraphs by code,
  // those that block most first. Constants and handles are counted only.
  void WriteLeftOut() {
    std::vector<int> by_name(graph_.nodes.size());
    std::iota(by_name.begin(), by_name.end(), 0);
    std::sort(by_name.begin(), by_name.end(), [&](int a, int b) { return Name(a) < Name(b); });
    struct Group {
      int root;
      std::vector<int> nodes;
    };
    std::map<ReasonCode, std::map<std::string, Group>> groups;
    std::map<int, std::vector<int>> hangs_on;
    std::size_t constants = 0, left_out = 0;
    for (int n : by_name) {
      const Reason& reason = plan_.reasons[n];
      if (reason.code == ReasonCode::kNone || reason.code == ReasonCode::kCheapToRecompute)
        continue;
      if (reason.code == ReasonCode::kMainInput) {
        ++constants;
        continue;
      }
      ++left_out;
      if (Inherited(n)) {
        hangs_on[reason.ancestor].push_back(n);
      } else {
        groups[reason.code][Name(n)] = {n, {}};
      }
    }
    // Handles and kept sources block others without being left out themselves.
    for (auto& [root, nodes] : hangs_on) {
      groups[plan_.reasons[root].code][Name(root)] = {root, std::move(nodes)};
    }
    out_ << "\nnot staged: " << Count(left_out, "node") << ", besides "
         << Count(constants, "constant or handle", "constants and handles") << "\n";
    for (const auto& [code, by_root] : groups) {
      std::vector<const Group*> sorted;
      for (const auto& entry : by_root) sorted.push_back(&entry.second);
      std::stable_sort(sorted.begin(), sorted.end(), [](const Group* a, const Group* b) {
        return a->nodes.size() > b->nodes.size();
      });
      out_ << "  " << ReasonCodeName(code) << ":\n";
      for (std::size_t i = 0; i < sorted.size() && i < kRoots; ++i) {
        WriteGroup(sorted[i]->root, sorted[i]->nodes);
      }
      if (sorted.size() > kRoots) WriteRest(sorted.begin() + kRoots, sorted.end());
    }
  }

  // The node is left out because of its ancestor only.
  bool Inherited(int n) const {
    const Reason& reason = plan_.reasons[n];
    const bool inherits = reason.code == ReasonCode::kBlockedInput ||
                          reason.code == ReasonCode::kBlockedControl ||
                          reason.code == ReasonCode::kKept;
    return inherits && reason.ancestor >= 0 && reason.ancestor != n;
  }

  template <typename Iterator>
  void WriteRest(Iterator begin, Iterator end) {
    std::size_t roots = 0, nodes = 0;
    for (; begin != end; ++begin, ++roots) nodes += (*begin)->nodes.size();
    out_ << "    and " << roots << " more for this reason";
    if (nodes > 0) out_ << ", with " << Count(nodes, "node") << " that depend on them";
    out_ << "\n";
  }

  void WriteGroup(int root, const std::vector<int>& nodes) {
    out_ << "    " << plan_.reasons[root].text << "\n";
    if (nodes.empty()) return;
    out_ << "      and with it " << Count(nodes.size(), "node") << Few(nodes) << "\n";
  }

  // ": a, b, ..."
  std::string Few(const std::vector<int>& nodes) const {
    std::string text;
    for (std::size_t i = 0; i < nodes.size() && i < kNamed; ++i) {
      text += (i > 0 ? ", " : ": ") + Name(nodes[i]);
    }
    return nodes.size() > kNamed ? text + ", ..." : text;
  }

  const Graph& graph_;
  const StagePlan& plan_;
  const Accelerators accelerators_;
  std::ostringstream out_;
};

}  // namespace

std::string ExplainText(const Graph& graph, const StagePlan& plan) {
  return TextWriter(graph, plan).Run();
}

}  // namespace headrace::plan
