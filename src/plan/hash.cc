#include "plan/hash.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace headrace::plan {
namespace {

// Every item goes in with its length or as eight bytes, so that no two sequences look the same.
class Hasher {
 public:
  explicit Hasher(const Graph& graph) : graph_(graph) {}

  void Add(const std::string& text) {
    Add(static_cast<std::int64_t>(text.size()));
    for (char c : text) Byte(static_cast<unsigned char>(c));
  }
  void Add(std::int64_t value) {
    for (int shift = 0; shift < 64; shift += 8)
      Byte((static_cast<std::uint64_t>(value) >> shift) & 255);
  }
  void Add(double value) {
    std::int64_t bits;
    static_assert(sizeof(bits) == sizeof(value));
    std::memcpy(&bits, &value, sizeof(bits));
    Add(bits);
  }
  void Add(const Endpoint& endpoint) {
    Add(graph_.nodes[endpoint.node].name);
    Add(std::int64_t{endpoint.output});
  }
  void AddNames(const std::vector<int>& nodes) {
    Add(static_cast<std::int64_t>(nodes.size()));
    for (int n : nodes) Add(graph_.nodes[n].name);
  }
  void AddNodes(const std::vector<int>& nodes) {
    Add(static_cast<std::int64_t>(nodes.size()));
    for (int n : nodes) AddNode(graph_.nodes[n]);
  }

  std::string Hex() const {
    char text[17];
    std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(hash_));
    return text;
  }

 private:
  void AddNode(const Node& node) {
    Add(node.name);
    Add(node.op);
    Add(node.device);
    Add(static_cast<std::int64_t>(node.inputs.size()));
    for (const Endpoint& in : node.inputs) Add(in);
    std::vector<std::string> controls;
    for (int in : node.control_inputs) controls.push_back(graph_.nodes[in].name);
    std::sort(controls.begin(), controls.end());
    Add(static_cast<std::int64_t>(controls.size()));
    for (const std::string& control : controls) Add(control);
  }

  void Byte(unsigned char byte) { hash_ = (hash_ ^ byte) * 0x100000001b3u; }

  const Graph& graph_;
  std::uint64_t hash_ = 0xcbf29ce484222325u;
};

}  // namespace

std::string PlanHash(const Graph& graph, const PlanOptions& options,
                     const std::vector<Stage>& stages) {
  Hasher hasher(graph);
  hasher.Add(std::int64_t{options.fetches_unknown});
  hasher.Add(std::int64_t{options.grow});
  hasher.Add(static_cast<std::int64_t>(options.cut));
  hasher.Add(options.cost.per_crossing_tensor);
  hasher.Add(options.cost.per_crossing_kilobyte);
  hasher.Add(static_cast<std::int64_t>(stages.size()));
  for (const Stage& stage : stages) {
    hasher.Add(stage.name);
    hasher.Add(std::int64_t{stage.mark});
    hasher.Add(stage.device);
    hasher.AddNodes(stage.sources);
    hasher.AddNodes(stage.draws);
    hasher.AddNodes(stage.body);
    hasher.AddNodes(stage.constants);
    hasher.AddNodes(stage.recomputed);
    hasher.AddNames(stage.removed);
    hasher.Add(static_cast<std::int64_t>(stage.args.size()));
    for (const Endpoint& arg : stage.args) hasher.Add(arg);
    hasher.Add(static_cast<std::int64_t>(stage.outputs.size()));
    for (const Crossing& crossing : stage.outputs) {
      hasher.Add(crossing.from);
      hasher.Add(std::int64_t{crossing.keeps_name});
    }
  }
  return hasher.Hex();
}

}  // namespace headrace::plan
