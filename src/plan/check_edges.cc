#include <algorithm>
#include <set>
#include <utility>

#include "plan/check_context.h"

namespace headrace::plan {
namespace {

class EdgeCheck {
 public:
  EdgeCheck(CheckContext& context, int number)
      : c_(context), number_(number), stage_(context.plan.stages[number]) {
    constants_.insert(stage_.constants.begin(), stage_.constants.end());
    for (const Endpoint& arg : stage_.args) args_.emplace(arg.node, arg.output);
  }

  void Run() {
    if (args_.size() != stage_.args.size()) Broken("has an argument twice");
    for (int n : stage_.sources) {
      CheckInputs(n, false);
      CheckControls(n, Trait::kSource);
    }
    for (int n : stage_.draws) {
      CheckInputs(n, false);
      CheckControls(n, Trait::kHandle);
    }
    for (int n : stage_.body) {
      CheckInputs(n, true);
      CheckControls(n, Trait::kPure);
    }
    for (int n : stage_.constants) {
      CheckInputs(n, false);
      CheckControls(n, Trait::kHandle);
    }
    for (int n : stage_.recomputed) CheckRecomputed(n);
    CheckOutputs();
    for (const auto& arg : args_) {
      if (used_args_.count(arg) == 0) {
        Broken("takes " + c_.Name(arg.first) + ", which it does not use");
      }
    }
  }

 private:
  void Broken(const std::string& what) { c_.Broken("stage '" + stage_.name + "' " + what); }

  void CheckInputs(int n, bool staged_allowed) {
    for (const Endpoint& in : c_.node(n).inputs) {
      if (constants_.count(in.node) != 0) continue;
      if (args_.count({in.node, in.output}) != 0) {
        used_args_.emplace(in.node, in.output);
        if (!c_.node(in.node).outputs[in.output].can_cross) {
          Broken("takes a reference from " + c_.Name(in.node));
        }
        continue;
      }
      if (!staged_allowed || !c_.InStage(in.node, number_)) {
        Broken("computes " + c_.Name(n) + " from " + c_.Name(in.node) + ", which it does not have");
      } else if (!c_.node(in.node).outputs[in.output].can_cross) {
        Broken("uses a reference of " + c_.Name(in.node));
      } else if (c_.node(in.node).keep) {
        Broken("computes " + c_.Name(n) + " from " + c_.Name(in.node) + ", which is kept");
      }
    }
  }

  // `staged`: what may be waited for in the stage: kSource (sources), kPure (anything), kHandle
  // (nothing).
  void CheckControls(int n, Trait staged) {
    for (int in : c_.node(n).control_inputs) {
      if (constants_.count(in) != 0 || c_.node(in).trait == Trait::kHandle) continue;
      const bool allowed = staged == Trait::kPure ||
                           (staged == Trait::kSource && c_.node(in).trait == Trait::kSource);
      if (!allowed || !c_.InStage(in, number_) || c_.node(in).keep) {
        Broken("drops the order of " + c_.Name(n) + " after " + c_.Name(in));
      }
    }
  }

  void CheckRecomputed(int n) {
    const Node& node = c_.node(n);
    if (!node.cheap) Broken("computes " + c_.Name(n) + " again, which is not cheap");
    if (c_.stage_of[n] >= 0 && c_.stage_of[n] != number_) {
      Broken("computes " + c_.Name(n) + " again, which belongs to another stage");
    }
    for (const Endpoint& in : node.inputs) {
      const bool available = c_.InMain(in.node) || c_.crosses[in.node][in.output];
      if (!available) {
        Broken("has the main graph compute " + c_.Name(n) + " without " + c_.Name(in.node));
      }
    }
    for (int in : node.control_inputs) {
      if (c_.stage_of[in] >= 0) {
        Broken("computes " + c_.Name(n) + " again, which waits for " + c_.Name(in));
      }
    }
  }

  void CheckOutputs() {
    for (const Crossing& crossing : stage_.outputs) {
      const Endpoint& e = crossing.from;
      if (!c_.InStage(e.node, number_)) {
        Broken("returns " + c_.Name(e.node) + ", which it does not compute");
      } else if (c_.recomputed[e.node]) {
        Broken("returns " + c_.Name(e.node) + ", which the main graph computes");
      }
      if (!c_.node(e.node).outputs[e.output].can_cross) {
        Broken("returns a reference of " + c_.Name(e.node));
      }
    }
    if (stage_.outputs.empty()) Broken("returns nothing");
  }

  CheckContext& c_;
  const int number_;
  const Stage& stage_;
  std::set<int> constants_;
  std::set<std::pair<int, int>> args_, used_args_;
};

// Every tensor of a removed node that the main graph still uses, or may be fetched, crosses.
void CheckCrossingComplete(CheckContext& context) {
  for (const Stage& stage : context.plan.stages) {
    for (int n : stage.removed) {
      const Node& node = context.node(n);
      const auto require = [&](std::size_t output, const std::string& why) {
        if (context.crosses[n][output]) return;
        context.Broken(context.Name(n) + " output " + std::to_string(output) +
                       " does not cross, but " + why);
      };
      for (const Use& use : context.index.uses(n)) {
        if (use.output == Use::kControl || context.removed[use.node]) continue;
        require(use.output, context.Name(use.node) + " in the main graph uses it");
      }
      const bool leaf =
          context.options.fetches_unknown && !context.index.consumed(n) && !context.Dead(n);
      for (std::size_t o = 0; o < node.outputs.size(); ++o) {
        if (leaf) require(o, "it may be fetched");
        if (node.keep) require(o, "it is kept");
      }
    }
  }
}

// Convexity: nothing that a stage takes may be computed from what any stage yields.
void CheckNoWayBack(CheckContext& context) {
  std::vector<bool> reached(context.graph.nodes.size(), 0);
  std::vector<int> worklist;
  for (int n : context.index.order()) {
    if (context.stage_of[n] < 0) continue;
    reached[n] = 1;
    worklist.push_back(n);
  }
  while (!worklist.empty()) {
    const int n = worklist.back();
    worklist.pop_back();
    for (const Use& use : context.index.uses(n)) {
      if (reached[use.node]) continue;
      reached[use.node] = 1;
      worklist.push_back(use.node);
    }
  }
  for (const Stage& stage : context.plan.stages) {
    for (const Endpoint& arg : stage.args) {
      if (reached[arg.node]) {
        context.Broken("stage '" + stage.name + "' takes " + context.Name(arg.node) +
                       ", which depends on a stage");
      }
    }
    for (int n : stage.constants) {
      if (reached[n]) {
        context.Broken("stage '" + stage.name + "' copies " + context.Name(n) +
                       ", which depends on a stage");
      }
    }
  }
}

}  // namespace

void CheckEdges(CheckContext& context) {
  for (std::size_t i = 0; i < context.plan.stages.size(); ++i) {
    EdgeCheck(context, static_cast<int>(i)).Run();
  }
  CheckCrossingComplete(context);
  CheckNoWayBack(context);
}

}  // namespace headrace::plan
