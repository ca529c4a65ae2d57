#include "trainer/shared/assignment.h"

#include <algorithm>
#include <deque>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tensorflow/core/framework/node_def_util.h"

namespace headrace::trainer {
namespace {

using ::tensorflow::Edge;
using ::tensorflow::Graph;
using ::tensorflow::Node;

// Step counters, learning rates: together, so that what is computed from them stays on one server.
constexpr std::int64_t kScalarBytes = 64;

// Union of what must lie together; named by its first member.
class Groups {
 public:
  const std::string& Of(const std::string& node) {
    auto [it, added] = parents_.emplace(node, node);
    if (it->second == node) return it->second;
    return it->second = Of(it->second);
  }
  void Join(const std::string& one, const std::string& other) {
    const std::string a = Of(one), b = Of(other);
    parents_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::map<std::string, std::string> parents_;
};

// What an update of `variable` is computed from: the nearest gradient, and reads of variables of
// its shape on the way there.
void JoinWhatUpdates(const SharedVariables& variables, const Node& update,
                     const SharedVariable& variable, Groups* groups) {
  std::deque<const Node*> open{&update};
  std::set<const Node*> seen;
  bool found = false;
  while (!open.empty()) {
    const Node* node = open.front();
    open.pop_front();
    for (const Edge* edge : node->in_edges()) {
      const Node* from = edge->src();
      if (edge->IsControlEdge() || !seen.insert(from).second) continue;
      if (IsGradient(*from)) {
        if (!std::exchange(found, true)) groups->Join(variable.node, from->name());
        continue;
      }
      if (from->type_string() == "ReadVariableOp") {
        const SharedVariable* read = VariableAt(variables, *from, 0);
        if (read != nullptr && read->shape == variable.shape) {
          groups->Join(variable.node, read->node);
        }
        continue;
      }
      open.push_back(from);
    }
  }
}

Groups FindGroups(const Graph& graph, const SharedVariables& variables) {
  Groups groups;
  for (const auto& [node, variable] : variables) groups.Of(node);
  for (const Node* node : graph.op_nodes()) {
    if (!Writes(variables, *node) || node->IsWhileNode() || node->IsIfNode() ||
        node->IsCaseNode()) {
      continue;
    }
    const std::vector<std::string> used = VariablesOf(variables, *node);
    for (const std::string& other : used) groups.Join(used.front(), other);
    if (!IsSparseUpdate(*node)) {
      JoinWhatUpdates(variables, *node, variables.at(used.front()), &groups);
    }
  }
  return groups;
}

// A use that knows rows by their numbers.
bool IsByRow(const Edge& use) {
  const Node& user = *use.dst();
  if (IsSparseUpdate(user)) return use.dst_input() >= 2;
  std::int64_t batch_dims = 0;
  return user.type_string() == "ResourceGather" &&
         (!tensorflow::TryGetNodeAttr(user.attrs(), "batch_dims", &batch_dims) || batch_dims == 0);
}

// Tables, with their slots, that may be cut.
std::set<std::string> FindTables(const Graph& graph, const SharedVariables& variables,
                                 Groups* groups) {
  std::set<std::string> tables, others;
  for (const Node* node : graph.op_nodes()) {
    const auto found = variables.find(node->name());
    if (found == variables.end()) continue;
    bool updated = false, by_row = found->second.shape.dims() > 0;
    for (const Edge* use : node->out_edges()) {
      if (use->IsControlEdge() || !use->dst()->IsOp()) continue;
      by_row &= IsByRow(*use);
      updated |= IsSparseUpdate(*use->dst());
    }
    const std::string& group = groups->Of(node->name());
    (by_row && updated ? tables : others).insert(group);
  }
  for (const std::string& group : others) tables.erase(group);
  return tables;
}

void Cut(int servers, SharedVariable* variable) {
  const std::int64_t rows = variable->shape.dim_size(0);
  const std::int64_t part = (rows + servers - 1) / servers;
  for (int server = 0; server < servers; ++server) {
    const std::int64_t begin = std::min(server * part, rows);
    variable->shards.push_back({absl::StrCat(variable->node, "/part_", server), server, begin,
                                std::min(part, rows - begin)});
  }
}

struct Group {
  std::int64_t bytes = 0;
  std::string name;
  std::vector<SharedVariable*> members;

  bool SameRows() const {
    return std::all_of(members.begin(), members.end(), [&](const SharedVariable* member) {
      return member->shape.dims() > 0 &&
             member->shape.dim_size(0) == members.front()->shape.dim_size(0);
    });
  }
};

// `all_bytes`: of all groups.
bool WorthCutting(const Group& group, std::int64_t all_bytes, int servers) {
  return servers > 1 && group.SameRows() && group.members.front()->shape.dim_size(0) >= servers &&
         group.members.front()->bytes() / servers >= kLeastShardBytes &&
         group.bytes >= all_bytes / servers / kWholeTablesPerShare;
}

}  // namespace

bool IsSparseUpdate(const Node& node) {
  return node.attrs().Find(kSparseUpdateAttr) != nullptr;
}

bool IsGradient(const Node& node) {
  return node.attrs().Find(kGradientAttr) != nullptr;
}

void AssignServers(const Graph& graph, int servers, SharedVariables* variables) {
  Groups groups = FindGroups(graph, *variables);
  const std::set<std::string> tables = FindTables(graph, *variables, &groups);
  std::map<std::string, Group> by_name;
  for (auto& [node, variable] : *variables) {
    Group& group = by_name[groups.Of(node)];
    group.name = groups.Of(node);
    group.bytes += variable.bytes();
    group.members.push_back(&variable);
  }
  std::vector<Group> sorted;
  std::int64_t all_bytes = 0;
  for (auto& [name, group] : by_name) {
    all_bytes += group.bytes;
    sorted.push_back(std::move(group));
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Group& a, const Group& b) { return a.bytes > b.bytes; });
  std::vector<std::int64_t> load(servers, 0);
  for (const Group& group : sorted) {
    if (tables.count(group.name) > 0 && WorthCutting(group, all_bytes, servers)) {
      for (SharedVariable* variable : group.members) Cut(servers, variable);
      for (std::int64_t& bytes : load) bytes += group.bytes / servers;
      continue;
    }
    int server = 0;
    if (group.bytes > kScalarBytes) {
      server = static_cast<int>(std::min_element(load.begin(), load.end()) - load.begin());
    }
    for (SharedVariable* variable : group.members) variable->server = server;
    load[server] += group.bytes;
  }
}

}  // namespace headrace::trainer
