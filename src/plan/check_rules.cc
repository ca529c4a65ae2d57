#include <algorithm>
#include <unordered_map>

#include "plan/check_context.h"
#include "plan/dependency_sets.h"

namespace headrace::plan {
namespace {

bool CrossesAny(const CheckContext& context, int n) {
  const std::vector<bool>& crosses = context.crosses[n];
  return std::find(crosses.begin(), crosses.end(), true) != crosses.end();
}

void CheckOneRead(CheckContext& context) {
  std::unordered_map<std::string, int> reader;
  for (int n : context.index.order()) {
    const Node& node = context.node(n);
    if (node.trait != Trait::kSource || node.resource.empty()) continue;
    const auto [it, first] = reader.emplace(node.resource, n);
    if (first) continue;
    if (context.stage_of[n] >= 0 || context.stage_of[it->second] >= 0) {
      context.Broken(context.Name(it->second) + " and " + context.Name(n) +
                     " read the same resource, and one of them is staged");
    }
  }
}

// Everything that leaves a stage is taken together with one element of each of its sources.
class DependencyCheck {
 public:
  explicit DependencyCheck(CheckContext& context)
      : c_(context), element_(context.graph.nodes.size(), -1), sets_(Universe()) {}

  void Run() {
    std::vector<int> deps(c_.graph.nodes.size(), DependencySets::kEmpty);
    for (int n : c_.index.order()) {
      if (c_.stage_of[n] < 0) continue;
      int set = element_[n] >= 0 ? sets_.Singleton(element_[n]) : DependencySets::kEmpty;
      for (const Endpoint& in : c_.node(n).inputs) set = sets_.Union(set, deps[in.node]);
      for (int in : c_.node(n).control_inputs) set = sets_.Union(set, deps[in]);
      deps[n] = set;
      if (Leaves(n)) CheckSet(n, set);
    }
  }

 private:
  int Universe() {
    std::size_t largest = 0;
    for (const Stage& stage : c_.plan.stages) {
      for (std::size_t i = 0; i < stage.sources.size(); ++i) {
        element_[stage.sources[i]] = static_cast<int>(i);
      }
      largest = std::max(largest, stage.sources.size());
    }
    return static_cast<int>(largest);
  }

  bool Leaves(int n) const {
    if (CrossesAny(c_, n)) return true;
    if (c_.recomputed[n]) return false;
    for (const Use& use : c_.index.uses(n)) {
      const bool main = c_.InMain(use.node) && !c_.Dead(use.node);
      if (use.output == Use::kControl && main) return true;
    }
    return false;
  }

  void CheckSet(int n, int set) {
    const std::string& stage = c_.plan.stages[c_.stage_of[n]].name;
    if (set == DependencySets::kEmpty) {
      c_.Broken(c_.Name(n) + " leaves stage '" + stage + "', but depends on random ops only");
    } else if (c_.options.fetches_unknown &&
               sets_.Size(set) != c_.plan.stages[c_.stage_of[n]].sources.size()) {
      c_.Broken(c_.Name(n) + " leaves stage '" + stage +
                "', but does not depend on all of its sources");
    }
  }

  CheckContext& c_;
  std::vector<int> element_;  // position of a source in its stage
  DependencySets sets_;
};

void CheckMarks(CheckContext& context) {
  std::vector<bool> above(context.graph.nodes.size(), 0);
  std::vector<int> worklist;
  for (int n : context.index.order()) {
    if (context.node(n).mark >= 0) above[n] = 1, worklist.push_back(n);
  }
  const bool any_mark = !worklist.empty();
  while (!worklist.empty()) {
    const Node& node = context.node(worklist.back());
    worklist.pop_back();
    const auto visit = [&](int n) {
      if (!above[n]) above[n] = 1, worklist.push_back(n);
    };
    for (const Endpoint& in : node.inputs) visit(in.node);
    for (int in : node.control_inputs) visit(in);
  }
  for (const Stage& stage : context.plan.stages) {
    int lowest = -1;
    for (const std::vector<int>* list : {&stage.body, &stage.recomputed}) {
      for (int n : *list) {
        const int mark = context.node(n).mark;
        if (mark >= 0 && (lowest < 0 || mark < lowest)) lowest = mark;
      }
    }
    if (stage.mark != lowest) context.Broken("stage '" + stage.name + "' has a wrong mark");
    if (any_mark && lowest < 0) context.Broken("stage '" + stage.name + "' contains no mark");
    if (context.options.grow) continue;
    for (const std::vector<int>* list : {&stage.sources, &stage.draws, &stage.body}) {
      for (int n : *list) {
        if (!above[n]) context.Broken(context.Name(n) + " is staged past the marks");
      }
    }
  }
}

void CheckTargets(CheckContext& context) {
  std::vector<bool> below(context.graph.nodes.size(), 0);
  std::vector<int> worklist;
  for (int n : context.index.order()) {
    if (context.node(n).target) below[n] = 1, worklist.push_back(n);
  }
  while (!worklist.empty()) {
    const int n = worklist.back();
    worklist.pop_back();
    if (context.stage_of[n] >= 0) context.Broken(context.Name(n) + " is staged below a target");
    for (const Use& use : context.index.uses(n)) {
      if (!below[use.node]) below[use.node] = 1, worklist.push_back(use.node);
    }
  }
  for (const Stage& stage : context.plan.stages) {
    for (const Endpoint& arg : stage.args) {
      if (below[arg.node]) {
        context.Broken("stage '" + stage.name + "' takes " + context.Name(arg.node) +
                       " from below a target");
      }
    }
  }
}

// A tensor keeps its name if feeding it changes nothing but its users in the main graph.
void CheckKeptNames(CheckContext& context) {
  std::vector<bool> above(context.graph.nodes.size(), 0);  // of another crossing tensor
  const std::vector<int>& order = context.index.order();
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    if (context.stage_of[*it] < 0) continue;
    for (const Use& use : context.index.uses(*it)) {
      if (use.output == Use::kControl || context.stage_of[use.node] < 0) continue;
      if (above[use.node] || CrossesAny(context, use.node)) above[*it] = true;
    }
  }
  for (const Stage& stage : context.plan.stages) {
    for (const Crossing& crossing : stage.outputs) {
      const int n = crossing.from.node;
      bool exact = !above[n];
      for (const bool crosses : context.crosses[n]) exact &= crosses;
      if (exact != crossing.keeps_name) {
        context.Broken(context.Name(n) + (exact ? " could keep" : " cannot keep") + " its name");
      }
      if (context.node(n).keep && !crossing.keeps_name) {
        context.Broken(context.Name(n) + " is kept, but its name is not");
      }
    }
  }
}

void CheckDevices(CheckContext& context) {
  for (const Stage& stage : context.plan.stages) {
    bool named = stage.device.empty();
    for (const std::vector<int>* list :
         {&stage.sources, &stage.draws, &stage.body, &stage.constants}) {
      for (int n : *list) {
        const std::string& device = context.node(n).device;
        named |= device == stage.device;
        if (!device.empty() && device != stage.device) {
          context.Broken(context.Name(n) + " asks for device '" + device + "' in stage '" +
                         stage.name + "' on '" + stage.device + "'");
        }
      }
    }
    if (!named) context.Broken("stage '" + stage.name + "' has a device that no node asks for");
  }
}

// Nodes without outputs run ahead only for nodes that wait for them.
void CheckWaitedFor(CheckContext& context) {
  for (int n : context.index.order()) {
    if (context.stage_of[n] < 0 || !context.node(n).outputs.empty()) continue;
    bool waited = false;
    for (const Use& use : context.index.uses(n)) {
      waited |= context.InStage(use.node, context.stage_of[n]);
    }
    if (!waited) context.Broken(context.Name(n) + " is staged, but no staged node waits for it");
  }
}

}  // namespace

void CheckRules(CheckContext& context) {
  CheckOneRead(context);
  DependencyCheck(context).Run();
  CheckMarks(context);
  CheckTargets(context);
  CheckKeptNames(context);
  CheckDevices(context);
  CheckWaitedFor(context);
}

}  // namespace headrace::plan
