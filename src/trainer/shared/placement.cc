#include "trainer/shared/placement.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tensorflow/core/graph/algorithm.h"
#include "tensorflow/core/util/device_name_utils.h"
#include "trainer/cluster.h"
#include "trainer/shared/assignment.h"
#include "trainer/shared/graph_edit.h"

namespace headrace::trainer {
namespace {

using ::tensorflow::Edge;
using ::tensorflow::Graph;
using ::tensorflow::Node;

constexpr int kNowhere = -2;

bool IsPinned(const Node& node) {
  return ServerOf(node) != kWorker;
}

// The server of the first update that comes of this gradient, by data. kNowhere: there is none, or
// the first is sparse, and has the servers of its rows.
int ServerOfUpdate(const SharedVariables& variables, const NodeSet& arrivals,
                   const Node& gradient) {
  std::deque<const Node*> open{&gradient};
  NodeSet seen;
  while (!open.empty()) {
    const Node* node = open.front();
    open.pop_front();
    std::set<std::pair<std::string, const Node*>> next;  // by name: always the same order
    for (const Edge* edge : node->out_edges()) {
      if (!edge->IsControlEdge() && edge->dst()->IsOp()) {
        next.emplace(edge->dst()->name(), edge->dst());
      }
    }
    for (const auto& [name, user] : next) {
      if (Writes(variables, *user)) return ServerOf(*user);
      if (arrivals.count(user) > 0) return kNowhere;
      if (!IsPinned(*user) && !IsGradient(*user) && seen.insert(user).second) open.push_back(user);
    }
  }
  return kNowhere;
}

class Placer {
 public:
  Placer(const NodeSet& before, Graph* graph) : before_(before), graph_(*graph) {}

  void Run() {
    std::vector<Node*> order;
    // Users first; by name, so that every process of a job finds the same.
    tensorflow::GetPostOrder(graph_, &order, tensorflow::NodeComparatorName());
    for (Node* node : order) FindUsers(*node);
    std::reverse(order.begin(), order.end());
    for (Node* node : order) {
      if (!node->IsOp()) continue;
      Place(node);
      node->ClearAttr(tensorflow::kColocationAttrName);  // it may name what is elsewhere now
    }
    CopyConstants();
    WaitForOne();
  }

 private:
  // GetPostOrder() gives a node after all that it feeds.
  void FindUsers(const Node& node) {
    std::set<int>& servers = updates_[&node];
    for (const Edge* edge : node.out_edges()) {
      const Node* user = edge->dst();
      if (edge->IsControlEdge() || !user->IsOp()) continue;
      if (IsPinned(*user)) {
        if (!OnlyReads(*user)) servers.insert(ServerOf(*user));
      } else {
        const auto found = updates_.find(user);
        if (found != updates_.end()) servers.insert(found->second.begin(), found->second.end());
      }
    }
  }

  void Place(Node* node) {
    if (IsPinned(*node)) return;
    const std::set<int>& servers = updates_[node];
    const bool stays = servers.empty() || before_.count(node) > 0 || node->op_def().is_stateful();
    if (stays) {
      ToWorker(node);
      return;
    }
    const int server = servers.size() == 1 ? *servers.begin() : WhereInputsAre(*node);
    node->set_requested_device(Cluster::ServerDevice(server));
  }

  // What several servers need is made where its inputs are, else on the first.
  int WhereInputsAre(const Node& node) const {
    int server = kNowhere;
    for (const Edge* edge : node.in_edges()) {
      if (edge->IsControlEdge() || edge->src()->IsConstant()) continue;
      const int from = ServerOf(*edge->src());
      if (from == kWorker || (server != kNowhere && server != from)) return 0;
      server = from;
    }
    return server == kNowhere ? 0 : server;
  }

  // A device that the model asked for stays; the process is this one.
  static void ToWorker(Node* node) {
    tensorflow::DeviceNameUtils::ParsedName name, worker;
    tensorflow::DeviceNameUtils::ParseFullName(node->requested_device(), &name);
    tensorflow::DeviceNameUtils::ParseFullName(Cluster::WorkerDevice(), &worker);
    name.has_job = true;
    name.job = worker.job;
    name.has_replica = name.has_task = false;
    node->set_requested_device(tensorflow::DeviceNameUtils::ParsedNameToString(name));
  }

  static std::string TaskOf(const Node& node) {
    const int server = ServerOf(node);
    return server == kWorker ? "worker" : absl::StrCat("server_", server);
  }

  void CopyConstants() {
    std::vector<Node*> constants;
    for (Node* node : graph_.op_nodes()) {
      if (node->IsConstant()) constants.push_back(node);
    }
    for (Node* constant : constants) {
      std::map<std::string, Node*> copies;
      const std::vector<const Edge*> edges(constant->out_edges().begin(),
                                           constant->out_edges().end());
      for (const Edge* edge : edges) {
        const Node& user = *edge->dst();
        if (edge->IsControlEdge() || !user.IsOp() || TaskOf(user) == TaskOf(*constant)) continue;
        Node*& copy = copies[TaskOf(user)];
        if (copy == nullptr) copy = Copy(*constant, user);
        graph_.UpdateEdge(copy, edge->src_output(), edge->dst(), edge->dst_input()).IgnoreError();
      }
    }
  }

  Node* Copy(const Node& constant, const Node& user) {
    tensorflow::NodeDef def = constant.def();
    def.set_name(graph_.NewName(absl::StrCat(constant.name(), "/", TaskOf(user))));
    def.clear_input();
    const int server = ServerOf(user);
    def.set_device(server == kWorker ? Cluster::WorkerDevice() : Cluster::ServerDevice(server));
    absl::Status status;
    return graph_.AddNode(def, &status);  // a copy of a node is a node
  }

  // Each wait across processes is a message.
  void WaitForOne() {
    std::vector<Node*> nodes(graph_.op_nodes().begin(), graph_.op_nodes().end());
    for (Node* node : nodes) {
      std::map<std::string, std::vector<const Edge*>> waits;
      for (const Edge* edge : node->in_edges()) {
        if (edge->IsControlEdge() && edge->src()->IsOp() && TaskOf(*edge->src()) != TaskOf(*node)) {
          waits[TaskOf(*edge->src())].push_back(edge);
        }
      }
      for (const auto& [task, edges] : waits) {
        if (edges.size() < 2) continue;
        GraphEdit edit(node->name() + "/headrace/after_", &graph_);
        edit.On(edges.front()->src()->requested_device());
        std::vector<Node*> sources;
        for (const Edge* edge : edges) sources.push_back(edge->src());
        Node* all = edit.Add(task, "NoOp", {}, {}, sources);
        if (all == nullptr) continue;
        for (const Edge* edge : edges) graph_.RemoveControlEdge(edge);
        graph_.AddControlEdge(all, node);
      }
    }
  }

  const NodeSet& before_;
  Graph& graph_;
  std::unordered_map<const Node*, std::set<int>> updates_;  // servers that need what it gives
};

}  // namespace

int ServerOf(const Node& node) {
  tensorflow::DeviceNameUtils::ParsedName name;
  if (!tensorflow::DeviceNameUtils::ParseFullName(node.requested_device(), &name)) return kWorker;
  return name.has_job && name.job == "ps" ? name.task : kWorker;
}

void PinToVariables(const SharedVariables& variables, Graph* graph, Arrivals* arrivals) {
  for (Node* node : graph->op_nodes()) {
    const Node* const handle = IsPinned(*node) ? nullptr : HandleOf(*node);
    if (handle != nullptr) node->set_requested_device(handle->requested_device());
  }
  NodeSet sparse;
  for (const auto& [server, nodes] : *arrivals) sparse.insert(nodes.begin(), nodes.end());
  std::map<std::string, Node*> gradients;
  for (Node* node : graph->op_nodes()) {
    if (IsGradient(*node) && !IsPinned(*node)) gradients.emplace(node->name(), node);
  }
  for (const auto& [name, gradient] : gradients) {
    const int server = ServerOfUpdate(variables, sparse, *gradient);
    if (server == kNowhere || server == kWorker) continue;
    gradient->set_requested_device(Cluster::ServerDevice(server));
    (*arrivals)[server].push_back(gradient);
  }
}

NodeSet BeforeArrivals(const Arrivals& arrivals) {
  NodeSet before;
  std::vector<const Node*> open;
  for (const auto& [server, nodes] : arrivals) {
    for (const Node* node : nodes) {
      if (before.insert(node).second) open.push_back(node);
    }
  }
  while (!open.empty()) {
    const Node* node = open.back();
    open.pop_back();
    for (const Edge* edge : node->in_edges()) {
      if (edge->src()->IsOp() && before.insert(edge->src()).second) open.push_back(edge->src());
    }
  }
  return before;
}

void Place(const NodeSet& before, Graph* graph) {
  Placer(before, graph).Run();
}

}  // namespace headrace::trainer
