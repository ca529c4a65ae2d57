#include <algorithm>
#include <set>

#include "plan/check_context.h"
#include "plan/hash.h"

namespace headrace::plan {
namespace {

class StructureCheck {
 public:
  StructureCheck(CheckContext& context, const Stage& stage) : c_(context), stage_(stage) {}

  void Run() {
    CheckLists();
    CheckOrders();
    CheckRemoved();
    CheckOutputsSorted();
    if (stage_.sources.empty()) {
      Broken("has no source");
    } else if (stage_.name != c_.node(stage_.sources.front()).name) {
      Broken("is not named after its first source");
    }
  }

 private:
  void Broken(const std::string& what) { c_.Broken("stage '" + stage_.name + "' " + what); }

  void CheckLists() {
    const auto traits = [&](const std::vector<int>& list, const char* what, auto&& ok) {
      for (int n : list) {
        if (!ok(c_.node(n).trait)) Broken("has " + c_.Name(n) + " among its " + what);
      }
    };
    const auto is = [](Trait a) { return [a](Trait t) { return t == a; }; };
    const auto inert = [](Trait t) {
      return t == Trait::kPure || t == Trait::kAssert || t == Trait::kConstant;
    };
    traits(stage_.sources, "sources", is(Trait::kSource));
    traits(stage_.draws, "random ops", is(Trait::kDraw));
    traits(stage_.body, "body", inert);
    traits(stage_.constants, "constants", inert);
    traits(stage_.recomputed, "recomputed nodes", is(Trait::kPure));
    for (const Endpoint& arg : stage_.args) {
      if (c_.node(arg.node).trait != Trait::kHandle) {
        Broken("has " + c_.Name(arg.node) + ", no handle, among its arguments");
      }
    }
    for (const std::vector<int>* list :
         {&stage_.sources, &stage_.draws, &stage_.body, &stage_.constants}) {
      for (int n : *list) {
        const Node& node = c_.node(n);
        const bool stays = node.target || node.excluded;
        if (stays || (node.keep && node.trait != Trait::kSource)) {
          Broken("holds " + c_.Name(n) + ", which must stay in the main graph");
        }
      }
    }
  }

  void CheckOrders() {
    for (const std::vector<int>* list : {&stage_.sources, &stage_.draws, &stage_.body,
                                         &stage_.constants, &stage_.recomputed, &stage_.removed}) {
      for (std::size_t i = 1; i < list->size(); ++i) {
        if (c_.index.rank((*list)[i - 1]) >= c_.index.rank((*list)[i])) {
          Broken("lists " + c_.Name((*list)[i]) + " out of order");
        }
      }
    }
  }

  void CheckRemoved() {
    std::set<int> expected;
    for (const std::vector<int>* list : {&stage_.sources, &stage_.draws, &stage_.body}) {
      expected.insert(list->begin(), list->end());
    }
    for (int n : stage_.recomputed) expected.erase(n);
    for (int n : stage_.removed) {
      if (expected.erase(n) == 0 && !c_.Dead(n)) {
        Broken("removes " + c_.Name(n) + ", which it does not replace");
      }
    }
    for (int n : expected) Broken("leaves " + c_.Name(n) + " in the main graph too");
  }

  void CheckOutputsSorted() {
    for (std::size_t i = 1; i < stage_.outputs.size(); ++i) {
      const Endpoint& a = stage_.outputs[i - 1].from;
      const Endpoint& b = stage_.outputs[i].from;
      const bool sorted =
          a.node == b.node ? a.output < b.output : c_.node(a.node).name < c_.node(b.node).name;
      if (!sorted) Broken("returns " + c_.Name(b.node) + " out of order");
    }
  }

  CheckContext& c_;
  const Stage& stage_;
};

}  // namespace

void CheckStructure(CheckContext& context) {
  std::set<int> staged, removed;
  for (const Stage& stage : context.plan.stages) {
    StructureCheck(context, stage).Run();
    for (const std::vector<int>* list : {&stage.sources, &stage.draws, &stage.body}) {
      for (int n : *list) {
        if (!staged.insert(n).second) context.Broken(context.Name(n) + " is staged twice");
      }
    }
    for (int n : stage.removed) {
      if (!removed.insert(n).second) context.Broken(context.Name(n) + " is removed twice");
    }
  }
}

void CheckReasons(CheckContext& context) {
  std::set<int> constants;
  for (const Stage& stage : context.plan.stages) {
    constants.insert(stage.constants.begin(), stage.constants.end());
  }
  const int nodes = static_cast<int>(context.graph.nodes.size());
  for (int n = 0; n < nodes; ++n) {
    const Reason& reason = context.plan.reasons[n];
    const bool staged_only = context.stage_of[n] >= 0 && !context.recomputed[n];
    const bool ok =
        (reason.code == ReasonCode::kNone) == staged_only &&
        (reason.code == ReasonCode::kCheapToRecompute) == (context.recomputed[n] != 0) &&
        (constants.count(n) == 0 || reason.code == ReasonCode::kMainInput);
    if (!ok) {
      context.Broken("the reason '" + std::string(ReasonCodeName(reason.code)) + "' for " +
                     context.Name(n) + " does not fit the stages");
    }
    if (reason.ancestor < -1 || reason.ancestor >= nodes) {
      context.Broken("the reason for " + context.Name(n) + " names a node out of range");
    }
    if (reason.text.empty()) context.Broken("the reason for " + context.Name(n) + " has no text");
  }
  const std::string hash = PlanHash(context.graph, context.options, context.plan.stages);
  if (hash != context.plan.hash) context.Broken("the hash does not fit the stages");
}

}  // namespace headrace::plan
